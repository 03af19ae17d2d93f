//! What a checkpoint and the end of a run store.

use std::collections::BTreeMap;

use scanbridge_observe::Totals;
use scanbridge_plugin_api::{ReportKey, StoredReport};
use serde::{Deserialize, Serialize};

use super::day_counts::DayCounts;
use super::dead_letter::ReportRecord;

/// A position in the stream that every output has delivered, so that a later run can resume there.
///
/// As JSON, without what is stored apart: the positions, and the receipts and dead letters of the outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// The position of each input, in a format private to the input.
    #[serde(skip)]
    pub positions: BTreeMap<String, Vec<u8>>,
    /// The state that each output can roll back to.
    pub outputs: BTreeMap<String, OutputState>,
    /// The input whose report is in progress at this position.
    pub active_input: Option<String>,
    /// Ended reports that their input has not confirmed yet, by the `id` of the input.
    pub unconfirmed: BTreeMap<String, Vec<StoredReport>>,
    /// Invalid rows of the report in progress up to this position, by the `id` of the input.
    pub invalid_rows: BTreeMap<String, InvalidOfReport>,
}

/// Invalid rows of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvalidOfReport {
    /// Those with a dead letter.
    pub dead_letters: u64,
    /// Those without, because too many came.
    pub lost: u64,
}

/// State of one output at a checkpoint. As JSON, without what is stored apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputState {
    /// The receipt, in a format private to the output. `None` for an output that cannot resume.
    #[serde(skip)]
    pub receipt: Option<Vec<u8>>,
    /// Whether the output misses findings of the report in progress. If so, it must not remove old findings at the
    /// end of the report.
    pub has_gap: bool,
    /// Whether the other output of its failover pair has these findings.
    pub gap_is_covered: bool,
    /// Whether rows of the report in progress were invalid: then, too, the output must not remove old findings.
    pub has_invalid_rows: bool,
    /// Findings of the report in progress that are in its dead letters.
    pub rejected: u64,
    /// Its last dead letter.
    #[serde(skip)]
    pub dead_letters: DeadLetterEnd,
    /// The report whose findings the output had received. If it differs from the report in progress, the output
    /// receives only the rest of that report.
    pub report: Option<ReportRecord>,
    /// Reports after the common checkpoint that this output has already published. They are not sent to it again.
    pub ahead: Vec<AheadReport>,
    /// What it has committed in this run, and in the interrupted runs that led to it.
    pub counts: OutputCounts,
}

/// What an output has made of the findings that it received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputCounts {
    /// Findings delivered.
    pub records: u64,
    /// Records in addition to the findings.
    pub derived: u64,
    /// Findings that were filtered out.
    pub filtered: u64,
    /// Findings that the output rejected.
    pub rejected: u64,
    /// Bytes written.
    pub bytes: u64,
}

impl OutputCounts {
    /// The sums of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            derived: self.derived.saturating_add(other.derived),
            filtered: self.filtered.saturating_add(other.filtered),
            rejected: self.rejected.saturating_add(other.rejected),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl Checkpoint {
    /// Whether a report is in progress, for an input or for an output. Only the pipeline that began it can finish it.
    #[must_use]
    pub fn is_inside_report(&self) -> bool {
        let is_behind = |output: &OutputState| output.report.is_some() || !output.ahead.is_empty();
        self.active_input.is_some() || self.outputs.values().any(is_behind)
    }

    /// Whether no output has committed a finding. Then nothing is lost if the run is not resumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.values().all(|output| {
            // An output has a receipt already at the first checkpoint, before the first report.
            let OutputState { report, ahead, counts, .. } = output;
            report.is_none() && ahead.is_empty() && *counts == OutputCounts::default()
        })
    }
}

/// A report that one output published before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AheadReport {
    /// The report.
    pub key: ReportKey,
    /// What the output misses of the report that is not in the dead letters.
    pub missed: Option<Missed>,
    /// Number of the report's findings in the dead letters.
    pub dead_letters: u64,
}

/// Findings of a report that an output misses and that are not in the dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Missed {
    /// Number of findings, as far as known: those of the last run that read the report.
    pub findings: u64,
    /// Why they are missing.
    pub reason: String,
}

/// What has happened since the last checkpoint in the ledger. As JSON, without the changes of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinceCheckpoint {
    /// Reports that were delivered.
    pub reports: Vec<SentReport>,
    /// Changes of keys, by the `id` of the instance.
    #[serde(skip)]
    pub keys: Vec<(String, KeyChanges)>,
    /// Reports of which an output lacks findings, or no longer does.
    pub missed: Vec<MissedChange>,
    /// Dead letters of invalid rows, as JSON, by the `id` of the input.
    pub invalid_rows: Vec<(String, Vec<Vec<u8>>)>,
}

/// What the end of a run stores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndOfRun {
    /// What has happened since the last checkpoint.
    pub since: SinceCheckpoint,
    /// Reports that their inputs have not confirmed, by the `id` of the input.
    pub unconfirmed: BTreeMap<String, Vec<StoredReport>>,
    /// The last dead letter of each output, if the run has finished.
    pub dead_letters: BTreeMap<String, DeadLetterEnd>,
    /// The summary of the run as JSON, and its counts; `None` for a run without a summary.
    pub summary: Option<(Vec<u8>, DayCounts)>,
    /// The sums over all runs, with this one.
    pub totals: Option<Totals>,
}

/// A report that all outputs accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentReport {
    /// The `id:` of the input.
    pub input: String,
    /// The scanner's ID of the report.
    pub id: String,
    /// Its title.
    pub title: String,
    /// When the scan or report was created.
    pub time: String,
    /// File or URL.
    pub path: String,
    /// Whether the report was complete.
    pub complete: bool,
    /// When the report was delivered, in UTC.
    pub sent: String,
}

/// The last dead letter of an output, or of the invalid rows of an input, that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterEnd {
    /// Its number; 0 if there was none yet. Numbers are not used again.
    pub number: u64,
    /// Size of all these dead letters up to it, in bytes.
    pub bytes: u64,
}

/// A report of which an output lacks findings. The input keeps its source until this is settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MissedReport {
    /// The `id:` of the output; that of the input if invalid rows of it could not be kept as dead letters.
    pub output: String,
    /// The report.
    pub report: ReportKey,
    /// What is missing.
    #[serde(flatten)]
    pub missed: Missed,
    /// The run that read it.
    pub run: u64,
    /// When it was read, in UTC.
    pub time: String,
}

/// A change of the list of missed reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedChange {
    /// The output lacks findings of the report.
    Add(MissedReport),
    /// The output has received the report.
    Remove {
        /// The `id:` of the output.
        output: String,
        /// The report.
        report: ReportKey,
    },
}

/// Changes of the keys of one instance: a new value, or `None` for a deleted key.
pub type KeyChanges = BTreeMap<String, Option<Vec<u8>>>;
