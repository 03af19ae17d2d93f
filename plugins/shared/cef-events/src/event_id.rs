//! The ID of an event: the same each time it is sent, and different from that of all other events.

use aws_lc_rs::digest::{SHA256, digest};
use scanbridge_plugin_api::batch::{AssetView, Cell, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingField};

/// Builds the ID of an event from what identifies it. It keeps its memory for the next event.
///
/// The ID is the start of a SHA-256 hash, because a scanned asset chooses some of the parts: it must not be able to give
/// its event the ID of another one, which a receiver may then drop as a double. What is hashed is short, so
/// that it is one block of 64 bytes for most events.
#[derive(Debug, Default)]
pub(crate) struct EventId {
    parts: Vec<u8>,
}

impl EventId {
    /// Begins the ID of an event of this kind about this asset, found at this time.
    pub(crate) fn begin(&mut self, class: &str, asset: &AssetKey, time: &str) {
        self.parts.clear();
        self.add(class);
        self.parts.extend_from_slice(&asset.0);
        match Cell::new(time).time() {
            Some(time) => {
                self.parts.push(1);
                self.parts.extend_from_slice(&time.to_be_bytes());
            }
            None => {
                self.parts.push(0);
                self.add(time);
            }
        }
    }

    /// Adds what identifies a finding on its asset, and its status.
    pub(crate) fn add_finding(&mut self, finding: FindingView<'_>) {
        let definition = finding.definition();
        self.add(definition.scheme());
        self.add(definition.id());
        self.add_port(finding.port(), finding.protocol().map_or("", |protocol| protocol.name()));
        self.parts.push(finding.ssl().map_or(2, u8::from));
        for field in [FindingField::Fqdn, FindingField::Service, FindingField::Instance] {
            self.add(finding.get(field));
        }
        self.parts.push(finding.status().map_or(0, |status| status.code()));
    }

    /// Adds a port.
    pub(crate) fn add_port(&mut self, port: Option<u16>, protocol: &str) {
        self.parts.extend_from_slice(&port.unwrap_or_default().to_be_bytes());
        self.add(protocol);
    }

    /// Adds a text.
    pub(crate) fn add(&mut self, text: &str) {
        add(&mut self.parts, text);
    }

    /// Appends the key and the ID.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(KEY);
        for byte in &digest(&SHA256, &self.parts).as_ref()[..BYTES] {
            out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        out.push(b' ');
    }
}

/// What identifies an asset across reports: the first that is known of its ID, the ID of its agent, its address, its
/// names, its hardware address and its ID at the cloud provider. The start of a hash of it.
#[derive(Debug, Default)]
pub(crate) struct AssetKey([u8; ASSET_BYTES]);

impl AssetKey {
    pub(crate) fn set(&mut self, asset: AssetView<'_>) {
        const CELLS: [AssetField; 9] = [
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
        let mut parts = Vec::new();
        let mut cells = (0..).zip(CELLS.map(|field| asset.get(field)));
        let Some((cell, text)) = cells.find(|(_, text)| !text.is_empty()) else {
            self.0 = Default::default();
            return;
        };
        parts.push(cell);
        // Networks may have the same addresses and names.
        if cell >= 2 {
            let network = [AssetField::NetworkId, AssetField::Network].map(|field| asset.get(field));
            add(&mut parts, network.into_iter().find(|network| !network.is_empty()).unwrap_or_default());
        }
        add(&mut parts, text);
        self.0.copy_from_slice(&digest(&SHA256, &parts).as_ref()[..ASSET_BYTES]);
    }
}

/// The length makes it clear where a part ends: one byte, or 255 and four more.
fn add(parts: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length @ ..=254) => parts.push(length),
        _ => {
            parts.push(255);
            // A cell is shorter than 4 GiB.
            parts.extend_from_slice(&(text.len() as u32).to_be_bytes());
        }
    }
    parts.extend_from_slice(text.as_bytes());
}

const KEY: &[u8] = b"ScanbridgeEventId=";
/// The bytes of the hash of an asset.
const ASSET_BYTES: usize = 12;
/// The bytes of the hash that are sent, as two digits each.
const BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(class: &str, time: &str, texts: &[&str]) -> String {
        let mut id = EventId::default();
        id.begin(class, &AssetKey::default(), time);
        texts.iter().for_each(|text| id.add(text));
        let mut out = Vec::new();
        id.append_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The ID is part of what receivers store: it must stay the same in later versions. The expected digits are those of
    /// `printf '\4VULN\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1a' | sha256sum`.
    #[test]
    fn id_is_the_start_of_a_hash() {
        assert_eq!(id_of("VULN", "", &["a"]), "ScanbridgeEventId=b2c52bc4e6656bfd3e6ee9d8a496181e ");
    }

    #[test]
    fn parts_are_not_confused() {
        let all = [
            id_of("a", "b", &["c", ""]),
            id_of("a", "b", &["", "c"]),
            id_of("ab", "", &["c", ""]),
            id_of("a", "bc", &["", ""]),
            id_of("a", "b", &["c"]),
        ];
        for (index, id) in all.iter().enumerate() {
            assert!(!all[..index].contains(id), "{all:?}");
        }
    }
}
