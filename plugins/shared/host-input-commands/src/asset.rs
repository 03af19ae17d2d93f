//! The asset whose commands are being written.

use std::net::IpAddr;
use std::ops::Range;

use scanbridge_plugin_api::batch::AssetView;
use scanbridge_plugin_api::model::AssetField;
use scanbridge_plugin_api::printable;

use crate::update::SCAN_UPDATE;

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
    /// Whether the scan of the asset is complete. If the asset was down, its old results may still be correct.
    pub(crate) scanned: bool,
    /// Whether its block has begun. A block begins with the asset's first finding.
    pub(crate) has_block: bool,
    /// Whether the beginning of the asset is missing. Then its old results are not replaced.
    pub(crate) is_part: bool,
    /// Whether the deletion of its old results was passed on and cannot be undone.
    pub(crate) is_replaced: bool,
    /// The range of the command that deletes its old results, until that command is passed on.
    pub(crate) deletion: Option<Range<usize>>,
    /// The command that applies its lines.
    pub(crate) update: &'static str,
    /// Whether some of its findings were rejected. Then it is not treated as clean.
    pub(crate) has_rejected: bool,
}

impl Asset {
    pub(crate) fn of(asset: &AssetView<'_>) -> Self {
        let address = asset.address().parse::<IpAddr>().map_err(|_| rejection_reason(asset));
        Self {
            row: asset.row(),
            text: address.as_ref().map(ToString::to_string).unwrap_or_default(),
            address,
            os: asset.get(AssetField::Os).to_owned(),
            scanned: was_scanned(asset),
            has_block: false,
            is_part: asset.is_continued(),
            is_replaced: false,
            deletion: None,
            update: SCAN_UPDATE,
            has_rejected: false,
        }
    }

    /// Returns true if this row continues the asset: it is the same row, or it is marked as continued. A different
    /// row with the same address does not continue it. So blocks end at the same positions wherever a report is
    /// interrupted.
    pub(crate) fn continues_in(&self, asset: &AssetView<'_>, new_batch: bool) -> bool {
        if new_batch { asset.is_continued() && self.has_address_of(asset) } else { self.row == asset.row() }
    }

    /// Returns true if a complete scan reported no findings.
    pub(crate) fn is_clean(&self) -> bool {
        !self.has_block && self.scanned && !self.has_rejected && !self.is_part
    }

    fn has_address_of(&self, asset: &AssetView<'_>) -> bool {
        match (&self.address, asset.address().parse::<IpAddr>()) {
            (Ok(address), Ok(other)) => *address == other,
            (Err(why), Err(_)) => *why == rejection_reason(asset),
            _ => false,
        }
    }
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
            let fields = [AssetField::Dns, AssetField::Netbios, AssetField::Id];
            let name = fields.into_iter().map(|field| asset.get(field)).find(|name| !name.is_empty());
            format!(
                "asset `{}` has no IP address; the Defense Center stores results by IP address",
                short(name.unwrap_or("?"))
            )
        }
        address => format!("asset `{}` has no valid IP address", short(address)),
    }
}

/// The status of a completely scanned asset begins with this.
const FINISHED: &str = "finish";
