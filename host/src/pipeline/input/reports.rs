//! What an input sends of a report: its start, its batches and its end.

use std::sync::Arc;

use scanbridge_observe::{InputState, ReportEvent};
use scanbridge_plugin_api::batch::{Columns, RawBatch2};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{CheckpointRequest, ErrorKind, PluginError, Position, ReportKey};

use super::worker::{InputWorker, OpenReport};
use crate::compare::ReportComparison;
use crate::pipeline::batch::{BatchOrigin, SharedBatch};
use crate::pipeline::checkpoint::EndedReport;
use crate::pipeline::item::{Item, ReportBegin};
use crate::pipeline::row_faults::ReportTally;
use crate::pipeline::summary::{ListedReport, ReportResult};
use crate::state::{self, SentReport};
use crate::telemetry::without_controls;

impl<'a> InputWorker<'a> {
    /// `resumes`: the report was in progress when the run began, so a stop at the end of a report lets it end.
    pub(super) fn begin(
        &mut self,
        mut start: ReportStart,
        continued: bool,
        resumes: bool,
    ) -> Result<(), PluginError> {
        if let Some(report) = self.report.take() {
            return self.restart_report(report, start, continued);
        }
        self.show(InputState::Waiting);
        let report_lock = self.control.report_lock.acquire(self.number);
        let stop = &self.control.stop;
        if stop.is_requested() || (!resumes && stop.ends_between_reports()) {
            return Err(PluginError::cancelled()); // The stop was requested while this input waited for the lock.
        }
        if !self.checkpoints.has_first_checkpoint() {
            self.store_first_checkpoint()?;
        }
        let path = without_controls(&start.path);
        let verb = if continued { "resuming" } else { "reading" };
        let title = if start.title.is_empty() { "without a title" } else { &start.title };
        tracing::info!(
            event = "report_started",
            instance = self.summary.id,
            kind = start.kind.as_str(),
            title = start.title.as_str(),
            path = start.path.as_str(),
            "{verb} {path} ({}, {})",
            without_controls(&start.kind),
            without_controls(title)
        );
        if let Some(fault) = start.source.fault() {
            return Err(PluginError::bug(format!("plugin bug: the input started a report without {fault}")));
        }
        // Before it has its columns, which a tally does not need.
        let tally = Arc::new(ReportTally::new((&start).into(), self.begin_comparison(continued)));
        start.schema = self.columns.schema().clone();
        self.columns = Arc::new(Columns::of_report(&start));
        if !continued {
            self.counts.faults.begin_report(self.last_mark);
        }
        let key = Arc::new(
            ReportKey::default()
                .with_input(self.summary.id.clone())
                .with_id(start.id.clone())
                .with_path(start.path.clone())
                .with_time(start.time.clone())
                .with_revision(start.revision.clone()),
        );
        let (report, partial) = (Arc::new(start), self.source.is_replay());
        let begin = ReportBegin { report, key, continued, partial, tally };
        self.report = Some(OpenReport {
            begin: begin.clone(),
            report_lock,
            has_sent: false,
            started: self.control.stop.now(),
        });
        self.show(InputState::Reading);
        self.send(&Item::Begin(begin));
        Ok(())
    }

    /// The part of a report in the comparison with the last run, if there is one. What an interrupted run has read of the
    /// report is missing in this run.
    fn begin_comparison(&self, continued: bool) -> Option<ReportComparison> {
        let compared = self.comparison.as_ref()?.begin_report(&self.summary.id);
        if continued {
            compared.has_gap();
        }
        Some(compared)
    }

    /// Handles the start of a report after the source was reopened inside one: it is resumed, or read from the
    /// beginning.
    fn restart_report(
        &mut self,
        report: OpenReport<'a>,
        start: ReportStart,
        continued: bool,
    ) -> Result<(), PluginError> {
        if !self.source.was_reopened() {
            return Err(PluginError::bug("the input started a report inside another report"));
        }
        let current = &report.begin.report;
        let is_same = (&start.id, &start.path) == (&current.id, &current.path);
        if is_same && (continued || !report.has_sent) {
            self.report = Some(report);
            return Ok(());
        }
        let report_lock = report.report_lock;
        let reason = "the source has changed; the report is read from the beginning".to_owned();
        tracing::warn!(instance = self.summary.id, "{reason}");
        self.send(&Item::End { end: Arc::new(ReportEnd::default().with_reason(reason)), has_gap: false });
        drop(report_lock);
        self.begin(start, continued, false)
    }

    pub(super) fn batch(
        &mut self,
        raw: RawBatch2,
        position: Option<Position>,
        request: CheckpointRequest,
    ) -> Result<(), PluginError> {
        let Some(report) = &mut self.report else {
            return Err(PluginError::bug("the input sent findings outside a report"));
        };
        report.has_sent = true;
        let origin = BatchOrigin {
            columns: Arc::clone(&self.columns),
            counts: Arc::clone(&self.counts),
            tally: Arc::clone(&report.begin.tally),
            after: self.last_mark,
            number: self.batches,
        };
        self.batches += 1;
        let batch = SharedBatch::new(raw, &mut self.definitions, origin, self.recycle.clone())?;
        let item = Item::Batch(Arc::new(batch));
        self.since_mark.bytes += item.size().0;
        self.send(&item);
        drop(item);
        self.resume_at = position;
        if request == CheckpointRequest::AtInterval {
            self.add_mark_at_interval();
        }
        Ok(())
    }

