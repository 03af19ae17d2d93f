//! The process of a pipeline, and what it has reported.

use std::process::ExitStatus;
use std::time::Duration;

use scanbridge_observe::{FailureEvent, Hello, Tick};
use serde_json::Value;

use crate::child::Run;

/// The process of a pipeline.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) run: Run,
    /// Number among all processes; events of an earlier one are ignored.
    pub(crate) number: u64,
    pub(crate) exited: Option<(ExitStatus, Duration)>,
    pub(crate) is_closed: bool,
}

/// What the run has reported.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) hello: Option<Hello>,
    pub(crate) tick: Tick,
    pub(crate) reports: u64,
    pub(crate) failure: Option<FailureEvent>,
    pub(crate) summary: Option<Value>,
}
