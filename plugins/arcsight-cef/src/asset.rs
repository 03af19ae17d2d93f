//! The asset that is under way: what all its events share, and what they add_detected about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Severity};

use crate::escape::is_margin;
use crate::field::{self, Field, TruncatedFields};
use crate::fragment::KEPT_BYTES;
use crate::ports::Ports;
use crate::table::Table;

/// The asset under way; its memory serves one asset after the other.
#[derive(Debug, Default)]
pub(crate) struct CurrentAsset {
    /// Its identifying cells, to know it again in the next batch; none between reports.
    identity: Option<Identity>,
    addresses: Vec<u8>,
    /// Whether it has an address that cannot be read as one.
    pub has_bad_address: bool,
    dns_first: Name,
    netbios_first: Name,
    /// When it was last scanned, in milliseconds since 1970.
    pub last_scan: Option<i64>,
    /// Its operating system.
    pub system: OperatingSystem,
    /// The ports that have become events.
    pub ports: Ports,
}

/// The cells that identify an asset, in the order of [`CELLS`].
#[derive(Debug, Default)]
struct Identity([String; CELLS.len()]);

/// The cells that two rows of one asset share; the first [`FIXED`] are there from its beginning.
const CELLS: [AssetField; 6] = [
    AssetField::Id,
    AssetField::Address,
    AssetField::Ipv6,
    AssetField::Dns,
    AssetField::Netbios,
    AssetField::Os,
];
const FIXED: usize = 3;

#[derive(Debug, Default)]
struct Name {
    bytes: Vec<u8>,
    cut: TruncatedFields,
}

/// An operating system and the finding that is_detected it.
#[derive(Debug, Default)]
pub(crate) struct OperatingSystem {
    /// Its name; empty when not known.
    pub name: String,
    /// Severity of the finding that is_detected it.
    pub severity: Option<Severity>,
    /// Category of that finding.
    pub category: String,
    is_detected: bool,
}

impl CurrentAsset {
    /// Whether the row repeats this asset. It may add_detected what the row in the last batch did not know yet.
    pub(crate) fn is_repeated_by(&self, asset: AssetView<'_>) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.allows(asset))
    }

    /// Turns to another asset. `ipv6_in_dst` as version 1 of the format has it.
    pub(crate) fn begin(&mut self, asset: AssetView<'_>, ipv6_in_dst: bool) {
        self.identity.get_or_insert_default().set(asset);
        self.addresses.clear();
        append_addresses(&mut self.addresses, asset, ipv6_in_dst);
        self.has_bad_address = self.addresses.is_empty() && !asset.address().is_empty();
        self.last_scan = crate::time::epoch_ms(asset.get(AssetField::LastScan));
        self.set_names(asset);
        self.system.begin(asset.get(AssetField::Os));
        self.ports.clear();
    }

    /// Takes over what the row tells that was not known when the asset began: a scan may name a system or a name
    /// behind an asset's findings.
    pub(crate) fn update(&mut self, asset: AssetView<'_>) {
        if self.identity.as_ref().is_some_and(|identity| identity.knows_less_than(asset)) {
            self.identity.get_or_insert_default().set(asset);
            self.set_names(asset);
            self.system.set_asset_name(asset.get(AssetField::Os));
        }
    }

    fn set_names(&mut self, asset: AssetView<'_>) {
        let (dns, netbios) = (asset.get(AssetField::Dns), asset.get(AssetField::Netbios));
        self.dns_first.set(dns, netbios);
        self.netbios_first.set(netbios, dns);
    }

    /// Forgets the asset: nothing repeats it from here on.
    pub(crate) fn clear(&mut self) {
        self.identity = None;
    }

    /// Whether there is an asset under way.
    pub(crate) fn is_known(&self) -> bool {
        self.identity.is_some()
    }

    /// Appends its addresses and the name that goes first in the table.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>, cut: &mut TruncatedFields, table: Table) {
        let name = if table.columns().netbios_first { &self.netbios_first } else { &self.dns_first };
        out.extend_from_slice(&self.addresses);
        out.extend_from_slice(&name.bytes);
        cut.merge(name.cut);
    }
}

impl Identity {
    fn set(&mut self, asset: AssetView<'_>) {
        for (text, cell) in self.0.iter_mut().zip(CELLS) {
            text.clear();
            text.shrink_to(KEPT_BYTES);
            text.push_str(asset.get(cell));
        }
    }

