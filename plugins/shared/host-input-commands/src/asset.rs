//! The asset whose block of commands is being made.

use std::net::IpAddr;
use std::ops::Range;

use scanbridge_plugin_api::batch::AssetView;
use scanbridge_plugin_api::model::AssetField;

use crate::commands::SCAN_UPDATE;

/// The asset whose block is being made.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its row in the batch that it was last seen in.
    pub(crate) row: u32,
    /// What to call it, and its address or why there is none.
    pub(crate) address: Result<IpAddr, String>,
    /// The address as text.
    pub(crate) text: String,
    /// The operating system as the scanner believes it to be.
    pub(crate) os: String,
    /// Whether the scanner completed it. An asset that was down proves nothing about its old results.
    pub(crate) scanned: bool,
    /// Whether its block has begun: it does with its first finding.
    pub(crate) begun: bool,
    /// Whether its beginning never came: then nothing of it is replaced.
    pub(crate) is_part: bool,
    /// Whether its old results are on their way out, and cannot be kept any more.
    pub(crate) is_replaced: bool,
    /// The range of the command that deletes its old results, as long as it was not passed on.
    pub(crate) deletion: Option<Range<usize>>,
    /// The command that brings about what its lines ask for.
    pub(crate) update: &'static str,
    /// Whether it has findings that could not be sent; then nothing is known to be gone.
    pub(crate) has_rejected: bool,
}

impl Asset {
    pub(crate) fn of(asset: &AssetView<'_>) -> Self {
        let address = asset.address().parse::<IpAddr>().map_err(|_| why_not(asset));
        Self {
            row: asset.row(),
            text: address.as_ref().map(ToString::to_string).unwrap_or_default(),
            address,
            os: asset.get(AssetField::Os).to_owned(),
            scanned: was_scanned(asset),
            begun: false,
            is_part: asset.is_continued(),
            is_replaced: false,
            deletion: None,
            update: SCAN_UPDATE,
            has_rejected: false,
        }
    }

    /// Whether this row continues the asset: it is the same row, or is marked as continued. Another row with the same
    /// address does not, so that blocks end in the same places wherever a report is interrupted.
    pub(crate) fn continues_in(&self, asset: &AssetView<'_>, new_batch: bool) -> bool {
        if new_batch { asset.is_continued() && self.has_address_of(asset) } else { self.row == asset.row() }
    }

    /// Whether nothing of it was found, in a scan that says so.
    pub(crate) fn is_clean(&self) -> bool {
        !self.begun && self.scanned && !self.has_rejected && !self.is_part
    }

    fn has_address_of(&self, asset: &AssetView<'_>) -> bool {
        match (&self.address, asset.address().parse::<IpAddr>()) {
            (Ok(address), Ok(other)) => *address == other,
            (Err(why), Err(_)) => *why == why_not(asset),
            _ => false,
        }
    }
}

/// Whether the scanner got to the end with an asset. Reports that do not say so list only assets that it did.
pub(crate) fn was_scanned(asset: &AssetView<'_>) -> bool {
    let status = asset.get(AssetField::Status).trim();
    status.is_empty() || status.get(..FINISHED.len()).is_some_and(|word| word.eq_ignore_ascii_case(FINISHED))
}

/// Why the findings of an asset without a usable address cannot be sent.
fn why_not(asset: &AssetView<'_>) -> String {
    let short = |text: &str| text.chars().take(100).collect::<String>();
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

/// How the status of an asset begins that was scanned to the end.
const FINISHED: &str = "finish";
