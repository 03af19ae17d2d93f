//! The events that a run sends to the service, one JSON object per line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counts::{Counts, Totals};

/// One event. Readers ignore events and fields that they do not know, so later versions can add both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// The first event: the run is about to open its plugins.
    Hello(Hello),
    /// The state of all inputs and outputs: each second while counts change, otherwise each ten seconds. It also
    /// shows that the run is alive.
    Tick(Tick),
    /// A report ended, and every output has committed it.
    Report(ReportEvent),
    /// An input or output failed.
    Failure(FailureEvent),
    /// A checkpoint was stored in the ledger.
    Checkpoint {
        /// When, as RFC 3339 in UTC.
        at: String,
    },
    /// A value that a plugin measured.
    Gauge {
        /// The `id:` of the instance.
        instance: String,
        /// Name of the value, for example `quota_remaining`.
        name: String,
        /// The value, in the unit that the name implies.
        value: f64,
    },
    /// A sample of what an output writes.
    Tapped {
        /// The `id:` of the output.
        output: String,
        /// A record as the output writes it; empty if it writes none for the finding.
        rendered: String,
        /// Why the output writes no record for the finding.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        omitted: String,
        /// Findings that the run will still show for the request.
        #[serde(default)]
        remaining: u32,
    },
    /// The last event: the summary of the run, as `run --summary json` prints it.
    Summary {
        /// The summary object.
        summary: Value,
    },
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

/// What is run. Sent once, first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// Version of this protocol: [`Hello::PROTOCOL`].
    pub protocol: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Number of the run in the ledger.
    pub run: u64,
    /// Process ID.
    pub pid: u32,
    /// Version of the host.
    pub version: String,
    /// Digest of the accepted configuration; empty without one.
    pub digest: String,
    /// The inputs, in the order of the pipeline file.
    pub inputs: Vec<PluginReference>,
    /// The outputs, in the order of the pipeline file.
    pub outputs: Vec<OutputReference>,
    /// The sums over all earlier runs, from the ledger.
    pub totals: Totals,
    /// The request of the service whose chosen reports the run delivers; empty for other runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub choice: String,
}

impl Hello {
    /// The version of the protocol that this crate implements.
    pub const PROTOCOL: u32 = 1;
}

/// An input of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginReference {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
}

/// An output of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputReference {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Whether the run fails when this output fails.
    pub required: bool,
}

/// The state of all inputs and outputs. Counts are those since the start of the run; they only grow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// The inputs, in the order of [`Hello::inputs`].
    pub inputs: Vec<InputTick>,
    /// The outputs, in the order of [`Hello::outputs`].
    pub outputs: Vec<OutputTick>,
}

/// The state of an input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputTick {
    /// The `id:` in the pipeline.
    pub id: String,
    /// What it does.
    pub state: InputState,
    /// The report that it reads, as its title or path; absent between reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Bytes of the report that were read.
    pub report_bytes: u64,
    /// Size of the report in bytes; 0 if it is not known.
    pub report_bytes_total: u64,
    /// Counts: `reports`, `assets`, `findings`, `bytes`, `incomplete`, `refused`, and `findings_by_severity.KIND.SEVERITY`, for example `findings_by_severity.service.0`.
    pub counts: Counts,
}

/// What an input does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputState {
    /// It reads a report.
    #[default]
    Reading,
    /// It waits before a retry, or for the report lock.
    Waiting,
    /// Its source has nothing new.
    Idle,
    /// It has ended.
    Ended,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// The state of an output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputTick {
    /// The `id:` in the pipeline.
    pub id: String,
    /// What it does.
    pub state: OutputState,
    /// What it does in more detail, in the words of the plugin; empty if nothing is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Counts: `records`, `filtered`, `rejected`, `undelivered`, `diverted`, `retried`, `derived`, `bytes`, and those of
    /// [`Durations`](crate::Durations).
    pub counts: Counts,
    /// Findings in its queue.
    pub queue_findings: u64,
    /// Size of its queue in bytes.
    pub queue_bytes: u64,
    /// Maximum size of its queue in bytes.
    pub queue_capacity_bytes: u64,
    /// Whether its circuit breaker is open: the output counts as unavailable.
    pub circuit_open: bool,
    /// When the oldest finding in the queue was read, as RFC 3339 in UTC; absent when the queue is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_unsent: Option<String>,
}

/// What an output does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputState {
    /// It delivers, or has nothing to deliver.
    #[default]
    Ok,
    /// It waits before it can begin, for example because other instances of the pipeline are active.
    Waiting,
    /// It waits before a retry.
    Retrying,
    /// Its findings go to its failover output.
    Diverted,
    /// A call has taken long without progress.
    Slow,
    /// It has failed; it gets nothing more in this run.
    Failed,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// A report that every output has committed. The log line `report_delivered` has the same fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportEvent {
    /// The `id:` of the input.
    pub input: String,
    /// ID of the report in its source.
    pub report_id: String,
    /// Title of the report.
    pub title: String,
    /// Kind of the report, for example `SCAN`.
    pub report_kind: String,
    /// Path or URL of the report.
    pub path: String,
    /// Whether the whole report was read.
    pub complete: bool,
    /// Findings in it.
    pub findings: u64,
    /// Assets in it.
    pub assets: u64,
    /// Its size at the source in bytes.
    pub bytes: u64,
    /// Time from its start to the last commit, in milliseconds.
    pub duration_ms: u64,
    /// Where the input moved it; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// Findings delivered, by output.
    pub outputs: Counts,
}

/// A failure of an input or output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureEvent {
    /// The `id:` of the instance, or `run`, or `state`.
    pub instance: String,
    /// What failed.
    pub message: String,
    /// What the operator can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code that this failure alone would have.
    pub exit_code: u8,
}
