//! The language between the examiner and its child processes: a job in, a journal of calls out.

use std::path::PathBuf;

use scanbridge_plugin_api::{
    Fips, InputCapabilities, OutputCapabilities, PluginKind, Purpose, Rendered, ReportEntry, ReportKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::DeliveredRecords;

/// What a child does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) library: PathBuf,
    /// Whether libraries that other users can replace are loaded.
    pub(super) allow_world_writable: bool,
    /// The FIPS mode of the child.
    pub(super) fips: Fips,
    /// `None`: the child only describes the library.
    pub(super) plugin: Option<(PluginKind, String)>,
    pub(super) instances: Vec<Instance>,
    pub(super) calls: Vec<Call>,
    pub(super) kill: Option<Kill>,
    /// The file of the journal, one JSON document per line.
    pub(super) journal: PathBuf,
    /// The file for log lines of the plugin.
    pub(super) log: PathBuf,
    /// Where [`Step::Snapshot`] finds what was delivered.
    pub(super) delivered: Option<DeliveredRecords>,
}

impl Job {
    /// The directories `{dir}` of the instances, in the directory of the journal; the longer name first.
    pub(super) fn dirs(&self) -> [PathBuf; 2] {
        ["dir1", "dir"].map(|name| self.journal.with_file_name(name))
    }
}

/// One instance of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) options: Map<String, Value>,
    pub(super) state_folder: PathBuf,
    pub(super) purpose: Purpose,
    pub(super) batch_bytes: Option<u64>,
    /// The only reports that an input reads.
    pub(super) reports: Option<Vec<ReportKey>>,
}

/// The child kills itself with SIGKILL at a call.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Kill {
    /// Index of the call.
    pub(super) call: usize,
    /// Microseconds after the start of the call; `None`: before it.
    pub(super) after: Option<u64>,
}

/// One call of one instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) instance: usize,
    pub(super) step: Step,
}

/// What an instance is opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Resume {
    /// Nothing.
    Fresh,
    /// Nothing, after a run that has finished: an input has the keys of the last `close` in this directory.
    NextRun,
    /// The last receipt or position of this child.
    Last,
    /// These bytes.
    From(Vec<u8>),
}

impl Resume {
    /// The receipt or position; `last` is the last one of this child.
    pub(super) fn bytes(&self, last: Option<&Vec<u8>>) -> Option<Vec<u8>> {
        match self {
            Self::Fresh | Self::NextRun => None,
            Self::Last => last.cloned(),
            Self::From(bytes) => Some(bytes.clone()),
        }
    }
}

/// A place in the material of an output: before this finding of this report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) report: u32,
    pub(super) finding: u32,
}

/// A call, or something that the host does between calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    Open(Resume),
    Check,
    Close,
    /// Sets the cancel level of the instance.
    Level(u32),
    /// Counts threads, open files and memory of the process.
    Measure,
    /// Reads what was delivered so far.
    Snapshot,
    /// Ends the process with SIGKILL.
    Die,
    /// Outputs: the report begins.
    Begin {
        report: u32,
        continued: bool,
        partial: bool,
        has_gap: bool,
    },
    /// Outputs: findings `from` to `to` of the report; a filter has selected the first and then every `every`th of them.
    Write {
        report: u32,
        from: u32,
        to: u32,
        every: u32,
    },
    /// Outputs: the same findings are rendered.
    Render {
        report: u32,
        from: u32,
        to: u32,
        every: u32,
    },
    /// Outputs: the report ends.
    End {
        complete: bool,
        deliver: bool,
    },
    /// Outputs: a commit; the position is what a run could continue with.
    Commit {
        between_reports: bool,
    },
    /// The ledger has the last receipt; a later run continues at this place.
    Transaction(Place),
    /// Outputs: the last receipt is stored.
    Publish,
    /// Inputs: steps until the input has finished or is idle, or this number of positions has come.
    Read {
        positions: Option<usize>,
    },
    /// Inputs: lists all stored reports, in pages of this size.
    List {
        limit: u64,
    },
    /// Inputs: chooses these reports.
    Choose {
        ids: Vec<String>,
        again: bool,
    },
    /// Inputs: these reports count as delivered, or no longer.
    Mark {
        ids: Vec<String>,
        delivered: bool,
    },
    /// Inputs: the last position is stored, and the reports that have ended since the last call had this outcome.
    Confirm {
        outcome: String,
    },
}

