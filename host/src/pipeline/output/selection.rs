//! The rows of a batch for an output, and a check that its response refers only to these rows.

use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::{Batch, Selection};

use crate::config::Filter;
use crate::pipeline::KindCounts;
use crate::pipeline::batch::ValidatedBatch;

/// The rows of a batch for one output, in reused memory.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Whether all rows are selected; the lists are then empty.
    all: bool,
    assets: Vec<u32>,
    findings: Vec<u32>,
}

impl Rows {
    /// Selects these rows.
    pub(super) fn of(assets: Vec<u32>, findings: Vec<u32>) -> Self {
        Self { all: false, assets, findings }
    }

    /// Selects the valid rows of the batch that pass all filters. Returns their number by kind.
    pub(super) fn select(&mut self, validated: &ValidatedBatch, filters: &[Filter]) -> KindCounts {
        self.assets.clear();
        self.findings.clear();
        self.all = filters.is_empty() && !validated.has_invalid_rows();
        if self.all {
            return validated.findings;
        }
        validated.batch.read(|batch| self.filter(batch.select(validated.selection()), filters))
    }

    /// The selection in the form of the plugin API.
    pub(super) fn selection(&self) -> Selection<'_> {
        if self.all {
            return Selection::default();
        }
        Selection::new(&self.assets, &self.findings)
    }

    /// The findings as a list.
    pub(super) fn to_list(&self, validated: &ValidatedBatch) -> Vec<u32> {
        match self.findings() {
            Some(rows) => rows.to_vec(),
            None => validated.batch.read(|batch| batch.findings().map(|finding| finding.row()).collect()),
        }
    }

    /// The findings; `None` for all.
    pub(super) fn findings(&self) -> Option<&[u32]> {
        (!self.all).then_some(&self.findings)
    }

    fn filter(&mut self, batch: Batch<'_>, filters: &[Filter]) -> KindCounts {
        let admitted = batch.assets().filter(|asset| filters.iter().all(|filter| filter.admits_asset(asset)));
        self.assets.extend(admitted.map(|asset| asset.row()));
        let mut passed = KindCounts::default();
        for finding in batch.findings() {
            let asset_passes = self.assets.binary_search(&finding.asset().row()).is_ok();
            if asset_passes && filters.iter().all(|filter| filter.admits_finding(&finding)) {
                passed.add(finding.kind(), 1);
                self.findings.push(finding.row());
            }
        }
        passed
    }
}

/// Number of findings by kind in these rows.
pub(super) fn kinds_of(validated: &ValidatedBatch, rows: &[u32]) -> KindCounts {
    let mut counts = KindCounts::default();
    if !rows.is_empty() {
        validated.batch.read(|batch| {
            let findings = rows.iter().filter_map(|row| batch.finding(*row));
            findings.for_each(|finding| counts.add(finding.kind(), 1));
        });
    }
    counts
}

/// The asset rows of these findings.
pub(super) fn assets_of(validated: &ValidatedBatch, findings: &[u32]) -> Vec<u32> {
    let mut assets: Vec<u32> = validated
        .batch
        .read(|batch| findings.iter().filter_map(|row| Some(batch.finding(*row)?.asset().row())).collect());
    assets.sort_unstable();
    assets.dedup();
    assets
}

/// Checks that an output refers to each finding at most once, and only to rows that it received: `sent`, or all.
pub(super) fn check_response(
    validated: &ValidatedBatch,
    sent: Option<&[u32]>,
    named: [&[u32]; 3],
) -> Result<(), PluginError> {
    let mut rows = named.concat();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable();
    if rows.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PluginError::bug("plugin bug: the output reported the same finding twice"));
    }
    let was_sent = |row: &u32| sent.is_none_or(|sent| sent.binary_search(row).is_ok());
    let all_exist = validated.batch.read(|batch| rows.iter().all(|row| batch.finding(*row).is_some()));
    if all_exist && rows.iter().all(was_sent) {
        return Ok(());
    }
    Err(PluginError::bug("plugin bug: the output reported a finding that was not in the batch"))
}
