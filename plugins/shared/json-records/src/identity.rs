//! The identity of a finding as a digest, for destinations that want one ID for each.

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingField, list_items};
use sha2::{Digest as _, Sha256};

/// Appends the first 32 hexadecimal digits of the SHA-256 of the finding's identity, as a JSON string: the identity of the
/// asset, then ID of the definition, port, protocol, FQDN, TLS (`1`, `0` or empty), service and instance, each followed by
/// U+001F. The ID of a definition has its scheme and a colon before it, unless the scheme is `qid`.
pub(crate) fn push_digest(out: &mut Vec<u8>, finding: FindingView<'_>, scratch: &mut String) {
    let identity = scratch;
    identity.clear();
    let mut add = |text: &str| {
        identity.push_str(text);
        identity.push('\u{1f}');
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
    out.push(b'"');
    for byte in &Sha256::digest(identity.as_bytes())[..16] {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 0xf)];
        out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
    out.push(b'"');
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