    pub(super) fn end(&mut self, end: ReportEnd, position: Option<Position>) -> Result<(), PluginError> {
        let Some(report) = self.report.take() else {
            return Err(PluginError::bug("the input ended a report without starting it"));
        };
        self.count_end(&report, &end);
        let bytes = end.bytes;
        // An incomplete report must not remove anything, and a complete one is always delivered.
        let deliver = end.deliver || end.complete;
        if let Some(compared) = report.begin.tally.compared().filter(|_| end.complete) {
            compared.is_complete();
        }
        let end = end.with_deliver(deliver);
        let sent = end.deliver.then(|| self.sent(&report.begin.report, end.complete));
        self.send(&Item::End { end: Arc::new(end), has_gap: false });
        self.resume_at = position;
        let ReportBegin { key, tally, report: start, .. } = report.begin;
        let event = self.event(&start, bytes);
        let started = report.started;
        self.mark(self.resume_at.clone(), Some(EndedReport { key, sent, tally, event, started }));
        drop(report.report_lock);
        self.show(InputState::Reading);
        Ok(())
    }

    fn count_end(&mut self, report: &OpenReport<'_>, end: &ReportEnd) {
        let start = &report.begin.report;
        let result = if end.complete { ReportResult::Complete } else { ReportResult::Incomplete };
        self.progress_at_end = self.progress();
        self.count_report(report, result, end.bytes);
        self.summary.complete += u64::from(end.complete);
        for note in &end.notes {
            tracing::warn!(
                instance = self.summary.id,
                count = note.count,
                "{}",
                without_controls(&format!("{}: {}", start.path, note.text))
            );
        }
        // A report of dead letters is never complete; this is not a failure.
        if !end.complete && !self.source.is_replay() {
            self.summary.incomplete += 1;
            let delivered = if end.deliver {
                "the part that was read is delivered"
            } else {
                "nothing of this report is delivered"
            };
            let error = PluginError::bad_data(format!("{} ({delivered})", end.reason));
            self.control.report_failed(&self.summary.id, &error);
        }
    }

    /// Counts a report that was read, completely or in part, and lists it.
    fn count_report(&mut self, report: &OpenReport<'_>, result: ReportResult, bytes: u64) {
        self.summary.reports += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(bytes);
        let (start, tally) = (&report.begin.report, &report.begin.tally);
        let duration = self.control.stop.since(report.started);
        let listed = ListedReport {
            id: start.id.clone(),
            title: start.title.clone(),
            path: start.path.clone(),
            result,
            findings: 0,
            bytes,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        };
        self.listed.add(listed, Some(Arc::clone(tally)));
    }

    /// Bytes that the plugin has read of the report in progress, if it reports its progress.
    fn bytes_so_far(&self) -> u64 {
        let progress = self.progress();
        if progress == self.progress_at_end { 0 } else { progress }
    }

    fn progress(&self) -> u64 {
        self.source.context().map_or(0, |context| context.progress().0)
    }

    /// What is known of a report at its end, for the watchers of the run.
    fn event(&self, start: &ReportStart, bytes: u64) -> ReportEvent {
        ReportEvent {
            input: self.summary.id.clone(),
            report_id: start.id.clone(),
            title: start.title.clone(),
            report_kind: start.kind.as_str().to_owned(),
            path: start.path.clone(),
            bytes,
            ..ReportEvent::default()
        }
    }

    fn sent(&self, start: &ReportStart, complete: bool) -> SentReport {
        SentReport {
            input: self.summary.id.clone(),
            id: start.id.clone(),
            title: start.title.clone(),
            time: start.time.clone(),
            path: start.path.clone(),
            complete,
            sent: state::now(),
        }
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<(), PluginError> {
        self.require_no_report("refused a report inside another report")?;
        if refusal.known {
            self.summary.refused_known += 1;
            tracing::debug!(
                instance = self.summary.id,
                "{} was refused by an earlier run and has not changed",
                without_controls(&refusal.path)
            );
            return Ok(());
        }
        // Each report is counted once.
        let (count, result) = match (refusal.incomplete, refusal.missing) {
            (true, _) => (&mut self.summary.incomplete, ReportResult::Incomplete),
            (false, true) => (&mut self.summary.not_found, ReportResult::NotFound),
            (false, false) => (&mut self.summary.refused, ReportResult::Refused),
        };
        *count += 1;
        let listed = ListedReport {
            id: String::new(),
            title: String::new(),
            path: refusal.path.clone(),
            result,
            findings: 0,
            bytes: 0,
            duration_ms: 0,
        };
        self.listed.add(listed, None);
        self.show(InputState::Reading);
        self.control.report_failed(&self.summary.id, &refusal.error);
        Ok(())
    }

    /// Leaves the report in progress unfinished: a later run resumes it.
    pub(super) fn keep_unfinished(&mut self) {
        self.add_mark();
        if let Some(report) = self.report.take() {
            self.count_report(&report, ReportResult::Unfinished, self.bytes_so_far());
            self.summary.unfinished += 1;
            drop(report.report_lock);
        }
    }

    /// Ends the report in progress so that the outputs discard it.
    pub(super) fn abandon_report(&mut self, error: &PluginError) {
        if let Some(report) = self.report.take() {
            self.count_report(&report, ReportResult::Incomplete, self.bytes_so_far());
            self.summary.incomplete += 1;
            let reason = match error.kind {
                ErrorKind::Cancelled => "the run was stopped".to_owned(),
                _ => error.message.clone(),
            };
            let end = Arc::new(ReportEnd::default().with_reason(reason));
            self.send(&Item::End { end, has_gap: false });
            drop(report.report_lock);
        }
    }
}
