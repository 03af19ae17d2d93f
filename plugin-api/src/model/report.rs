//! The marks in the stream. Scanner data comes as snapshots: only what stands between a start and a complete
//! end may clear or "fix" anything downstream.

use serde::{Deserialize, Serialize};

use crate::batch::Schema;

/// A report begins. The stream holds one report at a time: its batches follow, then its [`ReportEnd`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportStart {
    /// The scanner's number for the report or scan, for example `scan/1234567890.12345`; empty if it has none.
    pub id: String,
    /// What kind of report it is: the name of its XML root for the Qualys inputs.
    pub kind: String,
    /// The title that people know it by.
    pub title: String,
    /// When the scan or report was made, in UTC (`2026-01-31T12:00:00Z`); empty if unknown.
    pub time: String,
    /// The file it was read from, or the address it was fetched from without any secret.
    pub path: String,
    /// A word for the content of the source, so that a source that has changed counts as another report: size and time
    /// of a file, the ETag of a download; empty if there is none.
    pub revision: String,
    /// The version of the scanner; empty if unknown.
    pub scanner_version: String,
    /// What the settings of the input wish of the outputs.
    pub hints: Hints,
    /// The columns of the batches that follow.
    pub schema: Schema,
}

/// What the settings of an input wish of the outputs. An option of the output itself wins over a hint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hints {
    /// Whether assets that the destination does not know shall be created there.
    pub add_host: Option<bool>,
}

/// A report ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportEnd {
    /// Whether everything in the report was read. Only then may an output clear what is no longer there.
    pub complete: bool,
    /// Whether outputs shall finish what they wrote of it. Always true for a complete report; true for an
    /// incomplete one only when the operator asked for that. False: outputs take back what they can.
    pub deliver: bool,
    /// Why the report is incomplete, as a sentence for the operator; empty for a complete one.
    pub reason: String,
    /// Addresses (single, or `first-last`) that were scanned and have no findings at all.
    pub clean_assets: Vec<String>,
    /// What the operator should know although nothing failed.
    pub notes: Vec<Note>,
    /// How large the report is at its source, in bytes; 0 if unknown.
    pub bytes: u64,
}

/// Something worth knowing about a report, with how often it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// A sentence in lower case without a full stop: `invalid bytes were replaced`.
    pub text: String,
    /// How often.
    pub count: u64,
}

/// A report that was not delivered at all: of another kind, damaged, still growing, or not readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file or address.
    pub path: String,
    /// Why, with the kind that decides the exit code.
    pub error: crate::PluginError,
    /// Whether it is a report of the right kind that ends too early; it counts as incomplete then.
    pub incomplete: bool,
}
