//! What an input sends of a report: its start, its batches and its end.

use std::sync::Arc;

use scanbridge_plugin_api::batch::{Columns, RawBatch2};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{CheckpointRequest, ErrorKind, PluginError, Position, ReportKey};

use super::worker::{InputWorker, OpenReport};
use crate::pipeline::batch::{BatchOrigin, SharedBatch, size_of_batch};
use crate::pipeline::checkpoint::EndedReport;
use crate::pipeline::item::{Item, ReportBegin};
use crate::pipeline::row_faults::ReportTally;
use crate::state::{self, SentReport};
use crate::telemetry::without_controls;

impl<'a> InputWorker<'a> {
    pub(super) fn begin(&mut self, mut start: ReportStart, continued: bool) -> Result<(), PluginError> {
        if let Some(report) = self.report.take() {
            return self.restart_report(report, start, continued);
        }
        let report_lock = self.control.report_lock.acquire(self.number);
        if self.control.stop.is_requested() {
            return Err(PluginError::cancelled()); // The stop was requested while this input waited for the lock.
        }
        if !self.checkpoints.has_first_checkpoint() {
            self.store_first_checkpoint()?;
        }
        let path = without_controls(&start.path);
        let verb = if continued { "resuming" } else { "reading" };
        // As string fields: titles are external data, and the log escapes line breaks in fields.
        tracing::info!(
            instance = self.summary.id,
            kind = start.kind.as_str(),
            title = start.title.as_str(),
            "{verb} {path}"
        );
        if let Some(fault) = start.source.fault() {
            return Err(PluginError::bug(format!("plugin bug: the input started a report without {fault}")));
        }
        // Before it has its columns, which a tally does not need.
        let tally = Arc::new(ReportTally::new((&start).into()));
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
        self.report = Some(OpenReport { begin: begin.clone(), report_lock, has_sent: false });
        self.send(&Item::Begin(begin));
        Ok(())
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
        self.begin(start, continued)
    }

    pub(super) fn batch(
        &mut self,
        mut raw: RawBatch2,
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
        };
        let size = size_of_batch(&raw, &self.columns);
        let definitions = self.definitions.resolve(&mut raw, self.columns.schema());
        let definitions = definitions
            .map_err(|bad| PluginError::bug(format!("plugin bug: the input sent an invalid batch: {bad}")))?;
        let history = self.source.take_history();
        let batch = SharedBatch::new(raw, size, definitions, history, origin, self.recycle.clone());
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
        self.count_end(&report.begin.report, &end);
        // An incomplete report must not remove anything, and a complete one is always delivered.
        let deliver = end.deliver || end.complete;
        let end = end.with_deliver(deliver);
        let sent = end.deliver.then(|| self.sent(&report.begin.report, end.complete));
        self.send(&Item::End { end: Arc::new(end), has_gap: false });
        self.resume_at = position;
        let ReportBegin { key, tally, .. } = report.begin;
        self.mark(self.resume_at.clone(), Some(EndedReport { key, sent, tally }));
        drop(report.report_lock);
        Ok(())
    }

    fn count_end(&mut self, start: &ReportStart, end: &ReportEnd) {
        self.summary.reports += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(end.bytes);
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
            self.control.input_failed(&self.summary.id, &error);
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
        // Each report is counted once.
        if refusal.incomplete {
            self.summary.incomplete += 1;
        } else {
            self.summary.refused += 1;
        }
        self.control.input_failed(&self.summary.id, &refusal.error);
        Ok(())
    }

    /// Leaves the report in progress unfinished: a later run resumes it.
    pub(super) fn keep_unfinished(&mut self) {
        self.add_mark();
        if let Some(report) = self.report.take() {
            self.summary.reports += 1;
            self.summary.unfinished += 1;
            drop(report.report_lock);
        }
    }

    /// Ends the report in progress so that the outputs discard it.
    pub(super) fn abandon_report(&mut self, error: &PluginError) {
        if let Some(report) = self.report.take() {
            self.summary.reports += 1;
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
