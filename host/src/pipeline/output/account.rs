//! What an output has done with the findings that it received: counts that can be rolled back to the last commit.

use scanbridge_plugin_api::Receipt;
use scanbridge_plugin_api::model::ReportStart;

use crate::pipeline::KindCounts;
use crate::pipeline::item::ReportBegin;
use crate::pipeline::summary::OutputSummary;
use crate::state::{DeadLetterEnd, Missed, OutputCounts, ReportRecord};

/// Disposition of the findings.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Reports that have ended, and findings that were filtered out or rejected.
    pub(super) summary: OutputSummary,
    pub(super) report: Option<OpenReport>,
    pub(super) has_gap: bool,
    /// Whether the other output of the failover pair has what this one lacks.
    pub(super) gap_is_covered: bool,
    /// Receipt of the last commit.
    pub(super) receipt: Option<Receipt>,
    pub(super) dead_letters: DeadLetterEnd,
    /// Outcome of the last report that ended.
    pub(super) ended: Ended,
}

impl Account {
    /// The counts, with those of the current report.
    pub(super) fn counts(&self) -> OutputCounts {
        let report = self.report.as_ref().map(|report| OutputCounts {
            records: report.records.total(),
            derived: report.derived,
            bytes: report.bytes,
            ..OutputCounts::default()
        });
        self.summary.counts().plus(report.unwrap_or_default())
    }
}

/// What an output missed of a report that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct Ended {
    /// The findings for which there is no dead letter.
    pub(in crate::pipeline) missed: Option<Missed>,
    /// Whether nothing is missed as soon as the other output of the failover pair has completed its part.
    pub(in crate::pipeline) awaits_part: bool,
    /// Findings of the report that became dead letters.
    pub(in crate::pipeline) dead_letters: u64,
}

/// The current report. Its counts become those of delivered findings at the end of the report, if it is delivered.
#[derive(Debug, Clone)]
pub(super) struct OpenReport {
    pub(super) begin: ReportBegin,
    pub(super) records: KindCounts,
    pub(super) derived: u64,
    pub(super) bytes: u64,
    pub(super) rejected: u64,
    /// Valid findings that were received, whatever became of them.
    pub(super) received: u64,
    /// Whether findings of it were received.
    pub(super) has_findings: bool,
    /// Whether rows of it were invalid: then the output lacks them, and must not clear anything.
    pub(super) has_invalid_rows: bool,
    /// Set if a batch of the report was invalid: the report is then discarded.
    pub(super) is_invalid: bool,
}

/// Counts of an output. They only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LiveCounts {
    pub(super) records: u64,
    pub(super) filtered: u64,
    pub(super) rejected: u64,
    pub(super) undelivered: u64,
    pub(super) retried: u64,
    pub(super) derived: u64,
    pub(super) bytes: u64,
}

impl LiveCounts {
    /// Findings that the output has handled in any way.
    pub(super) fn handled(&self) -> u64 {
        self.records + self.filtered + self.rejected + self.undelivered
    }

    /// The higher one of each count: what an output rolls back was counted before.
    pub(super) fn at_least(self, other: Self) -> Self {
        Self {
            records: self.records.max(other.records),
            filtered: self.filtered.max(other.filtered),
            rejected: self.rejected.max(other.rejected),
            undelivered: self.undelivered.max(other.undelivered),
            retried: self.retried.max(other.retried),
            derived: self.derived.max(other.derived),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl Account {
    /// Counts up to now; those of the open report are included.
    pub(super) fn live_counts(&self, retried: u64) -> LiveCounts {
        let mut summary = self.summary.clone();
        if let Some(report) = &self.report {
            report.add_to(&mut summary);
        }
        let OutputSummary { records, filtered, rejected, undelivered, derived, bytes, .. } = summary;
        LiveCounts { records, filtered, rejected, undelivered, retried, derived, bytes }
    }
}

impl OpenReport {
    /// Whether this is the given report, at any position.
    pub(super) fn is_report(&self, report: &ReportStart) -> bool {
        ReportRecord::from(&*self.begin.report) == ReportRecord::from(report)
    }

    /// A report of which nothing was received.
    pub(super) fn new(begin: ReportBegin) -> Self {
        let records = KindCounts::default();
        Self {
            begin,
            records,
            derived: 0,
            bytes: 0,
            rejected: 0,
            received: 0,
            has_findings: false,
            has_invalid_rows: false,
            is_invalid: false,
        }
    }

    /// Counts its findings as delivered.
    pub(super) fn add_to(&self, summary: &mut OutputSummary) {
        summary.records += self.records.total();
        summary.records_by_kind.add_all(&self.records);
        summary.derived += self.derived;
        summary.bytes += self.bytes;
    }
}
