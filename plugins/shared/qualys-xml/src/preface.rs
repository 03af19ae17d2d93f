//! The data of a report that is needed before its first asset is delivered.

use std::collections::HashMap;

use scanbridge_plugin_api::model::{AddressRange, ReportDetail};

use crate::mark::Unread;
use crate::names::Shown;
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
    /// The status of the scan; empty if the report has none.
    pub status: String,
    /// What scanned, as written in the report; empty if missing.
    pub scanner: String,
    /// The version of the scanner.
    pub scanner_version: String,
    /// The version of the vulnerability signatures.
    pub signature_version: String,
    /// Number of assets that answered.
    pub assets_alive: Option<u64>,
    /// Number of assets that were to be scanned.
    pub assets_total: Option<u64>,
    /// Duration of the scan, in seconds.
    pub duration_secs: Option<u64>,
    /// More about the report.
    pub details: Vec<ReportDetail>,
    /// The risks of the assets that a template report declares, by network and address.
    pub(crate) risks: HashMap<(String, String), AssetRisk>,
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

/// What a template report declares about an asset.
#[derive(Debug, Default)]
pub(crate) struct AssetRisk {
    /// The security risk, as written in the report.
    pub(crate) risk: String,
    /// The number of its vulnerabilities.
    pub(crate) total: String,
}

impl Preface {
    /// Why the scan is not complete, from its status; `None` for a finished scan and one without a status.
    #[must_use]
    pub fn unfinished(&self) -> Option<String> {
        let is_finished = ["", "FINISHED", "NOVULNSFOUND"]
            .iter()
            .any(|status| self.status.trim().eq_ignore_ascii_case(status));
        (!is_finished).then(|| format!("the status of the scan is {}, not FINISHED", Shown(&self.status)))
    }

    /// Reads `10.0.0.1 (Scanner 14.3.10-1, Vulnerability Signatures 2.6.120-3)`.
    pub(crate) fn set_scanner(&mut self, text: &str) {
        text.clone_into(&mut self.scanner);
        let Some((_, details)) = text.split_once('(') else { return };
        let version_after = |words: &[&str]| {
            let after =
                words.iter().find_map(|word| details.split_once(word)).map(|(_, after)| after.trim_start());
            let end = after.and_then(|after| after.split([',', ')']).next());
            end.map_or_else(String::new, |version| version.trim().to_owned())
        };
        self.scanner_version = version_after(&["Scanner "]);
        self.signature_version = version_after(&["Vulnerability Signatures ", "Vulnsigs "]);
    }
}

/// `N/A`, a dash, and `None` of a scan without a number mean that the value is missing.
pub(crate) fn without_placeholder(text: &str) -> &str {
    match text.trim() {
        "N/A" | "None" | "-" => "",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_scanner() {
        for (text, versions) in [
            ("192.0.2.1 (Scanner 14.3.10-1, Vulnerability Signatures 2.6.120-3)", ["14.3.10-1", "2.6.120-3"]),
            ("192.0.2.1 (Scanner 12.1.26-1, Vulnsigs 2.5.700-2)", ["12.1.26-1", "2.5.700-2"]),
            ("External Scanner (Scanner 10.0.1,Vulnsigs 2)", ["10.0.1", "2"]),
            ("192.0.2.1", ["", ""]),
            ("192.0.2.1 (Scanner 14", ["14", ""]),
            ("(", ["", ""]),
        ] {
            let mut preface = Preface::default();
            preface.set_scanner(text);
            assert_eq!(preface.scanner, text);
            assert_eq!([preface.scanner_version, preface.signature_version], versions, "{text}");
        }
    }

    #[test]
    fn only_finished_scans_are_complete() {
        for (status, is_finished) in [
            ("", true),
            ("FINISHED", true),
            ("Finished", true),
            ("NOVULNSFOUND", true),
            ("CANCELED", false),
            ("PAUSED", false),
            ("INTERRUPTED", false),
            ("ERROR", false),
            ("RUNNING", false),
            ("later word", false),
        ] {
            let preface = Preface { status: status.to_owned(), ..Preface::default() };
            assert_eq!(preface.unfinished().is_none(), is_finished, "{status}");
        }
    }
}