impl Step {
    /// The name of the plugin's function, or of what the host does.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Check => "check",
            Self::Close => "close",
            Self::Level(_) => "the cancel level",
            Self::Measure | Self::Snapshot | Self::Die => "the examiner",
            Self::Begin { .. } => "begin",
            Self::Write { .. } => "write",
            Self::Render { .. } => "render",
            Self::End { .. } => "end",
            Self::Commit { .. } => "commit",
            Self::Transaction(_) => "the transaction",
            Self::Publish | Self::Confirm { .. } => "stored",
            Self::Read { .. } => "next",
            Self::List { .. } => "list",
            Self::Choose { .. } => "choose",
            Self::Mark { .. } => "mark",
        }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Entry {
    /// The library was loaded.
    Loaded(Description),
    /// The library cannot be loaded.
    Refused(String),
    /// A call begins.
    Begun(usize),
    /// One step of an input.
    Read(usize, ReadStep),
    /// A call has returned.
    Returned(Box<Returned>),
    /// All calls are made; the process ends.
    End,
}

/// What a library says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) descriptors: Vec<Value>,
    /// Name and problem of each description that cannot be used.
    pub(super) faults: Vec<(String, String)>,
}

/// The result of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Returned {
    pub(super) call: usize,
    pub(super) micros: u64,
    pub(super) error: Option<CallError>,
    /// Whether the call did not return in time.
    pub(super) hung: bool,
    pub(super) value: Answer,
}

/// The error of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CallError {
    pub(super) kind: scanbridge_plugin_api::ErrorKind,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What a call has returned.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    /// `open`: the capabilities of an output.
    pub(super) output: Option<scanbridge_plugin_api::OutputCapabilities>,
    /// `open`: the capabilities of an input.
    pub(super) input: Option<scanbridge_plugin_api::InputCapabilities>,
    /// `check`: its steps as text.
    pub(super) steps: Vec<String>,
    /// `write`, `end`: rows that were sent, and rows that are named in the answer.
    pub(super) rows: u64,
    pub(super) rejected: Vec<u32>,
    pub(super) retry: Vec<u32>,
    pub(super) left_out: Vec<u32>,
    pub(super) reasons: Vec<String>,
    pub(super) derived: u64,
    pub(super) bytes: u64,
    /// `render`: the records; `None` if the plugin does not have the function.
    pub(super) rendered: Option<Vec<Rendered>>,
    /// `commit` and the transaction: the receipt.
    pub(super) receipt: Option<Vec<u8>>,
    /// The place that the transaction stored.
    pub(super) place: Option<Place>,
    /// Snapshot: the records.
    pub(super) records: Vec<String>,
    /// Measure: threads, open files, resident memory in KiB.
    pub(super) usage: Option<(u64, u64, u64)>,
    /// `list`: the stored reports.
    pub(super) listed: Option<Vec<ReportEntry>>,
    /// `mark`: the number of changes.
    pub(super) changed: Option<u64>,
    /// `next`: whether the input has finished, as opposed to idle or stopped.
    pub(super) finished: bool,
}

/// One step of an input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ReadStep {
    pub(super) position: Option<Vec<u8>>,
    pub(super) event: ReadEvent,
}

/// What came with a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum ReadEvent {
    Start { report: Value, continued: bool, fault: Option<String> },
    Batch(ReadBatch),
    End { complete: bool, reason: String, deliver: bool },
    Refused { path: String, message: String },
    Mark,
    Idle,
    Finished,
}

/// A batch of an input.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ReadBatch {
    /// Cells of each asset, and whether it is continued.
    pub(super) assets: Vec<(String, bool)>,
    /// Cells of each finding with its asset and definition.
    pub(super) findings: Vec<String>,
    /// Whether the findings are in the order of their assets.
    pub(super) in_order: bool,
    pub(super) bytes: u64,
    /// Invalid rows and odd cells, in words.
    pub(super) faults: Vec<String>,
    /// Why the batch is unusable.
    pub(super) invalid: Option<String>,
}

/// The place after a whole report.
pub(super) fn after(report: u32) -> Place {
    Place { report: report + 1, finding: 0 }
}

/// What an instance can do: its answer, at most what its plugin has declared.
pub(super) fn output_capabilities(answer: &Answer, declared: OutputCapabilities) -> OutputCapabilities {
    answer.output.map_or(declared, |answer| answer.at_most(declared))
}

/// As [`output_capabilities`], for an input.
pub(super) fn input_capabilities(answer: &Answer, declared: InputCapabilities) -> InputCapabilities {
    answer.input.map_or(declared, |answer| answer.at_most(declared))
}
