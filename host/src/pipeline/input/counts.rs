//! What the batches of an input contained: assets, and findings by kind and severity.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scanbridge_observe::InputState;
use scanbridge_plugin_api::model::FindingKind;

use super::profile::Profile;
use crate::pipeline::row_faults::RowFaults;
use crate::pipeline::summary::{InputSummary, KindSeverityCounts, SEVERITIES, SeverityCounts};
use crate::pipeline::validate::RowReport;

/// What an input has sent so far.
#[derive(Debug)]
pub(in crate::pipeline) struct InputCounts {
    assets: AtomicU64,
    findings: [[AtomicU64; SEVERITIES]; FindingKind::ALL.len()],
    pub(in crate::pipeline) faults: Arc<RowFaults>,
    /// Whether a batch was invalid; its findings are not counted.
    pub(in crate::pipeline) has_invalid_batch: AtomicBool,
    /// What the findings are about.
    pub(in crate::pipeline) profile: Profile,
    live: Mutex<LiveInput>,
}

/// What only the thread of the input knows.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveInput {
    pub(super) state: InputState,
    /// The report in progress, as its title or path.
    pub(super) report: Option<String>,
    pub(super) reports: u64,
    pub(super) bytes: u64,
    pub(super) incomplete: u64,
    pub(super) refused: u64,
}

impl InputCounts {
    pub(in crate::pipeline) fn new(faults: Arc<RowFaults>) -> Self {
        Self {
            assets: AtomicU64::new(0),
            findings: Default::default(),
            faults,
            has_invalid_batch: AtomicBool::new(false),
            profile: Profile::default(),
            live: Mutex::default(),
        }
    }

    /// What the input does at this moment.
    pub(super) fn live(&self) -> MutexGuard<'_, LiveInput> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn assets(&self) -> u64 {
        self.assets.load(Ordering::Relaxed)
    }

    pub(super) fn findings(&self) -> KindSeverityCounts {
        let counts =
            self.findings.each_ref().map(|kind| kind.each_ref().map(|count| count.load(Ordering::Relaxed)));
        KindSeverityCounts(counts)
    }

    pub(in crate::pipeline) fn add(&self, report: &RowReport) {
        self.assets.fetch_add(report.assets, Ordering::Relaxed);
        for (counts, totals) in report.findings.0.iter().zip(&self.findings) {
            for (count, total) in counts.iter().zip(totals).filter(|(count, _)| **count > 0) {
                total.fetch_add(*count, Ordering::Relaxed);
            }
        }
        self.faults.add(report);
    }
}

/// Adds the counts of the outputs' threads.
pub(in crate::pipeline) fn with_counts(mut summary: InputSummary, counts: &InputCounts) -> InputSummary {
    summary.assets = counts.assets();
    summary.assets_by_severity = SeverityCounts::of_counts(counts.profile.assets());
    summary.findings_by_severity = counts.findings();
    summary.findings = summary.findings_by_severity.by_kind();
    summary.severities = summary.findings_by_severity.by_severity();
    (summary.invalid, summary.odd_cells) = counts.faults.counts();
    if summary.odd_cells.total() > 0 {
        tracing::warn!(
            instance = summary.id,
            "plugin {} sent cells that are not of the form of their column: {}; they were delivered unchanged",
            summary.plugin,
            summary.odd_cells
        );
    }
    if counts.has_invalid_batch.load(Ordering::Relaxed) {
        summary.incomplete = (summary.incomplete + 1).min(summary.reports).max(summary.incomplete);
        return summary;
    }
    if summary.complete > 0 && summary.findings.total() == 0 && !summary.resumed {
        tracing::warn!(
            instance = summary.id,
            "no findings in {} reports with {} assets; check that the report, its template and its \
             filters are the intended ones",
            summary.complete,
            summary.assets
        );
    }
    summary
}
