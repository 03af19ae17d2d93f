//! The history of runs.

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;

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
    /// The reports that an operator has chosen. `None` for a run that reads what its inputs find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

/// Stored reports of one input that a run delivers. A later run continues it after an interruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The `id:` of the input.
    pub input: String,
    /// IDs of the reports, in the order of delivery.
    pub ids: Vec<String>,
    /// Whether to deliver reports that were delivered before.
    #[serde(default)]
    pub again: bool,
    /// The request of the service that it belongs to; empty for a choice of the command line. A service that was killed
    /// starts the same choice again: it is not delivered twice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
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
