//! The summary of an input: its counts, and their wording.

use std::fmt::Write as _;

use scanbridge_plugin_api::Fips;
use serde::Serialize;

use super::reports::ListedReport;
use super::severities::{KindSeverityCounts, SeverityCounts};
use super::wording::{add_counts, count, show_bytes};
use crate::pipeline::KindCounts;
use crate::pipeline::notes::{InstanceNote, warning_lines};
use crate::pipeline::odd_cells::OddCells;
use crate::pipeline::validate::InvalidRows;
use crate::plugins::Metric;

/// Counts of an input.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct InputSummary {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Its FIPS mode.
    #[serde(skip_serializing_if = "Fips::is_off")]
    pub fips: Fips,
    /// Reports that were read, complete or not.
    pub reports: u64,
    /// Number of complete ones.
    #[serde(skip)]
    pub(in crate::pipeline) complete: u64,
    /// Assets in them.
    pub assets: u64,
    /// Assets in them by the highest severity of their findings; 0 also for assets without findings.
    pub assets_by_severity: SeverityCounts,
    /// Findings in them.
    pub findings: KindCounts,
    /// Findings in them by severity.
    pub severities: SeverityCounts,
    /// Findings in them by kind and severity.
    pub findings_by_severity: KindSeverityCounts,
    /// Invalid rows by reason. No output gets them; they are not counted in `assets` and `findings`.
    pub invalid: InvalidRows,
    /// Cells that are not of the form of their column, by column. Their rows are delivered.
    pub odd_cells: OddCells,
    /// Bytes read of the reports, of an interrupted one up to the interruption.
    pub bytes: u64,
    /// Truncated or invalid reports. Those that were not read are not also counted in `refused`.
    pub incomplete: u64,
    /// Reports that do not exist, and directories or patterns without a report.
    pub not_found: u64,
    /// Reports that were not read for any other reason: of another kind, empty.
    pub refused: u64,
    /// Reports that an earlier run refused and that have not changed. They do not count as failures.
    pub refused_known: u64,
    /// Reports that the next run resumes.
    pub unfinished: u64,
    /// Whether this run resumed an interrupted one; then the counts include only what this run read.
    pub resumed: bool,
    /// The first reports, at most 200.
    pub reports_list: Vec<ListedReport>,
    /// Number of further reports, which are not in `reports_list`.
    pub reports_omitted: u64,
    /// What the plugin measured in this run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Notes of the plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<InstanceNote>,
}

impl InputSummary {
    /// The line of the text summary, and the warnings of the plugin.
    pub(super) fn line(&self) -> String {
        let mut line = format!("read    {} ({}): {}", self.id, self.plugin, count(self.reports, "report"));
        if self.reports > 0 {
            if self.bytes > 0 {
                let _ = write!(line, " of {}", show_bytes(self.bytes));
            }
            let (assets, findings) = (count(self.assets, "asset"), count(self.findings.total(), "finding"));
            let _ = write!(line, ", {assets}, {findings} ({})", self.findings);
        }
        add_counts(&mut line, [(self.invalid.total(), "INVALID rows"), (0, "")]);
        add_counts(&mut line, [(self.incomplete, "INCOMPLETE"), (self.not_found, "NOT FOUND")]);
        add_counts(&mut line, [(self.refused, "REFUSED"), (self.unfinished, UNFINISHED)]);
        add_counts(&mut line, [(self.refused_known, "refused by an earlier run"), (0, "")]);
        let note = if self.resumed { RESUMED } else { "" };
        line + note + "\n" + &warning_lines(&self.id, &self.notes)
    }
}

const UNFINISHED: &str = "UNFINISHED (the next run resumes it at the last checkpoint)";
/// Also true if the checkpoint is at the beginning of the report, or the report is read from the beginning.
const RESUMED: &str = " (resumed run: counts include only what this run read)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_line_has_no_empty_counts_and_counts_a_report_once() {
        let input = |input: InputSummary| {
            InputSummary { id: "scans".to_owned(), plugin: "QualysGuardFile".to_owned(), ..input }.line()
        };
        let nothing = InputSummary { refused: 1, not_found: 1200, ..InputSummary::default() };
        assert_eq!(
            input(nothing),
            "read    scans (QualysGuardFile): 0 reports, 1,200 NOT FOUND, 1 REFUSED\n"
        );
        let unfinished = InputSummary { reports: 1, unfinished: 1, resumed: true, ..InputSummary::default() };
        assert_eq!(
            input(unfinished),
            "read    scans (QualysGuardFile): 1 report, 0 assets, 0 findings (vulnerability 0, potential 0, information 0, service 0), 1 UNFINISHED (the next run resumes it at the last checkpoint) (resumed run: counts include only what this run read)\n"
        );
        let note = |warning, text: &str, count| InstanceNote { warning, text: text.to_owned(), count };
        let notes = vec![note(true, "old report", 1), note(false, "waited", 1), note(true, "lost", 2)];
        assert_eq!(
            input(InputSummary { notes, ..InputSummary::default() }),
            "read    scans (QualysGuardFile): 0 reports\nnote    scans: old report\nnote    scans: lost (2)\n"
        );
    }
}
