//! The process of a pipeline, and what it has reported.

use std::process::ExitStatus;
use std::time::Duration;

use scanbridge_observe::FailureEvent;
use serde_json::Value;

use crate::child::Run;

/// The process of a pipeline.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) run: Run,
    /// Number among all processes; events of an earlier one are ignored.
    pub(crate) number: u64,
    /// Whether it is a job, not a run.
    pub(crate) is_job: bool,
    pub(crate) exited: Option<(ExitStatus, Duration)>,
    pub(crate) is_closed: bool,
}

/// What the run has reported, besides what [`PipelineView`](scanbridge_observe::PipelineView) keeps.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) reports: u64,
    pub(crate) failure: Option<FailureEvent>,
    pub(crate) summary: Option<Value>,
    /// The choice of reports that it delivers; empty for other runs.
    pub(crate) choice: String,
}
