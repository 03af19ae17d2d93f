//! The data of a report that is needed before its first asset is delivered.

use scanbridge_plugin_api::model::AddressRange;

use crate::mark::Unread;
use crate::notes::Notes;

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

/// `N/A`, a dash, and `None` of a scan without a number mean that the value is missing.
pub(crate) fn without_placeholder(text: &str) -> &str {
    match text.trim() {
        "N/A" | "None" | "-" => "",
        text => text,
    }
}
