//! Reads the data of a report that is needed before its first asset is delivered.

use std::io::Read;

use scanbridge_plugin_api::model::AddressRange;

use crate::damage::Damage;
use crate::definitions::Definitions;
use crate::events::Limits;
use crate::kind::Kind;
use crate::mark::{Mark, Unread};
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
    pub clean_assets: Vec<AddressRange>,
    /// The number of findings that a template report declares.
    pub(crate) findings: Option<u64>,
    /// Number of replaced bytes, if the complete report was read.
    pub(crate) replaced: u64,
    /// The part of the report that a resumed run need not read for its preface. In a template report it ends with the
    /// only list of assets; none if there are several or the rest of the report is damaged.
    pub(crate) unread: Option<Unread>,
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
        Kind::Scan => scan_preface::read(source, None, limits),
        Kind::TemplateReport => glossary::read(source, None, limits, definitions),
        _ => detections::read_preface(source, limits),
    }
}

/// As [`read_preface`], for a report that is resumed at `mark`. `read_from` reads the source from an offset. The assets
/// of a template report, and those before the header of a scan, are not read again.
pub fn resume_preface<R: Read>(
    kind: &Kind,
    mut read_from: impl FnMut(u64) -> R,
    limits: Limits,
    definitions: &mut Definitions,
    mark: &Mark,
) -> (Preface, Option<Damage>) {
    let Some(unread) = mark.unread else { return read_preface(kind, read_from(0), limits, definitions) };
    let tag: &'static [u8] = match kind {
        Kind::Scan => scan_preface::tag_instead_of(unread),
        _ => glossary::END_OF_ASSETS,
    };
    let source = read_from(0).take(unread.from).chain(tag).chain(read_from(unread.to));
    match kind {
        Kind::Scan => scan_preface::read(source, Some(unread), limits),
        _ => glossary::read(source, Some(unread), limits, definitions),
    }
}

/// `N/A`, a dash, and `None` of a scan without a number mean that the value is missing.
pub(crate) fn without_placeholder(text: &str) -> &str {
    match text.trim() {
        "N/A" | "None" | "-" => "",
        text => text,
    }
}
