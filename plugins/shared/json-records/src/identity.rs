//! IDs of records: digests of what identifies a finding, for destinations that want one ID for each.

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingField, list_items};
use sha2::{Digest as _, Sha256};

/// Which records have the same ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordId {
    /// All records of a finding, in all reports: that the scanner gave it, else a digest of its identity.
    Finding,
    /// The records of a finding in one state: a digest of its identity, when it was found last, and its status. A time that
    /// the finding lacks is that of the scan of the asset, else that of the report.
    Event,
}

impl RecordId {
    /// Appends the ID: 32 hexadecimal digits, or the ID of the scanner as it is. `report_time` is the time of the report.
    /// `scratch` is used in between.
    pub fn append(
        self,
        out: &mut Vec<u8>,
        finding: FindingView<'_>,
        report_time: &str,
        scratch: &mut String,
    ) {
        if self == Self::Finding {
            match finding.get(FindingField::UniqueId) {
                "" => {}
                id => return out.extend_from_slice(id.as_bytes()),
            }
        }
        identify(scratch, finding);
        if self == Self::Event {
            let times = [
                finding.get(FindingField::LastFound),
                finding.asset().get(AssetField::LastScan),
                report_time,
            ];
            let time = times.into_iter().find(|time| !time.is_empty()).unwrap_or_default();
            for part in [time, finding.status().map_or("", |status| status.word())] {
                scratch.push_str(part);
                scratch.push(SEPARATOR);
            }
        }
        push_digits(out, scratch);
    }
}

/// Appends the first 32 hexadecimal digits of the SHA-256 of the finding's identity, as a JSON string: the identity of the
/// asset, then ID of the definition, port, protocol, FQDN, TLS (`1`, `0` or empty), service and instance, each followed by
/// U+001F. The ID of a definition has its scheme and a colon before it, unless the scheme is `qid`.
pub(crate) fn push_digest(out: &mut Vec<u8>, finding: FindingView<'_>, scratch: &mut String) {
    identify(scratch, finding);
    out.push(b'"');
    push_digits(out, scratch);
    out.push(b'"');
}

/// Follows each part of an identity.
const SEPARATOR: char = '\u{1f}';

/// Writes what identifies a finding.
fn identify(identity: &mut String, finding: FindingView<'_>) {
    identity.clear();
    let mut add = |text: &str| {
        identity.push_str(text);
        identity.push(SEPARATOR);
    };
    for part in asset_identity(finding.asset()) {
        add(part);
    }
    let definition = finding.definition();
    match definition.qid() {
        Some(qid) => add(qid),
        None => add(&format!("{}:{}", definition.scheme(), definition.id())),
    }
    add(&finding.port().map(|port| port.to_string()).unwrap_or_default());
    add(finding.protocol().map_or("", |protocol| protocol.name()));
    add(finding.get(FindingField::Fqdn));
    add(match finding.ssl() {
        Some(true) => "1",
        Some(false) => "0",
        None => "",
    });
    add(finding.get(FindingField::Service));
    add(finding.get(FindingField::Instance));
}

fn push_digits(out: &mut Vec<u8>, identity: &str) {
    for byte in &Sha256::digest(identity.as_bytes())[..16] {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 0xf)];
        out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
}

/// Which value identifies the asset, the value, and the network that makes it unique: the first of ID, agent ID, address,
/// FQDN, DNS name, NetBIOS name, first hardware address and cloud ID that the asset has.
fn asset_identity(asset: AssetView<'_>) -> [&str; 3] {
    let network = asset.get(AssetField::Network);
    let first_mac = list_items(asset.get(AssetField::Macs)).next().unwrap_or_default();
    [
        ("id", asset.get(AssetField::Id), ""),
        ("agent_id", asset.get(AssetField::AgentId), ""),
        ("address", asset.address(), network),
        ("fqdn", asset.get(AssetField::Fqdn), network),
        ("dns", asset.get(AssetField::Dns), network),
        ("netbios", asset.get(AssetField::Netbios), network),
        ("mac", first_mac, ""),
        ("cloud_id", asset.get(AssetField::CloudId), ""),
    ]
    .into_iter()
    .find(|(_, value, _)| !value.is_empty())
    .map_or(["", "", ""], |(name, value, network)| [name, value, network])
}
