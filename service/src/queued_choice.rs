//! A choice of reports as it is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::JobView;

/// Reports that an operator has chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct QueuedChoice {
    /// Names it in requests, and in the ledger.
    pub(crate) id: String,
    /// The `id` of the input.
    pub(crate) input: String,
    /// The reports in the order of delivery; empty once they were sent.
    pub(crate) ids: Vec<String>,
    pub(crate) again: bool,
    /// Number of reports.
    pub(crate) reports: u64,
    pub(crate) asked: Timestamp,
    /// When the first run for it was started.
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// The last run for it.
    pub(crate) run: Option<u64>,
    /// Exit code of that run; of a choice that has not ended, why it is not finished.
    pub(crate) exit_code: Option<u8>,
    pub(crate) reason: String,
}

impl QueuedChoice {
    pub(crate) fn is_waiting(&self) -> bool {
        self.ended.is_none()
    }

    /// The job that clients see. `is_running` says whether a run delivers it now.
    pub(crate) fn view(&self, pipeline: &str, is_running: bool, summary: Option<&Value>) -> JobView {
        let state = match (self.ended, self.started) {
            (Some(_), _) => "ended",
            _ if is_running => "running",
            (None, Some(_)) => "interrupted",
            (None, None) => "queued",
        };
        JobView {
            state: state.to_owned(),
            reports: Some(self.reports),
            asked: self.asked,
            started: self.started,
            ended: self.ended,
            run: self.run,
            exit_code: self.exit_code,
            reason: self.reason.clone(),
            summary: summary.cloned(),
            ..JobView::queued(&self.id, pipeline, "send")
        }
    }

    pub(crate) fn end(&mut self, code: Option<u8>, reason: &str) {
        (self.ended, self.exit_code, self.reason) = (Some(Timestamp::now()), code, reason.to_owned());
        self.ids = Vec::new();
    }
}
