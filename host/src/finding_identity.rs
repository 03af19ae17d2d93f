//! What identifies a finding across reports: one rule for the comparison of runs and for dead letters. What outputs put
//! into their records, such as the event IDs of CEF, are contracts of their own, which receivers store.

use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::{AssetField, FindingField};

/// What identifies an asset: the first of these that is known.
const ASSET: [AssetField; 9] = [
    AssetField::Id,
    AssetField::AgentId,
    AssetField::Address,
    AssetField::Ipv6,
    AssetField::Fqdn,
    AssetField::Dns,
    AssetField::Netbios,
    AssetField::Macs,
    AssetField::CloudId,
];
/// Addresses and names may exist in several networks; the IDs before them do not.
const FIRST_IN_NETWORK: usize = 2;

/// Appends what identifies an asset with these cells; nothing if none of them is known.
pub(crate) fn add_asset<'a>(parts: &mut Vec<u8>, cell: impl Fn(AssetField) -> &'a str) {
    let mut cells = ASSET.iter().enumerate().map(|(number, field)| (number, cell(*field)));
    let Some((number, text)) = cells.find(|(_, text)| !text.is_empty()) else { return };
    parts.push(u8::try_from(number).unwrap_or(u8::MAX));
    if number >= FIRST_IN_NETWORK {
        add(parts, cell(AssetField::NetworkId));
        add(parts, cell(AssetField::Network));
    }
    add(parts, text);
}

/// What identifies a finding on its asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FindingParts<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) id: &'a str,
    pub(crate) port: u16,
    pub(crate) protocol: &'a str,
    pub(crate) ssl: Option<bool>,
    pub(crate) fqdn: &'a str,
    pub(crate) service: &'a str,
    pub(crate) instance: &'a str,
}

impl<'a> FindingParts<'a> {
    pub(crate) fn of(finding: FindingView<'a>) -> Self {
        let definition = finding.definition();
        Self {
            scheme: definition.scheme(),
            id: definition.id(),
            port: finding.port().unwrap_or_default(),
            protocol: finding.protocol().map_or("", |protocol| protocol.name()),
            ssl: finding.ssl(),
            fqdn: finding.get(FindingField::Fqdn),
            service: finding.get(FindingField::Service),
            instance: finding.get(FindingField::Instance),
        }
    }

    /// Appends the parts.
    pub(crate) fn add_to(&self, parts: &mut Vec<u8>) {
        add(parts, self.scheme);
        add(parts, self.id);
        parts.extend_from_slice(&self.port.to_le_bytes());
        add(parts, self.protocol);
        parts.push(self.ssl.map_or(2, u8::from));
        for text in [self.fqdn, self.service, self.instance] {
            add(parts, text);
        }
    }
}

/// Adds a text with its length, so that the end of each part is clear.
fn add(parts: &mut Vec<u8>, text: &str) {
    parts.extend_from_slice(&text.len().to_le_bytes());
    parts.extend_from_slice(text.as_bytes());
}
