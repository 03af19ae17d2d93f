//! The reports of a run, one by one.

use std::sync::Arc;

use serde::Serialize;

use crate::pipeline::row_faults::ReportTally;

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportResult {
    /// It was read completely.
    Complete,
    /// It is truncated or damaged.
    Incomplete,
    /// There is no such report.
    NotFound,
    /// It was not read for another reason.
    Refused,
    /// The next run resumes it.
    Unfinished,
}

/// One report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedReport {
    /// ID of the report in its source.
    pub id: String,
    /// Its title.
    pub title: String,
    /// File or URL.
    pub path: String,
    /// What became of it.
    pub result: ReportResult,
    /// Valid findings in it.
    pub findings: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Time from its start to its end, in milliseconds.
    pub duration_ms: u64,
}

/// The first reports of an input. The findings are counted by the outputs' threads, so they are known at the end.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ReportList {
    reports: Vec<(ListedReport, Option<Arc<ReportTally>>)>,
    omitted: u64,
}

/// Maximum number of reports of an input in the summary.
const MAX_REPORTS: usize = 200;

impl ReportList {
    pub(in crate::pipeline) fn add(&mut self, report: ListedReport, tally: Option<Arc<ReportTally>>) {
        if self.reports.len() < MAX_REPORTS {
            self.reports.push((report, tally));
        } else {
            self.omitted += 1;
        }
    }

    /// The reports with their findings, and the number of those that are not in the list.
    pub(in crate::pipeline) fn finish(self) -> (Vec<ListedReport>, u64) {
        let with_findings = |(report, tally): (ListedReport, Option<Arc<ReportTally>>)| ListedReport {
            findings: tally.map_or(0, |tally| tally.findings()),
            ..report
        };
        (self.reports.into_iter().map(with_findings).collect(), self.omitted)
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::model::FindingKind;

    use super::*;
    use crate::pipeline::validate::RowReport;

    #[test]
    fn first_reports_are_listed_and_the_others_counted() {
        let mut list = ReportList::default();
        for number in 0..MAX_REPORTS + 7 {
            let report = ListedReport {
                id: number.to_string(),
                title: String::new(),
                path: String::new(),
                result: ReportResult::Complete,
                findings: 0,
                bytes: 0,
                duration_ms: 0,
            };
            let tally = Arc::new(ReportTally::default());
            let mut found = RowReport::default();
            (0..number).for_each(|_| found.findings.add(FindingKind::Service, None));
            tally.add(&found);
            list.add(report, Some(tally));
        }
        let (reports, omitted) = list.finish();
        assert_eq!((reports.len(), omitted), (MAX_REPORTS, 7));
        assert!(reports.iter().all(|report| report.findings.to_string() == report.id));
    }
}
