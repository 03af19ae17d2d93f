//! What is known of a report before its first asset goes out.

use std::io::Read;

use crate::damage::Damage;
use crate::definitions::Definitions;
use crate::events::Limits;
use crate::kind::Kind;
use crate::notes::Notes;
use crate::{detections, glossary, scan_preface};

/// The head of a report, and what has to be collected from all of it before its assets are read.
#[derive(Debug, Default)]
pub struct Preface {
    /// The scanner's number for the scan; empty when there is none.
    pub id: String,
    /// The title; empty when there is none.
    pub title: String,
    /// When the scan or report was made, as the report writes it; empty when it does not say.
    pub time: String,
    /// An error that the report contains instead of assets: the report is an error page.
    pub error: Option<String>,
    /// An error next to a list of assets, which may be empty.
    pub(crate) error_beside: Option<String>,
    /// Addresses and ranges that were scanned and have no findings.
    pub clean_assets: Vec<String>,
    /// Where the assets of a template report end, in bytes of the sanitized stream; none when they are in several
    /// lists or the report is damaged outside them.
    pub(crate) assets_end: Option<u64>,
    /// How many findings a template report says it holds.
    pub(crate) findings: Option<u64>,
    /// How many bytes were replaced, where all of the report was gone through.
    pub(crate) replaced: u64,
    pub(crate) notes: Notes,
}

/// Reads what must be known of a report of this kind before its assets. Of a scan or of detections this is usually
/// the first block. A template report is read to its end, except for its assets, and its glossary goes into
/// `definitions`.
///
/// The preface comes with the damage that ended the reading, if any. A template report without damage is complete,
/// except perhaps for its assets. With damage, the preface contains what was read before it.
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

/// `N/A`, a dash, and `None` of a scan without number stand for nothing.
pub(crate) fn or_nothing(text: &str) -> &str {
    match text.trim() {
        "N/A" | "None" | "-" => "",
        text => text,
    }
}
