//! Reports that an output published in an earlier run: a resumed run skips them for it.

use std::sync::Arc;

use scanbridge_plugin_api::ReportKey;

use crate::state::AheadReport;

/// The reports to skip, and what was skipped since the last commit.
#[derive(Debug)]
pub(super) struct Ahead {
    reports: Vec<AheadReport>,
    /// The report that is being skipped.
    current: Option<Arc<ReportKey>>,
    /// The last skipped report that ended since the last commit.
    ended: Option<AheadReport>,
    /// Total number of skipped findings.
    findings: u64,
}

impl Ahead {
    pub(super) fn new(reports: Vec<AheadReport>) -> Self {
        Self { reports, current: None, ended: None, findings: 0 }
    }

    /// Whether a report that begins is skipped.
    pub(super) fn begin(&mut self, key: &Arc<ReportKey>) -> bool {
        let is_ahead = self.reports.iter().any(|report| report.key == **key);
        if is_ahead {
            self.current = Some(Arc::clone(key));
        }
        is_ahead
    }

    /// Whether the current report is skipped.
    pub(super) fn is_skipping(&self) -> bool {
        self.current.is_some()
    }

    /// Counts findings of the skipped report.
    pub(super) fn skip(&mut self, findings: u64) {
        self.findings += findings;
    }

    /// The skipped report has ended.
    pub(super) fn end(&mut self) {
        let key = self.current.take();
        self.ended = self.reports.iter().find(|report| Some(&report.key) == key.as_deref()).cloned();
    }

    /// The skipped report that a commit ends.
    pub(super) fn take_ended(&mut self) -> Option<AheadReport> {
        self.ended.take()
    }

    /// The common checkpoint has passed this report.
    pub(super) fn remove(&mut self, key: &ReportKey) {
        self.reports.retain(|report| report.key != *key);
    }

    /// Everything since the last commit is repeated; only the count of findings stays.
    pub(super) fn roll_back(&mut self) {
        (self.current, self.ended) = (None, None);
    }

    /// Total number of skipped findings.
    pub(super) fn findings(&self) -> u64 {
        self.findings
    }
}
