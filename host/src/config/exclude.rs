//! `filter: { exclude: … }`: the assets and findings that do not reach an output.

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingKind};

use super::conditions::{Statuses, qid};
use super::ranges::{AddressRanges, Ranges};

/// The conditions of an `exclude:`. A finding that matches any of them does not pass. Evaluated for every finding, so it
/// does not allocate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclude {
    /// Kinds of findings that do not pass.
    pub kinds: Vec<FindingKind>,
    /// QIDs that do not pass. Findings with an ID of another scheme pass.
    pub qids: Ranges<u32>,
    /// Statuses that do not pass. A finding without a status passes.
    pub statuses: Statuses,
    /// Addresses of assets that do not pass. An asset without an address passes.
    pub ip_ranges: AddressRanges,
}

impl Exclude {
    pub(super) fn admits_asset(&self, asset: &AssetView<'_>) -> bool {
        let is_excluded = |field| self.ip_ranges.contains_text(asset.get(field));
        !is_excluded(AssetField::Address) && !is_excluded(AssetField::Ipv6)
    }

    pub(super) fn admits_finding(&self, finding: &FindingView<'_>) -> bool {
        !self.kinds.contains(&finding.kind())
            && !finding.status().is_some_and(|status| self.statuses.admit(Some(status)))
            && !qid(finding).is_some_and(|qid| self.qids.contains(qid))
    }
}
