//! Requests of the control socket, and their responses.

use scanbridge_observe::MetricsFormat;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::job_request::JobRequest;
use crate::log_sink::Level;
use crate::machine::Request;
use crate::send_request::SendRequest;

/// A request of the control socket.
#[derive(Debug)]
pub(crate) enum Api {
    Live,
    Ready,
    Service,
    Pipelines,
    /// All pipelines without their last runs, which their list does not show.
    Overview,
    Pipeline(String),
    Act(String, Request),
    /// Whether the client waits for the end.
    Begin(String, JobRequest, bool),
    Send(String, SendRequest),
    Job(String),
    Cancel(String),
    Reload(ReloadMode),
    Statistics,
    Metrics(MetricsFormat),
    Log {
        pipeline: Option<String>,
        level: Level,
        since: u64,
    },
    Tap(String, TapQuery, UnboundedSender<Value>),
}

impl Api {
    /// Whether nothing that pages show can differ after it.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Live
                | Self::Ready
                | Self::Service
                | Self::Pipelines
                | Self::Overview
                | Self::Pipeline(_)
                | Self::Job(_)
                | Self::Metrics(_)
                | Self::Log { .. }
        )
    }
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// An error (RFC 9457).
    pub(crate) fn problem(status: u16, title: &str, detail: &str) -> Self {
        let exit_code = match status {
            400 | 404 | 405 => 64,
            401 | 403 => 77,
            409 => 75,
            422 => 78,
            _ => 69,
        };
        let body = json!({ "title": title, "status": status, "detail": detail, "exit_code": exit_code });
        Self { status, body }
    }
}

/// How a reload is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ReloadMode {
    /// Nothing is applied if one file is rejected.
    pub(crate) all_or_nothing: bool,
    /// A changed pipeline stops at the next asset and starts from the beginning.
    pub(crate) now: bool,
}

/// Which samples a client asks for. Higher numbers count as the limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct TapQuery {
    /// The `id` of the output; without it, all outputs.
    pub(crate) output: Option<String>,
    /// Findings of each output, at most 100.
    pub(crate) count: u32,
    /// Time limit, at most 60.
    pub(crate) seconds: u32,
}

impl Default for TapQuery {
    fn default() -> Self {
        Self { output: None, count: 20, seconds: 30 }
    }
}

impl TapQuery {
    pub(crate) fn limited(self) -> Self {
        Self { count: self.count.clamp(1, 100), seconds: self.seconds.clamp(1, 60), ..self }
    }
}
