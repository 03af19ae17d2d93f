//! Records of the ledger.

use std::collections::BTreeMap;

use scanbridge_plugin_api::{ReportKey, StoredReport};
use serde::{Deserialize, Serialize};

use super::dead_letter::ReportRecord;
use super::fingerprint::Fingerprint;
use super::ledger::{DeadLetterEnd, KeyChanges, MissedChange};

/// A position in the stream that every output has delivered, so that a later run can resume there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position of each input, in a format private to the input.
    pub positions: BTreeMap<String, Vec<u8>>,
    /// The state that each output can roll back to.
    pub outputs: BTreeMap<String, OutputState>,
    /// The input whose report is in progress at this position.
    pub active_input: Option<String>,
    /// Ended reports that their input has not confirmed yet, by the `id` of the input.
    pub unconfirmed: BTreeMap<String, Vec<StoredReport>>,
}

/// State of one output at a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputState {
    /// The receipt, in a format private to the output. `None` for an output that cannot resume.
    pub receipt: Option<Vec<u8>>,
    /// Whether the output misses findings of the report in progress. If so, it must not remove old findings at the
    /// end of the report.
    pub has_gap: bool,
    /// Its last dead letter.
    pub dead_letters: DeadLetterEnd,
    /// The report whose findings the output had received. If it differs from the report in progress, the output
    /// receives only the rest of that report.
    pub report: Option<ReportRecord>,
    /// Reports after the common checkpoint that this output has already published. They are not sent to it again.
    pub ahead: Vec<AheadReport>,
}

/// A report that one output published before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AheadReport {
    /// The report.
    pub key: ReportKey,
    /// Whether the output misses findings of the report that are not in the dead letters.
    pub missed: bool,
    /// Number of the report's findings in the dead letters.
    pub dead_letters: u64,
}

/// What has happened since the last checkpoint in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinceCheckpoint {
    /// Reports that were delivered.
    pub reports: Vec<SentReport>,
    /// Changes of keys, by the `id` of the instance.
    pub keys: Vec<(String, KeyChanges)>,
    /// Reports of which an output lacks findings, or no longer does.
    pub missed: Vec<MissedChange>,
}

/// What the end of a run stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndOfRun {
    /// What has happened since the last checkpoint.
    pub since: SinceCheckpoint,
    /// Reports that their inputs have not confirmed, by the `id` of the input.
    pub unconfirmed: BTreeMap<String, Vec<StoredReport>>,
    /// The last dead letter of each output, if the run has finished.
    pub dead_letters: BTreeMap<String, DeadLetterEnd>,
}

/// A run in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Ascending number.
    pub number: u64,
    /// When the run started, in UTC.
    pub started: String,
    /// When it ended. `None` while it runs, or if it was killed.
    pub ended: Option<String>,
    /// State of the run.
    pub state: RunState,
    /// What the pipeline delivers: decides whether a later run can resume.
    pub fingerprint: Fingerprint,
    /// The exit code. `None` as for `ended`.
    pub exit_code: Option<u8>,
    /// Number of findings read.
    pub findings: u64,
}

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The run is in progress, or was killed.
    Running,
    /// The run was stopped, or something was unavailable: the next run resumes it.
    Interrupted,
    /// Nothing is left to resume.
    Finished,
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
