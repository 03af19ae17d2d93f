//! What the ledger holds.

use std::collections::BTreeMap;

use scanbridge_plugin_api::{ReportKey, StoredReport};
use serde::{Deserialize, Serialize};

use super::letter::LetterReport;

/// A place in the stream that every output has delivered, so that a later run can go on there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where each input goes on, in its own words.
    pub positions: BTreeMap<String, Vec<u8>>,
    /// What each output can go back to.
    pub outputs: BTreeMap<String, OutputState>,
    /// The input whose report is under way at this place.
    pub under_way: Option<String>,
    /// Reports that ended, and that an input has not confirmed yet: by the `id` of the input.
    pub unconfirmed: BTreeMap<String, Vec<StoredReport>>,
}

/// What the host keeps of one output at a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputState {
    /// The receipt, in the output's own words; none for an output that cannot resume.
    pub receipt: Option<Vec<u8>>,
    /// Whether it lacks findings of the report under way: then it must not clear anything at its end.
    pub has_gap: bool,
    /// How long its file of dead letters was, in bytes.
    pub dead_letters: u64,
    /// The report of which findings had come to it: where another one, or none, stands here, it gets only the rest of
    /// the report under way.
    pub report: Option<LetterReport>,
    /// Reports after the common checkpoint that this output has published already: they are not sent to it again.
    pub ahead: Vec<AheadReport>,
}

/// A report that an output has published before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AheadReport {
    /// The report.
    pub key: ReportKey,
    /// Whether the output lacks findings of it for which there is no dead letter.
    pub missed: bool,
    /// How many of its findings became dead letters.
    pub dead_letters: u64,
}

/// One run, as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Counts up.
    pub number: u64,
    /// When it began, in UTC.
    pub started: String,
    /// When it ended; none while it is under way, or when it was killed.
    pub ended: Option<String>,
    /// How it stands.
    pub state: RunState,
    /// What the pipeline was, without its secrets: a later run goes on only with the same.
    pub fingerprint: String,
    /// The exit code; none as for `ended`.
    pub exit_code: Option<u8>,
    /// Findings read.
    pub findings: u64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It is under way, or was killed.
    Running,
    /// It was stopped, or something was unavailable: the next run goes on with it.
    Interrupted,
    /// There is nothing to go on with.
    Finished,
}

/// A report that all outputs took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentReport {
    /// The `id:` of the input.
    pub input: String,
    /// The scanner's number for it.
    pub id: String,
    /// Its title.
    pub title: String,
    /// When the scan or report was made.
    pub time: String,
    /// The file or address.
    pub path: String,
    /// Whether it was whole.
    pub complete: bool,
    /// When it was delivered, in UTC.
    pub sent: String,
}
