//! Reads the data of a report that is needed before its first asset is delivered.

use std::io::Read;

use crate::damage::Damage;
use crate::definitions::Definitions;
use crate::events::Limits;
use crate::kind::Kind;
use crate::notes::Notes;
use crate::{detections, glossary, scan_preface};

/// The head of a report, and data from other parts of it that is needed before its assets are read.
#[derive(Debug, Default)]
pub struct Preface {
    /// The scanner's number for the scan; empty if there is none.
    pub id: String,
    /// The title; empty if there is none.
    pub title: String,
    /// When the scan or report was created, as written in the report; empty if missing.
    pub time: String,
    /// An error that the report contains instead of assets: the report is an error page.
    pub error: Option<String>,
    /// An error next to a list of assets, which may be empty.
    pub(crate) error_next_to_assets: Option<String>,
    /// Addresses and ranges that were scanned and have no findings.
    pub clean_assets: Vec<String>,
    /// The end of the assets of a template report, in bytes of the sanitized stream. None if they are in several
    /// lists or the rest of the report is damaged.
    pub(crate) assets_end: Option<u64>,
    /// The number of findings that a template report declares.
    pub(crate) findings: Option<u64>,
    /// Number of replaced bytes, if the complete report was read.
    pub(crate) replaced: u64,
    pub(crate) notes: Notes,
}

/// Reads the data of a report that is needed before its assets. For a scan or detections this is usually within the
/// first block. A template report is read to its end, except for its assets, and its glossary is added to
/// `definitions`.
///
/// Also returns the damage that ended the reading, if any. A template report without damage is complete, except
/// perhaps for its assets. With damage, the preface contains the data before it.
pub fn read_preface(
    kind: &Kind,
    source: impl Read,
    limits: Limits,
    definitions: &mut Definitions,
) -> (Preface, Option<Damage>) {
    match kind {
        Kind::Scan => scan_preface::read(source, limits),
        Kind::TemplateReport => glossary::read(source, limits, definitions),
        _ => detections::read_preface(source, limits),
    }
}

/// `N/A`, a dash, and `None` of a scan without a number mean that the value is missing.
pub(crate) fn without_placeholder(text: &str) -> &str {
    match text.trim() {
        "N/A" | "None" | "-" => "",
        text => text,
    }
}
