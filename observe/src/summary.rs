//! The summary of a run as its readers see it: what `run --summary json` prints. Readers ignore fields that they do not
//! know, and treat absent ones as empty, so that a reader can be older or newer than the host.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::printable::without_controls;

/// The summary of a run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The pipeline file.
    pub file: String,
    /// Number of the run; absent if it was not started.
    pub run: Option<u64>,
    /// When it started, as RFC 3339 in UTC.
    pub started: String,
    /// When it ended, as RFC 3339 in UTC.
    pub ended: String,
    /// Version of the host.
    pub version: String,
    /// Name of the machine.
    pub host: String,
    /// What the operator calls this installation; empty without a name.
    pub connector: String,
    /// What started the run, for example `command`.
    pub trigger: String,
    /// `ok`, `partial` or `failed`.
    pub status: String,
    /// The exit code.
    pub exit_code: u8,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
    /// The inputs.
    pub inputs: Vec<InputPart>,
    /// The outputs.
    pub outputs: Vec<OutputPart>,
    /// What failed.
    pub failures: Vec<FailurePart>,
    /// Findings that are new, gone or the same since the run before; absent if they were not compared.
    pub compared: Option<ComparedPart>,
    /// The most frequent definitions, most frequent first.
    pub top_definitions: Vec<DefinitionPart>,
}

/// What an input read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct InputPart {
    pub id: String,
    pub plugin: String,
    pub reports: u64,
    pub assets: u64,
    /// Assets by the highest severity of their findings, `0` to `5`.
    pub assets_by_severity: BTreeMap<String, u64>,
    pub findings: BTreeMap<String, u64>,
    /// Findings by kind and severity, `0` to `5`.
    pub findings_by_severity: BTreeMap<String, BTreeMap<String, u64>>,
    pub bytes: u64,
    pub incomplete: u64,
    pub not_found: u64,
    pub refused: u64,
    pub unfinished: u64,
    pub resumed: bool,
    pub reports_list: Vec<ReportPart>,
    pub reports_omitted: u64,
    pub notes: Vec<NotePart>,
}

/// One report of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct ReportPart {
    pub id: String,
    pub title: String,
    pub path: String,
    pub result: String,
    pub findings: u64,
    pub bytes: u64,
    pub duration_ms: u64,
}

/// What an output delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct OutputPart {
    pub id: String,
    pub plugin: String,
    pub records: u64,
    pub derived: u64,
    pub filtered: u64,
    pub rejected: u64,
    pub undelivered: u64,
    pub diverted: u64,
    pub retried: u64,
    pub delivered_before: u64,
    pub dead_letters_lost: u64,
    pub unconfirmed: u64,
    pub bytes: u64,
    pub notes: Vec<NotePart>,
}

impl OutputPart {
    /// All findings that the output got or should have got.
    #[must_use]
    pub fn findings(&self) -> u64 {
        [self.records, self.filtered, self.rejected, self.undelivered, self.diverted, self.delivered_before]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// A note of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct NotePart {
    pub warning: bool,
    pub text: String,
    pub count: u64,
}

/// What failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct FailurePart {
    pub instance: String,
    pub message: String,
    pub hint: Option<String>,
    pub exit_code: u8,
}

/// Findings against those of the run before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct ComparedPart {
    pub against_run: Option<u64>,
    pub new: u64,
    pub gone: u64,
    pub same: u64,
}

/// A definition and how often it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the summary; docs/operating.md describes them")]
pub struct DefinitionPart {
    pub id: String,
    pub title: String,
    pub findings: u64,
}

impl RunSummary {
    /// Reads a summary for people: texts of reports and plugins cannot contain characters that show nothing or change the
    /// direction of writing.
    ///
    /// # Errors
    /// When `summary` is not an object of that form.
    pub fn printable(summary: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(printable(summary))
    }

    /// Findings that all inputs read.
    #[must_use]
    pub fn findings(&self) -> u64 {
        let kinds = self.inputs.iter().flat_map(|input| input.findings.values());
        kinds.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Findings by kind and severity, over all inputs.
    #[must_use]
    pub fn findings_by_severity(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut sums: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (kind, severities) in self.inputs.iter().flat_map(|input| &input.findings_by_severity) {
            for (severity, count) in severities {
                let sum = sums.entry(kind.clone()).or_default().entry(severity.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        sums
    }
}

fn printable(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_controls(text).into_owned()),
        Value::Array(items) => items.iter().map(printable).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), printable(value))).collect()
        }
        other => other.clone(),
    }
}
