//! A dead letter: a finding that an output would not take, with everything that is needed to send it again.

use std::collections::BTreeMap;

use scanbridge_plugin_api::batch::{FindingView, Schema};
use scanbridge_plugin_api::model::{Hints, ReportStart};
use serde::{Deserialize, Serialize};

/// One line of a file of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The `id:` of the output.
    pub output: String,
    /// The number in the ledger of the run that gave it up first.
    pub run: u64,
    /// When it was given up, in UTC: for the last time, where it was replayed.
    pub time: String,
    /// Why.
    pub reason: String,
    /// How often it was handed to the output, replays included.
    pub attempts: u32,
    /// The report that it stood in.
    pub report: LetterReport,
    /// The finding.
    pub record: Record,
}

/// What a letter that is sent again has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterHistory {
    /// As in [`Letter::run`].
    pub run: u64,
    /// As in [`Letter::attempts`].
    pub attempts: u32,
}

/// What state keeps of a report: the one that a letter stood in, or that an output was inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterReport {
    /// The scanner's number for it.
    pub id: String,
    /// The name of its XML root.
    pub kind: String,
    /// Its title.
    pub title: String,
    /// When the scan or report was made.
    pub time: String,
    /// The file or address.
    pub path: String,
    /// The input's word for the content of the source.
    pub revision: String,
    /// The version of the scanner.
    pub scanner_version: String,
    /// What the input wished of the outputs.
    pub hints: Hints,
}

impl From<&ReportStart> for LetterReport {
    fn from(report: &ReportStart) -> Self {
        Self {
            id: report.id.clone(),
            kind: report.kind.clone(),
            title: report.title.clone(),
            time: report.time.clone(),
            path: report.path.clone(),
            revision: report.revision.clone(),
            scanner_version: report.scanner_version.clone(),
            hints: report.hints,
        }
    }
}

impl From<LetterReport> for ReportStart {
    fn from(report: LetterReport) -> Self {
        Self {
            id: report.id,
            kind: report.kind,
            title: report.title,
            time: report.time,
            path: report.path,
            scanner_version: report.scanner_version,
            hints: report.hints,
            revision: report.revision,
            ..Self::default()
        }
    }
}

/// A finding with its asset and its definition, every field by its name. Empty fields are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The asset.
    pub asset: BTreeMap<String, String>,
    /// The definition.
    pub definition: BTreeMap<String, String>,
    /// The finding itself.
    pub finding: BTreeMap<String, String>,
}

impl Record {
    /// The record of this finding.
    #[must_use]
    pub fn of(finding: FindingView<'_>, schema: &Schema) -> Self {
        let (asset, definition) = (finding.asset(), finding.definition());
        Self {
            asset: fields(&schema.assets, |column| asset.column(column)),
            definition: fields(&schema.definitions, |column| definition.column(column)),
            finding: fields(&schema.findings, |column| finding.column(column)),
        }
    }
}

fn fields<'a>(names: &[String], cell: impl Fn(Option<usize>) -> &'a str) -> BTreeMap<String, String> {
    let cells = names.iter().enumerate().map(|(column, name)| (name.clone(), cell(Some(column)).to_owned()));
    cells.filter(|(_, text)| !text.is_empty()).collect()
}
