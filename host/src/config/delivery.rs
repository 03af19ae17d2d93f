//! Delivery settings of a pipeline: the host's own settings of runs, inputs and outputs.

use std::time::Duration;

use serde::Serialize;

use super::host_options::HostSettings;

/// Settings of a run: checkpoints, concurrent runs and dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSettings {
    /// Behavior when the pipeline is already running.
    pub if_running: IfRunning,
    /// Whether each input ends as soon as it has nothing to read now, instead of waiting for new reports.
    pub until_idle: bool,
    /// Interval between checkpoints. After a crash, findings since the last checkpoint are delivered again.
    pub checkpoint: CheckpointInterval,
    /// Maximum size of the dead letters of each output, and of the invalid rows of each input, in bytes.
    pub dead_letter_bytes: u64,
    /// Whether findings are compared with those of the last run.
    pub compare: bool,
    /// Number of runs that the service keeps in progress.
    pub instances: u32,
}

/// Behavior of a run when the pipeline is already running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IfRunning {
    /// Fails with exit code 75.
    Fail,
    /// Waits until the other run has finished.
    Wait,
}

/// A checkpoint is made when either limit is reached, at the next position where the input can resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CheckpointInterval {
    /// Size of findings since the last checkpoint, in bytes of the batch format.
    pub bytes: u64,
    /// Time since the last checkpoint.
    #[serde(rename = "secs", serialize_with = "seconds")]
    pub time: Duration,
}

/// Delivery settings of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Limits of its queue.
    pub queue: QueueLimits,
    /// Behavior when the queue is full.
    pub on_full: OnFull,
    /// Retries when its destination is unavailable.
    pub retry: RetryPolicy,
    /// The `id:` of the failover output, which receives the findings while this output is unavailable.
    pub failover: Option<String>,
    /// Rate limit, in findings per second; `None` for no limit.
    pub max_findings_per_sec: Option<u64>,
    /// Timeout of one plugin call without progress; then the output is abandoned.
    #[serde(rename = "hang_secs", serialize_with = "seconds")]
    pub hang: Duration,
}

/// Behavior when an input sends an invalid row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalid {
    /// The row becomes a dead letter and goes to no output; the report is incomplete.
    #[default]
    Reject,
    /// Nothing of the report is delivered, and the run ends.
    Fail,
}

/// Limits of an output's queue. One batch is always accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueLimits {
    /// Maximum size of queued findings, in bytes of the batch format.
    pub bytes: u64,
    /// Maximum number of queued findings.
    pub findings: u64,
}

/// Behavior when an output's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFull {
    /// The input waits, and so do the other outputs. It does not wait for an optional output that is
    /// unavailable.
    Block,
    /// Findings are dropped for this output and counted as undelivered.
    Drop,
}

/// Retries of an unavailable source or destination: exponential backoff with jitter and a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// First pause between retries.
    #[serde(rename = "initial_secs", serialize_with = "seconds")]
    pub initial: Duration,
    /// Longest pause between retries.
    #[serde(rename = "max_secs", serialize_with = "seconds")]
    pub longest: Duration,
    /// Time limit for retries after the first failure; zero disables retries.
    #[serde(rename = "max_elapsed_secs", serialize_with = "seconds")]
    pub max_elapsed: Duration,
    /// Consecutive failures that open the circuit breaker: the destination is then only probed, and the
    /// `failover` output is used.
    pub breaker_failures: u32,
}

impl RunSettings {
    pub(super) fn of(host: &HostSettings) -> Self {
        Self {
            if_running: match host.text("if_running") {
                Some("wait") => IfRunning::Wait,
                _ => IfRunning::Fail,
            },
            until_idle: host.text("until") == Some("idle"),
            checkpoint: CheckpointInterval {
                bytes: host.number("checkpoint.bytes"),
                time: host.seconds("checkpoint.secs"),
            },
            dead_letter_bytes: host.number("dead_letter_bytes"),
            compare: host.flag("compare"),
            instances: u32::try_from(host.number("instances")).unwrap_or(1),
        }
    }
}

impl Delivery {
    pub(super) fn of(host: &HostSettings) -> Self {
        Self {
            queue: QueueLimits { bytes: host.number("queue.bytes"), findings: host.number("queue.findings") },
            on_full: match host.text("on_full") {
                Some("drop") => OnFull::Drop,
                _ => OnFull::Block,
            },
            retry: RetryPolicy::of(host),
            failover: host.text("failover").map(str::to_owned),
            max_findings_per_sec: host.optional_number("max_findings_per_sec"),
            hang: host.seconds("hang_secs"),
        }
    }
}

impl OnInvalid {
    pub(super) fn of(host: &HostSettings) -> Self {
        match host.text("on_invalid") {
            Some("fail") => Self::Fail,
            _ => Self::Reject,
        }
    }
}

impl RetryPolicy {
    pub(super) fn of(host: &HostSettings) -> Self {
        let initial = host.seconds("retry.initial_secs");
        Self {
            initial,
            longest: host.seconds("retry.max_secs").max(initial),
            max_elapsed: host.seconds("retry.max_elapsed_secs"),
            breaker_failures: u32::try_from(host.number("retry.breaker_failures")).unwrap_or(u32::MAX),
        }
    }
}

impl RetryPolicy {
    /// The policy in a run that waits for new reports: an outage does not end it, unless a time limit is set.
    #[must_use]
    pub(crate) fn in_endless_run(self, host: &HostSettings) -> Self {
        let is_limited = host.is_set("retry.max_elapsed_secs");
        Self { max_elapsed: if is_limited { self.max_elapsed } else { Duration::MAX }, ..self }
    }
}

/// The defaults of the table of keys.
impl Default for RunSettings {
    fn default() -> Self {
        Self::of(&HostSettings::default())
    }
}

/// The defaults of the table of keys: those of the OpenTelemetry Collector's exporters, except for a longer maximum
/// pause.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self::of(&HostSettings::default())
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}
