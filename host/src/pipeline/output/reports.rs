//! Begins and ends reports, and parts of a report that another output also delivers.

use std::sync::Arc;

use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{Begin, PluginError, Resume, Written};

use super::account::{Ended, OpenReport};
use super::destination::Destination;
use crate::pipeline::item::ReportBegin;
use crate::state::Missed;

impl Destination {
    /// Begins a report; with `continued`, resumes it if the output is inside it.
    pub(super) fn begin(&mut self, begin: &ReportBegin, continued: bool) -> Result<(), PluginError> {
        let report = &begin.report;
        let is_resumable = continued && self.is_inside(report) && self.capabilities.resume != Resume::None;
        if is_resumable && self.has_started {
            return Ok(());
        }
        if self.current.has_gap
            && self.current.report.as_ref().is_some_and(|current| !current.is_report(report))
        {
            self.end_partial_report("the rest of the report was delivered to the failover output")?;
        }
        // An output that receives only the rest of a report has missed its beginning.
        self.current.has_gap = if is_resumable { self.current.has_gap } else { begin.continued };
        self.current.gap_is_covered &= is_resumable;
        // An output without a commit has nothing to resume.
        let continued = is_resumable && self.has_commit();
        let previous = self.current.report.take();
        self.current.report = Some(match previous {
            Some(previous) if continued => OpenReport { begin: begin.clone(), ..previous },
            unfinished => {
                self.current.summary.undelivered += unfinished.map_or(0, |report| report.records.total());
                OpenReport::new(begin.clone())
            }
        });
        self.send_start(begin, continued)
    }

    /// Resumes the report of the last commit in a new instance.
    pub(super) fn resume_report(&mut self) -> Result<(), PluginError> {
        let Some(report) = &self.current.report else { return Ok(()) };
        let begin = report.begin.clone();
        self.send_start(&begin, self.has_commit())
    }

    fn send_start(&mut self, begin: &ReportBegin, continued: bool) -> Result<(), PluginError> {
        self.has_started = true;
        let how = if begin.partial { Begin::PARTIAL } else { Begin::NEW };
        let has_invalid_rows = self.current.report.as_ref().is_some_and(|report| report.has_invalid_rows);
        let how = how.with_continued(continued).with_gap(self.current.has_gap || has_invalid_rows);
        let report = self.start_as_sent(&begin.report);
        self.freeze_encryption()?;
        self.call("begin", move |handle| handle.begin(&report, how))
    }

    /// Ends this output's part of a report that another output also delivers. The part is delivered unless it is
    /// empty, and removes nothing.
    pub(super) fn end_partial_report(&mut self, reason: &str) -> Result<(), PluginError> {
        let deliver = self.current.report.as_ref().is_some_and(|report| report.has_findings);
        if !self.has_started {
            self.resume_report()?;
        }
        self.end(&ReportEnd::default().with_deliver(deliver).with_reason(reason), true, None)
    }

    /// Counts this output's part of a report as undelivered, because it can no longer be ended.
    pub(super) fn abandon_partial_report(&mut self) {
        let part = self.committed.report.take();
        self.committed.summary.undelivered += part.map_or(0, |report| report.records.total());
        self.current = self.committed.clone();
    }

    /// Marks the current report as invalid, so that its end discards it.
    pub(super) fn invalidate_report(&mut self) {
        self.current.report.iter_mut().for_each(|report| report.is_invalid = true);
    }

    /// Ends the report. `was_dropped`: findings of it were dropped for this output; `open_part`: the other output of the
    /// failover pair has a part of it that is not completed.
    pub(super) fn end(
        &mut self,
        end: &ReportEnd,
        was_dropped: bool,
        open_part: Option<Missed>,
    ) -> Result<(), PluginError> {
        let Some(report) = self.current.report.take() else {
            return Err(PluginError::bug("plugin bug: report end without a report start"));
        };
        let mut end = end.clone();
        let lacks_findings = was_dropped || report.is_invalid || self.lacks_findings();
        end.complete &= !was_dropped && !self.current.has_gap && !report.has_invalid_rows;
        if report.is_invalid {
            (end.complete, end.deliver) = (false, false);
        }
        let reason = match (report.is_invalid, was_dropped) {
            (true, _) => "the input sent an invalid batch",
            (_, true) => "the output was unavailable or its queue was full",
            _ => "another output received a part of the report, or an interrupted run did not deliver it",
        };
        let missed = lacks_findings.then(|| Missed {
            findings: report.begin.tally.findings().saturating_sub(report.received),
            reason: reason.to_owned(),
        });
        let awaits_part = missed.is_none() && open_part.is_some();
        self.current.ended =
            Ended { missed: missed.or(open_part), awaits_part, dead_letters: report.rejected };
        for filter in &self.filters {
            // The output must not remove findings of an asset that the filters exclude.
            let ranges = end.clean_assets.into_iter();
            end.clean_assets = ranges.flat_map(|range| filter.admitted_addresses(range)).collect();
        }
        let end = self.end_as_sent(end);
        self.has_started = false;
        self.last_report = Arc::clone(&report.begin.report);
        let deliver = end.deliver;
        let written = self.call("end", move |handle| handle.end(&end))?;
        if !(written.rejected.is_empty() && written.left_out.is_empty() && written.retry.is_empty()) {
            return Err(PluginError::bug(
                "plugin bug: the output returned row results at the end of a report",
            ));
        }
        let delivered = if deliver { report.records.total() } else { 0 };
        report.begin.tally.set_delivered(self.id(), delivered);
        self.count_report(report, deliver, &written);
        Ok(())
    }

    fn count_report(&mut self, mut report: OpenReport, delivered: bool, written: &Written) {
        report.derived = report.derived.saturating_add(written.derived);
        report.bytes = report.bytes.saturating_add(written.bytes);
        if delivered {
            report.add_to(&mut self.current.summary);
        } else {
            self.current.summary.undelivered += report.records.total();
        }
        (self.current.has_gap, self.current.gap_is_covered) = (false, false);
    }

    /// Ends the current report so that the output rolls back what it can: nothing will resume it.
    pub(super) fn discard_report(&mut self, reason: &str) {
        if !self.has_started || self.is_hung() {
            return;
        }
        let end = ReportEnd::default().with_reason(reason);
        // The output has failed already; a second error is of no interest.
        let _ = self.call("end", move |handle| handle.end(&end));
    }
}
