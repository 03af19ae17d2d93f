//! Requests of the control socket, and their responses.

use scanbridge_observe::MetricsFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::jobs::DeadLetterRequest;
use crate::log_sink::Level;
use crate::machine::Request;

/// A request of the control socket.
#[derive(Debug)]
pub(crate) enum Api {
    Live,
    Ready,
    Service,
    Pipelines,
    Pipeline(String),
    Act(String, Request),
    DeadLetters(String, DeadLetterRequest),
    Reload(ReloadMode),
    Statistics,
    Metrics(MetricsFormat),
    Log { pipeline: Option<String>, level: Level, since: u64 },
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
            404 => 64,
            403 => 77,
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
