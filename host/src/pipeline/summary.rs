//! What a run did: the counts that it ends with.

use std::fmt::{self, Write};
use std::time::Duration;

use scanbridge_plugin_api::model::FindingKind;
use scanbridge_plugin_api::{ErrorKind, PluginError};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Findings by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCounts([u64; 4]);

impl KindCounts {
    /// How many of this kind.
    #[must_use]
    pub fn of(&self, kind: FindingKind) -> u64 {
        self.0[kind as usize]
    }

    /// Adds findings of a kind.
    pub fn add(&mut self, kind: FindingKind, count: u64) {
        self.0[kind as usize] += count;
    }

    /// Adds all of another count.
    pub fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// Takes another count away, which must not be larger.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|kind| self.0[kind] - other.0[kind]))
    }

    /// Of all kinds together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Serialize for KindCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for kind in FindingKind::ALL {
            map.serialize_entry(kind.word(), &self.of(kind))?;
        }
        map.end()
    }
}

impl fmt::Display for KindCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in FindingKind::ALL.into_iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}{} {}", kind.word(), self.of(kind))?;
        }
        Ok(())
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything was delivered.
    Ok,
    /// Something was delivered, something was not.
    Partial,
    /// Nothing was delivered, or an input or a required output failed.
    Failed,
}

/// One failure of a run, for the summary and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The `id:` of the instance.
    pub instance: String,
    /// What happened.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code that this failure alone would have.
    pub exit_code: u8,
}

impl Failure {
    pub(super) fn new(instance: &str, error: &PluginError) -> Self {
        Self {
            instance: instance.to_owned(),
            message: error.message.clone(),
            hint: error.hint.clone(),
            exit_code: exit_code(error.kind),
        }
    }
}

/// What an input read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InputSummary {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Reports that were read to their end, complete or not.
    pub reports: u64,
    /// Assets in them.
    pub assets: u64,
    /// Findings in them.
    pub findings: KindCounts,
    /// Bytes read, as the input counts them.
    pub bytes: u64,
    /// Reports that end too early or are damaged midway.
    pub incomplete: u64,
    /// Reports that were not read at all.
    pub refused: u64,
}

/// What became of the findings in an output: those that the inputs sent are
/// `records + filtered + rejected + undelivered`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OutputSummary {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Findings delivered.
    pub records: u64,
    /// The same by kind.
    pub records_by_kind: KindCounts,
    /// Records delivered beside the findings, for example events about open ports.
    pub derived: u64,
    /// Findings that the output refused.
    pub rejected: u64,
    /// Findings that the pipeline's filters kept back.
    pub filtered: u64,
    /// Findings that were sent more than once.
    pub retried: u64,
    /// Findings that did not arrive: the output failed, or their report was incomplete and taken back.
    pub undelivered: u64,
    /// Bytes written for what was delivered.
    pub bytes: u64,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How it ended.
    pub status: RunStatus,
    /// Its inputs, in the order of the pipeline file.
    pub inputs: Vec<InputSummary>,
    /// Its outputs, in the order of the pipeline file.
    pub outputs: Vec<OutputSummary>,
    /// What went wrong, in the order in which it did.
    pub failures: Vec<Failure>,
    /// How long it took, in milliseconds.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

impl Summary {
    /// The exit code of the run: that of the first failure, except that an interruption by the operator and a
    /// crash of a plugin go before all others.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let codes = || self.failures.iter().map(|failure| failure.exit_code);
        codes().find(|code| *code == exit_code(ErrorKind::Bug)).or_else(|| codes().max_by_key(|code| *code == INTERRUPTED)).map_or_else(
            || if self.outputs.iter().any(|output| output.rejected > 0) { 65 } else { 0 },
            |worst| if worst == INTERRUPTED { worst } else { codes().next().unwrap_or(worst) },
        )
    }

    /// The summary for people: a line an input, a line an output, a line a failure.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for input in &self.inputs {
            let _ = writeln!(
                text,
                "read    {} ({}): {} of {}, {}, {} ({})",
                input.id,
                input.plugin,
                count(input.reports, "report"),
                scanbridge_plugin_api::show_size(input.bytes),
                count(input.assets, "asset"),
                count(input.findings.total(), "finding"),
                input.findings
            );
            for (number, what) in [(input.incomplete, "incomplete"), (input.refused, "refused")] {
                if number > 0 {
                    let _ = writeln!(text, "        {} {what}", count(number, "report"));
                }
            }
        }
        for output in &self.outputs {
            let _ = write!(text, "written {} ({}): {}", output.id, output.plugin, count(output.records, "finding"));
            for (number, what) in [
                (output.derived, "derived"),
                (output.filtered, "filtered out"),
                (output.rejected, "rejected"),
                (output.undelivered, "NOT DELIVERED"),
            ] {
                if number > 0 {
                    let _ = write!(text, ", {number} {what}");
                }
            }
            let _ = writeln!(text, ", {}", scanbridge_plugin_api::show_size(output.bytes));
        }
        for failure in &self.failures {
            let _ = writeln!(text, "failed  {}: {}", failure.instance, failure.message);
            if let Some(hint) = &failure.hint {
                let _ = writeln!(text, "        {hint}");
            }
        }
        let status = match self.status {
            RunStatus::Ok => "all delivered",
            RunStatus::Partial => "delivered in part",
            RunStatus::Failed => "FAILED",
        };
        let _ = writeln!(text, "{status} after {:.1} s", self.elapsed.as_secs_f64());
        text
    }
}

const INTERRUPTED: u8 = 130;

/// The exit code for a failure of this kind (sysexits, and 130 for an interruption).
#[must_use]
pub(crate) fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Rejected | ErrorKind::BadData => 65,
        ErrorKind::NoInput => 66,
        ErrorKind::Unavailable => 69,
        ErrorKind::Bug => 70,
        ErrorKind::CannotCreate => 73,
        ErrorKind::Io => 74,
        ErrorKind::Protocol => 76,
        ErrorKind::Auth => 77,
        ErrorKind::Config => 78,
        ErrorKind::Cancelled => INTERRUPTED,
    }
}

fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn milliseconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
