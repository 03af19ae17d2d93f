//! The current asset: fields that all its events share, and facts collected from its findings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Severity};

use crate::escape::is_margin;
use crate::field::{self, Field, TruncatedFields};
use crate::fragment::KEPT_BYTES;
use crate::ports::Ports;
use crate::table::Table;

/// The current asset. Its buffers are reused for the next asset.
#[derive(Debug, Default)]
pub(crate) struct CurrentAsset {
    /// Its identifying cells, to recognize it in the next batch; `None` between reports.
    identity: Option<Identity>,
    addresses: Vec<u8>,
    /// Whether its address is not a valid IP address.
    pub has_bad_address: bool,
    dns_first: Name,
    netbios_first: Name,
    /// When it was last scanned, in milliseconds since 1970.
    pub last_scan: Option<i64>,
    /// Its operating system.
    pub system: OperatingSystem,
    /// The ports for which an event was written.
    pub ports: Ports,
}

/// The cells that identify an asset, in the order of [`CELLS`].
#[derive(Debug, Default)]
struct Identity([String; CELLS.len()]);

/// The cells that identify an asset. The first [`FIXED`] are known from its first row on; later rows may add
/// the others.
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
    truncated: TruncatedFields,
}

/// An operating system and the finding that reported it.
#[derive(Debug, Default)]
pub(crate) struct OperatingSystem {
    /// Its name; empty if unknown.
    pub name: String,
    /// Severity of the finding that reported it.
    pub severity: Option<Severity>,
    /// Category of that finding.
    pub category: String,
    is_detected: bool,
}

impl CurrentAsset {
    /// Whether the row is of this asset. It may contain cells that were empty in the last batch.
    pub(crate) fn is_repeated_by(&self, asset: AssetView<'_>) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.allows(asset))
    }

    /// Begins another asset. `ipv6_in_dst`: write an IPv6 address to `dst`, as CEF version 1 allows.
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

    /// Adds cells that were empty when the asset began: a scan may report names or the operating system after
    /// the findings of the asset.
    pub(crate) fn update(&mut self, asset: AssetView<'_>) {
        if self.identity.as_ref().is_some_and(|identity| identity.lacks_cells_of(asset)) {
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

    /// Ends the asset: no later row continues it.
    pub(crate) fn clear(&mut self) {
        self.identity = None;
    }

    /// Whether there is a current asset.
    pub(crate) fn is_known(&self) -> bool {
        self.identity.is_some()
    }

    /// Appends its addresses and the host name that the table prefers.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>, truncated: &mut TruncatedFields, table: Table) {
        let name = if table.columns().netbios_first { &self.netbios_first } else { &self.dns_first };
        out.extend_from_slice(&self.addresses);
        out.extend_from_slice(&name.bytes);
        truncated.merge(name.truncated);
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

    /// Whether the row may be of the same asset: the fixed cells are equal, and so are all other cells that
    /// were known.
    fn allows(&self, asset: AssetView<'_>) -> bool {
        let mut cells = self.0.iter().zip(CELLS).enumerate();
        cells.all(|(index, (text, cell))| text == asset.get(cell) || index >= FIXED && text.is_empty())
    }

    fn lacks_cells_of(&self, asset: AssetView<'_>) -> bool {
        self.0.iter().zip(CELLS).any(|(text, cell)| text.is_empty() && !asset.get(cell).is_empty())
    }
}

impl Name {
    fn set(&mut self, first: &str, second: &str) {
        self.bytes.clear();
        self.truncated = TruncatedFields::default();
        field::append(&mut self.bytes, &mut self.truncated, Field::HostName, first);
        if self.bytes.is_empty() {
            field::append(&mut self.bytes, &mut self.truncated, Field::HostName, second);
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

    /// Sets the name from the asset's own cell, which takes precedence over names from findings.
    fn set_asset_name(&mut self, name: &str) {
        if !trimmed(name).is_empty() {
            self.name.clear();
            self.name.push_str(trimmed(name));
        }
    }

    /// Adds the operating system that a finding reports. The asset's own cell takes precedence over this
    /// name, and the first finding over later ones.
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

/// Parses an IP address with or without brackets and zone. An IPv4-mapped IPv6 address becomes IPv4.
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
    fn cef_version_0_does_not_allow_ipv6_in_dst() {
        let custom = "c6a3Label=Destination IPv6 Address c6a3=2001:db8::1 ";
        assert_eq!(written(["2001:DB8:0:0::1", ""], false), custom);
        assert_eq!(written(["[2001:db8::1%eth0]", ""], true), "dst=2001:db8::1 ");
        assert_eq!(written(["192.0.2.1", "2001:db8::1"], true), format!("dst=192.0.2.1 {custom}"));
        assert_eq!(written(["::ffff:192.0.2.1", ""], false), "dst=192.0.2.1 ");
        assert_eq!(written(["192.0.2.1-192.0.2.9", "none"], false), "");
    }
}
