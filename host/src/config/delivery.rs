//! How findings are delivered: what the host itself is told about runs, inputs and outputs.

use std::time::Duration;

use serde::Serialize;

/// How a run goes on after an interruption, and what it does beside another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSettings {
    /// What a second run of a pipeline does while the first one is under way.
    pub if_running: IfRunning,
    /// How much may be delivered anew after a crash.
    pub checkpoint: CheckpointInterval,
    /// How large the dead letters of one output may grow, in bytes.
    pub dead_letter_bytes: u64,
}

/// What a second run of a pipeline does while the first one is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IfRunning {
    /// It ends with exit code 75.
    Fail,
    /// It waits.
    Wait,
}

/// A checkpoint is made when either limit is reached, at the next place where the input can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CheckpointInterval {
    /// Bytes of findings since the last one, as they travel.
    pub bytes: u64,
    /// Time since the last one.
    #[serde(rename = "secs", serialize_with = "seconds")]
    pub time: Duration,
}

/// How an output is fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// What may wait before it.
    pub queue: QueueLimits,
    /// What happens when no more may wait.
    pub on_full: OnFull,
    /// How it is tried again when it is unavailable.
    pub retry: RetryPolicy,
    /// The `id:` of the output that stands in for it while it is down.
    pub failover: Option<String>,
    /// The most findings that are handed to it in a second.
    pub max_findings_per_sec: Option<u64>,
    /// How long one call may take before the output counts as hung.
    #[serde(rename = "hang_secs", serialize_with = "seconds")]
    pub hang: Duration,
}

/// What may wait before an output. One batch always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueLimits {
    /// Bytes of findings, as they travel.
    pub bytes: u64,
    /// Findings.
    pub findings: u64,
}

/// What happens to findings for which an output has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFull {
    /// The input waits, and so do the other outputs. An output that is down and not required is never waited for.
    Block,
    /// They are left out for this output, and counted as not delivered.
    Drop,
}

/// How something that is unavailable is tried again: after pauses that double, with jitter, until the time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// The first pause.
    #[serde(rename = "initial_secs", serialize_with = "seconds")]
    pub initial: Duration,
    /// The longest pause.
    #[serde(rename = "max_secs", serialize_with = "seconds")]
    pub longest: Duration,
    /// How long to go on trying after the first failure; nothing means that nothing is tried again.
    #[serde(rename = "max_elapsed_secs", serialize_with = "seconds")]
    pub max_elapsed: Duration,
    /// After so many failures in a row the peer is only probed, and the `failover` takes over.
    pub breaker_failures: u32,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            if_running: IfRunning::Fail,
            checkpoint: CheckpointInterval { bytes: 4 << 20, time: Duration::from_secs(5) },
            dead_letter_bytes: 256 << 20,
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            queue: QueueLimits { bytes: 2 << 20, findings: 50_000 },
            on_full: OnFull::Block,
            retry: RetryPolicy::default(),
            failover: None,
            max_findings_per_sec: None,
            hang: Duration::from_secs(600),
        }
    }
}

impl Default for RetryPolicy {
    /// The values that the OpenTelemetry Collector's exporters have in common, with a longer pause in the end.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            max_elapsed: Duration::from_secs(300),
            breaker_failures: 5,
        }
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}
