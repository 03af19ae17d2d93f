//! The current asset: fields that all its events share, and facts collected from its findings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use scanbridge_plugin_api::batch::{AssetView, Cell, FindingView};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Severity, list_items};

use crate::additional::AdditionalColumns;
use crate::escape::trimmed;
use crate::event_id::AssetKey;
use crate::field::{self, Field, KEPT_BYTES, TruncatedFields};
use crate::ports::Ports;
use crate::settings::EventSettings;
use crate::table::Table;

/// The current asset. Its buffers are reused for the next asset.
#[derive(Debug, Default)]
pub(crate) struct CurrentAsset {
    /// Its identifying cells, to recognize it in the next batch; `None` between reports.
    identity: Option<Identity>,
    /// Its addresses, or its hardware address if it has none.
    addresses: Vec<u8>,
    /// Whether its address is not a valid IP address.
    pub has_bad_address: bool,
    dns_first: Text,
    netbios_first: Text,
    /// Its ID, if an option asks for it or nothing else says which asset it is.
    id: Text,
    /// Its risk score, if an option asks for it.
    pub risk: Vec<u8>,
    /// Whether its risk score is not a number.
    pub has_bad_risk: bool,
    /// The additional fields.
    additional: Text,
    /// What identifies it in the IDs of events.
    pub key: AssetKey,
    /// When it was last scanned, in milliseconds since 1970.
    pub last_scan: Option<i64>,
    /// The same, as the report has it.
    pub last_scan_text: String,
    /// The state of its scan.
    pub status: String,
    /// Its operating system.
    pub system: OperatingSystem,
    /// The ports for which an event was written.
    pub ports: Ports,
    scratch: String,
}

/// The cells that identify an asset, in the order of [`CELLS`].
#[derive(Debug, Default)]
struct Identity([String; CELLS.len()]);

/// The cells that identify an asset. The first [`FIXED`] are known from its first row on; later rows may add
/// the others.
const CELLS: [AssetField; 13] = [
    AssetField::Id,
    AssetField::Address,
    AssetField::Ipv6,
    AssetField::Dns,
    AssetField::Netbios,
    AssetField::Os,
    AssetField::Fqdn,
    AssetField::OsHostname,
    AssetField::Hostname,
    AssetField::CloudPrivateDns,
    AssetField::AssetId,
    AssetField::AgentId,
    AssetField::CloudId,
];
const FIXED: usize = 3;

/// Encoded fields.
#[derive(Debug, Default)]
struct Text {
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

    /// Begins another asset.
    pub(crate) fn begin(
        &mut self,
        asset: AssetView<'_>,
        settings: &EventSettings,
        additional: &AdditionalColumns<usize>,
    ) {
        self.addresses.clear();
        append_addresses(&mut self.addresses, asset, settings.ipv6_in_dst);
        self.has_bad_address = self.addresses.is_empty() && !asset.address().is_empty();
        if self.addresses.is_empty() {
            append_mac(&mut self.addresses, asset.get(AssetField::Macs));
        }
        let last_scan = asset.get(AssetField::LastScan);
        self.last_scan = crate::time::epoch_ms(last_scan);
        keep(&mut self.last_scan_text, last_scan);
        keep(&mut self.status, asset.get(AssetField::Status));
        self.key.set(asset);
        self.risk.clear();
        let score = if settings.extra.risk_score { asset.get(AssetField::RiskScore) } else { "" };
        self.has_bad_risk = !score.is_empty() && Cell::new(score).integer().is_none();
        if !score.is_empty() && !self.has_bad_risk {
            field::append_plain(&mut self.risk, "cn3Label=Asset Risk Score cn3=", score);
        }
        self.set_late_cells(asset, settings, additional);
        self.system.begin(asset.get(AssetField::Os));
        self.ports.clear();
    }

    /// Adds cells that were empty when the asset began: a scan may report names or the operating system after
    /// the findings of the asset.
    pub(crate) fn update(
        &mut self,
        asset: AssetView<'_>,
        settings: &EventSettings,
        additional: &AdditionalColumns<usize>,
    ) {
        if self.status.is_empty() {
            self.status.push_str(asset.get(AssetField::Status));
        }
        let has_late_cells = self.identity.as_ref().is_some_and(|identity| identity.lacks_cells_of(asset));
        if has_late_cells || !additional.is_empty() {
            self.set_late_cells(asset, settings, additional);
            self.system.set_asset_name(asset.get(AssetField::Os));
        }
    }