    /// Whether the row may be of the same asset: what is there from the beginning is equal, and what was known of
    /// the rest still is.
    fn allows(&self, asset: AssetView<'_>) -> bool {
        let mut cells = self.0.iter().zip(CELLS).enumerate();
        cells.all(|(index, (text, cell))| text == asset.get(cell) || index >= FIXED && text.is_empty())
    }

    fn knows_less_than(&self, asset: AssetView<'_>) -> bool {
        self.0.iter().zip(CELLS).any(|(text, cell)| text.is_empty() && !asset.get(cell).is_empty())
    }
}

impl Name {
    fn set(&mut self, first: &str, second: &str) {
        self.bytes.clear();
        self.cut = TruncatedFields::default();
        field::append(&mut self.bytes, &mut self.cut, Field::HostName, first);
        if self.bytes.is_empty() {
            field::append(&mut self.bytes, &mut self.cut, Field::HostName, second);
        }
    }
}

impl OperatingSystem {
    fn begin(&mut self, name: &str) {
        self.name.clear();
        self.name.shrink_to(KEPT_BYTES);
        self.name.push_str(trimmed(name));
        self.severity = None;
        self.category.clear();
        self.category.shrink_to(KEPT_BYTES);
        self.is_detected = false;
    }

    /// The asset's own name for it, which wins over what findings is_detected.
    fn set_asset_name(&mut self, name: &str) {
        if !trimmed(name).is_empty() {
            self.name.clear();
            self.name.push_str(trimmed(name));
        }
    }

    /// Takes note of a finding that tells the operating system. The asset's own cell wins over its name, and the
    /// first such finding over later ones.
    pub(crate) fn add_detected(&mut self, finding: FindingView<'_>, name: &str) {
        if self.is_detected || trimmed(name).is_empty() {
            return;
        }
        self.is_detected = true;
        self.severity = finding.severity();
        self.category.push_str(finding.definition().get(DefinitionField::Category));
        if self.name.is_empty() {
            self.name.push_str(trimmed(name));
        }
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(is_margin)
}

fn append_addresses(out: &mut Vec<u8>, asset: AssetView<'_>, ipv6_in_dst: bool) {
    let (mut v4, mut v6) = (None, None);
    for field in [AssetField::Address, AssetField::Ipv6] {
        match parse(asset.get(field)) {
            Some(IpAddr::V4(address)) => v4 = v4.or(Some(address)),
            Some(IpAddr::V6(address)) => v6 = v6.or(Some(address)),
            None => {}
        }
    }
    write_addresses(out, v4, v6, ipv6_in_dst);
}

fn write_addresses(out: &mut Vec<u8>, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>, ipv6_in_dst: bool) {
    use std::io::Write as _;
    let written = match (v4, v6) {
        (None, Some(v6)) if ipv6_in_dst => write!(out, "dst={v6} "),
        (v4, v6) => {
            let dst = v4.map_or(Ok(()), |v4| write!(out, "dst={v4} "));
            let custom = v6.map_or(Ok(()), |v6| write!(out, "c6a3Label=Destination IPv6 Address c6a3={v6} "));
            dst.and(custom)
        }
    };
    written.expect("writing to memory does not fail");
}

/// Reads an address with or without brackets and zone. An IPv4 address in IPv6 clothes is one.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    let text = text.split_once('%').map_or(text, |(address, _zone)| address);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(texts: [&str; 2], ipv6_in_dst: bool) -> String {
        let (mut v4, mut v6) = (None, None);
        for address in texts.into_iter().filter_map(parse) {
            match address {
                IpAddr::V4(address) => v4 = Some(address),
                IpAddr::V6(address) => v6 = Some(address),
            }
        }
        let mut out = Vec::new();
        write_addresses(&mut out, v4, v6, ipv6_in_dst);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn version_0_has_no_room_for_ipv6_in_dst() {
        let custom = "c6a3Label=Destination IPv6 Address c6a3=2001:db8::1 ";
        assert_eq!(written(["2001:DB8:0:0::1", ""], false), custom);
        assert_eq!(written(["[2001:db8::1%eth0]", ""], true), "dst=2001:db8::1 ");
        assert_eq!(written(["192.0.2.1", "2001:db8::1"], true), format!("dst=192.0.2.1 {custom}"));
        assert_eq!(written(["::ffff:192.0.2.1", ""], false), "dst=192.0.2.1 ");
        assert_eq!(written(["192.0.2.1-192.0.2.9", "none"], false), "");
    }
}
