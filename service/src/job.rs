//! Jobs of a pipeline besides its runs, and what clients see of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::job_request::JobRequest;
use crate::request::Reply;

/// A job, and the client that waits for its result.
#[derive(Debug)]
pub(crate) struct Job {
    /// Names it in requests.
    pub(crate) id: String,
    pub(crate) request: JobRequest,
    /// `None` if the client asks for the result later: then the job does not end with its connection.
    pub(crate) reply: Option<oneshot::Sender<Reply>>,
    /// Number of the last line in the log when it was requested.
    pub(crate) since: u64,
    pub(crate) is_abandoned: bool,
}

/// What clients see of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobView {
    pub(crate) id: String,
    pub(crate) pipeline: String,
    /// `send`, `skip`, `replay` or `purge`.
    pub(crate) kind: String,
    /// `queued`, `running` or `ended`; a `send` can also be `interrupted`.
    pub(crate) state: String,
    /// Only of a `send`, which counts its reports before it starts.
    pub(crate) reports: Option<u64>,
    pub(crate) asked: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) run: Option<u64>,
    pub(crate) exit_code: Option<u8>,
    pub(crate) reason: String,
    /// What the command printed.
    pub(crate) output: String,
    /// The warnings and errors of the pipeline since the request.
    pub(crate) log: Value,
    pub(crate) summary: Option<Value>,
}

impl JobView {
    pub(crate) fn queued(id: &str, pipeline: &str, kind: &str) -> Self {
        Self {
            id: id.to_owned(),
            pipeline: pipeline.to_owned(),
            kind: kind.to_owned(),
            state: "queued".to_owned(),
            reports: None,
            asked: Timestamp::now(),
            started: None,
            ended: None,
            run: None,
            exit_code: None,
            reason: String::new(),
            output: String::new(),
            log: Value::Array(Vec::new()),
            summary: None,
        }
    }

    pub(crate) fn start(&mut self) {
        self.state = "running".to_owned();
        self.started = Some(Timestamp::now());
    }

    pub(crate) fn end(&mut self, exit_code: u8, reason: &str) {
        self.state = "ended".to_owned();
        self.ended = Some(Timestamp::now());
        (self.exit_code, self.reason) = (Some(exit_code), reason.to_owned());
    }
}
