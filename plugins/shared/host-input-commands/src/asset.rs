//! The asset whose commands are being written.

use std::net::IpAddr;

use scanbridge_plugin_api::batch::AssetView;
use scanbridge_plugin_api::model::{AssetField, list_items};
use scanbridge_plugin_api::printable;

/// The asset whose commands are being written.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its row in the last batch that contained it.
    pub(crate) row: u32,
    /// Its address, or the reason why it has none, with the asset's name.
    pub(crate) address: Result<IpAddr, String>,
    /// The address as text.
    pub(crate) text: String,
    /// The operating system that the scanner reported.
    pub(crate) os: String,
    /// Whether the scan of the asset is complete. If not, its old results may still be correct.
    pub(crate) scanned: bool,
    /// Whether its first part was passed on.
    pub(crate) has_begun: bool,
    /// Whether the asset is not complete: its beginning or end is missing, or a finding could not be sent. Then its
    /// old results are kept.
    pub(crate) is_part: bool,
    /// Whether the deletion of its old results was passed on and cannot be undone.
    pub(crate) is_replaced: bool,
    /// Whether the asset was in the report before. Then its old results are already replaced.
    pub(crate) is_repeated: bool,
    /// Whether some of its findings were rejected. Then it is not treated as clean.
    pub(crate) has_rejected: bool,
}

impl Asset {
    pub(crate) fn of(asset: &AssetView<'_>) -> Self {
        let address = address_of(asset).ok_or_else(|| rejection_reason(asset));
        Self {
            row: asset.row(),
            text: address.as_ref().map(ToString::to_string).unwrap_or_default(),
            address,
            os: asset.get(AssetField::Os).to_owned(),
            scanned: was_scanned(asset),
            has_begun: false,
            is_part: asset.is_continued(),
            is_replaced: false,
            is_repeated: false,
            has_rejected: false,
        }
    }

    /// Returns true if this row continues the asset: it is the same row, or it is marked as continued. A different
    /// row with the same address does not continue it. So blocks end at the same positions wherever a report is
    /// interrupted.
    pub(crate) fn continues_in(&self, asset: &AssetView<'_>, new_batch: bool) -> bool {
        if new_batch { asset.is_continued() && self.has_address_of(asset) } else { self.row == asset.row() }
    }

    /// Returns true if its old results are replaced by those of this report.
    pub(crate) fn replaces(&self) -> bool {
        self.scanned && !self.is_part
    }

    /// Returns true if a complete scan reported no findings.
    pub(crate) fn is_clean(&self) -> bool {
        self.replaces() && !self.has_rejected
    }

    fn has_address_of(&self, asset: &AssetView<'_>) -> bool {
        match (&self.address, address_of(asset)) {
            (Ok(address), Some(other)) => *address == other,
            (Err(why), None) => *why == rejection_reason(asset),
            _ => false,
        }
    }
}

/// The address under which a Defense Center stores the results of an asset. An IPv4 address that is written as IPv6 is
/// the IPv4 address.
#[must_use]
pub fn address_of(asset: &AssetView<'_>) -> Option<IpAddr> {
    [AssetField::Address, AssetField::Ipv6].into_iter().find_map(|field| {
        let address = asset.get(field).trim().parse::<IpAddr>().ok()?.to_canonical();
        (!address.is_unspecified()).then_some(address)
    })
}

/// Whether the scan of an asset is complete. Reports without a scan status list only such assets.
pub(crate) fn was_scanned(asset: &AssetView<'_>) -> bool {
    let status = asset.get(AssetField::Status).trim();
    status.is_empty() || status.get(..FINISHED.len()).is_some_and(|word| word.eq_ignore_ascii_case(FINISHED))
}

/// The reason why findings of an asset without a usable address cannot be sent.
fn rejection_reason(asset: &AssetView<'_>) -> String {
    let short = |text: &str| printable(text, 100).into_owned();
    match asset.address() {
        "" => {
            let mut names = NAMES.into_iter().flat_map(|field| list_items(asset.get(field)));
            let name = names.find(|name| !name.trim().is_empty());
            format!(
                "asset `{}` has no IP address; the Defense Center stores results by IP address",
                short(name.unwrap_or("?"))
            )
        }
        address => format!("asset `{}` has no valid IP address", short(address)),
    }
}

/// The fields that name an asset without an address; the first that has a value.
const NAMES: [AssetField; 10] = [
    AssetField::Dns,
    AssetField::Fqdn,
    AssetField::Netbios,
    AssetField::OsHostname,
    AssetField::Hostname,
    AssetField::Id,
    AssetField::AssetId,
    AssetField::AgentId,
    AssetField::CloudId,
    AssetField::Macs,
];

/// The status of a completely scanned asset begins with this.
const FINISHED: &str = "finish";