    fn set_late_cells(
        &mut self,
        asset: AssetView<'_>,
        settings: &EventSettings,
        additional: &AdditionalColumns<usize>,
    ) {
        self.identity.get_or_insert_default().set(asset);
        let names = host_names(asset);
        self.dns_first.set_name(names);
        self.netbios_first.set_name([asset.get(AssetField::Netbios)].into_iter().chain(names));
        self.id.clear();
        if settings.extra.asset_id || self.has_only_an_id() {
            self.id.set_id(asset);
        }
        let Text { bytes, truncated } = &mut self.additional;
        bytes.clear();
        *truncated = TruncatedFields::default();
        additional.append_asset(bytes, truncated, &mut self.scratch, asset);
    }

    /// Ends the asset: no later row continues it.
    pub(crate) fn clear(&mut self) {
        self.identity = None;
    }

    /// Whether there is a current asset.
    pub(crate) fn is_known(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether an event about it says which asset it is.
    pub(crate) fn is_named(&self) -> bool {
        !self.has_only_an_id() || !self.id.bytes.is_empty()
    }

    fn has_only_an_id(&self) -> bool {
        self.addresses.is_empty() && self.dns_first.bytes.is_empty()
    }

    /// Appends its addresses and the host name that the table prefers.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>, truncated: &mut TruncatedFields, table: Table) {
        out.extend_from_slice(&self.addresses);
        let name = if table.columns().netbios_first { &self.netbios_first } else { &self.dns_first };
        name.append_to(out, truncated);
    }

    /// Appends its ID.
    pub(crate) fn append_id(&self, out: &mut Vec<u8>, truncated: &mut TruncatedFields) {
        self.id.append_to(out, truncated);
    }

    /// Appends its additional fields.
    pub(crate) fn append_additional(&self, out: &mut Vec<u8>, truncated: &mut TruncatedFields) {
        self.additional.append_to(out, truncated);
    }
}

/// Its host names, the best first.
fn host_names(asset: AssetView<'_>) -> [&str; 7] {
    let dns = asset.get(AssetField::Dns);
    let qualified = if dns.contains('.') { dns } else { "" };
    [
        qualified,
        asset.get(AssetField::Fqdn),
        dns,
        asset.get(AssetField::Netbios),
        asset.get(AssetField::OsHostname),
        asset.get(AssetField::Hostname),
        asset.get(AssetField::CloudPrivateDns),
    ]
}

/// Whether a scanner writes this instead of a name that it does not know.
fn is_placeholder(name: &str) -> bool {
    let name = trimmed(name);
    name == "-" || name.eq_ignore_ascii_case("N/A") || name.eq_ignore_ascii_case("No registered hostname")
}

impl Identity {
    fn set(&mut self, asset: AssetView<'_>) {
        for (text, cell) in self.0.iter_mut().zip(CELLS) {
            keep(text, asset.get(cell));
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

impl Text {
    fn clear(&mut self) {
        self.bytes.clear();
        self.truncated = TruncatedFields::default();
    }

    /// The first name that is one.
    fn set_name<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.clear();
        for name in names.into_iter().filter(|name| !name.is_empty() && !is_placeholder(name)) {
            field::append(&mut self.bytes, &mut self.truncated, Field::HostName, name);
            if !self.bytes.is_empty() {
                return;
            }
        }
    }

    /// The first ID that the asset has, with a label that says what it is.
    fn set_id(&mut self, asset: AssetView<'_>) {
        for (label, cell) in [
            ("flexString1Label=Asset ID ", AssetField::Id),
            ("flexString1Label=Asset ID ", AssetField::AssetId),
            ("flexString1Label=Agent ID ", AssetField::AgentId),
            ("flexString1Label=Cloud ID ", AssetField::CloudId),
        ] {
            let opening = [label, Field::AssetId.opening()];
            let (bytes, truncated) = (&mut self.bytes, &mut self.truncated);
            field::append_as(bytes, truncated, Field::AssetId, opening, asset.get(cell));
            if !self.bytes.is_empty() {
                return;
            }
        }
    }

    fn append_to(&self, out: &mut Vec<u8>, truncated: &mut TruncatedFields) {
        out.extend_from_slice(&self.bytes);
        truncated.merge(self.truncated);
    }
}

impl OperatingSystem {
    fn begin(&mut self, name: &str) {
        keep(&mut self.name, trimmed(name));
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

/// Sets a text for the next events, without keeping the memory of a huge one forever.
fn keep(kept: &mut String, text: &str) {
    kept.clear();
    kept.shrink_to(KEPT_BYTES);
    kept.push_str(text);
}

/// Appends the first hardware address, if it has the form `00:00:5e:00:53:01`.
fn append_mac(out: &mut Vec<u8>, macs: &str) {
    let is_mac = |item: &&str| {
        let mut bytes = item.split(':');
        bytes.clone().count() == 6
            && bytes.all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    if let Some(mac) = list_items(macs).map(str::trim).find(is_mac) {
        field::append_plain(out, "dmac=", mac);
    }
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
