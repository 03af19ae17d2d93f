//! The requests that the service sends to a run, one JSON object per line.

use serde::{Deserialize, Serialize};

/// One request. A run ignores requests and fields that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServiceRequest {
    /// End the run in order.
    Stop {
        /// Where it may end.
        at: StopAt,
    },
    /// Log one line of counts and send a tick now.
    Statistics {},
    /// Send samples of what an output writes.
    Tap {
        /// The `id:` of the output.
        output: String,
        /// Number of samples.
        count: u32,
        /// Time limit in seconds.
        seconds: u32,
    },
    /// A request of a later version.
    #[serde(other)]
    Unknown,
}

/// Where a run that is asked to stop may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopAt {
    /// At the end of the report that is being read.
    Report,
    /// At the next checkpoint, as SIGTERM does.
    Asset,
    /// At once: every call is cancelled.
    Now,
    /// A word of a later version; treated as [`StopAt::Asset`].
    #[serde(other)]
    Unknown,
}
