//! The thread of one input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::{Columns, DefinitionTable, RawBatch2};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckpointRequest, ErrorKind, Event, PluginError, Position, ReportKey, Step, Stored,
};

use super::source::Source;
use crate::config::{CheckpointInterval, RetryPolicy};
use crate::pipeline::batch::{BatchOrigin, InputCounts, SharedBatch, size_of_batch};
use crate::pipeline::checkpoint::{Checkpoints, EndedReport, NewMark};
use crate::pipeline::clock::after;
use crate::pipeline::control::Control;
use crate::pipeline::item::{Item, Mark, ReportBegin};
use crate::pipeline::notes::log_notes;
use crate::pipeline::queue::Queue;
use crate::pipeline::report_lock::ReportLockGuard;
use crate::pipeline::retry::{Outage, is_retryable};
use crate::pipeline::row_faults::ReportTally;
use crate::pipeline::summary::InputSummary;
use crate::plugins::context::Context;
use crate::state::{self, SentReport};
use crate::telemetry::without_controls;

/// The thread of an input.
pub(in crate::pipeline) struct InputThread {
    /// Index of the input.
    pub(in crate::pipeline) number: usize,
    pub(in crate::pipeline) source: Source,
    pub(in crate::pipeline) retry: RetryPolicy,
    pub(in crate::pipeline) interval: CheckpointInterval,
    pub(in crate::pipeline) outputs: Vec<Arc<Queue>>,
    pub(in crate::pipeline) control: Arc<Control>,
    pub(in crate::pipeline) checkpoints: Arc<Checkpoints>,
    pub(in crate::pipeline) counts: Arc<InputCounts>,
}

/// The result of an input. The outputs' threads count the findings, so the counts are final only when the outputs
/// have finished.
pub(in crate::pipeline) struct InputResult {
    pub(in crate::pipeline) summary: InputSummary,
    pub(in crate::pipeline) counts: Arc<InputCounts>,
    /// Whether the input finished by itself.
    pub(in crate::pipeline) finished: bool,
}

impl InputThread {
    /// Reads until the input has finished, has failed or is stopped.
    ///
    /// A report in progress is ended for the outputs, or left unfinished so that a later run can resume it.
    pub(in crate::pipeline) fn run(self) -> InputResult {
        let Self { number, source, retry, interval, outputs, control, checkpoints, counts } = self;
        let (recycle, recycled_batches) = channel();
        let columns = Arc::new(Columns::of(source.schema().clone()));
        let summary = InputSummary {
            id: source.id().to_owned(),
            plugin: source.plugin().to_owned(),
            ..InputSummary::default()
        };
        let mut worker = InputWorker {
            number,
            summary,
            resume_at: source.start(),
            source,
            retry,
            interval,
            outputs: &outputs,
            control: &control,
            checkpoints: &checkpoints,
            columns,
            definitions: DefinitionTable::default(),
            counts,
            recycle,
            recycled_batches,
            report: None,
            since_mark: SinceMark::new(control.stop.now()),
            last_mark: 0,
            unconfirmed: None,
            is_idle: false,
        };
        let result = worker.read_with_retries();
        worker.end_input(&result);
        worker.close();
        control.report_lock.input_ended(number);
        InputResult { finished: result.is_ok(), summary: worker.summary, counts: worker.counts }
    }
}

struct InputWorker<'a> {
    number: usize,
    summary: InputSummary,
    source: Source,
    /// Position at which the source can be reopened; `None` if it cannot.
    resume_at: Option<Position>,
    retry: RetryPolicy,
    interval: CheckpointInterval,
    outputs: &'a [Arc<Queue>],
    control: &'a Control,
    checkpoints: &'a Checkpoints,
    columns: Arc<Columns>,
    definitions: DefinitionTable,
    counts: Arc<InputCounts>,
    recycle: Sender<RawBatch2>,
    recycled_batches: Receiver<RawBatch2>,
    report: Option<OpenReport<'a>>,
    since_mark: SinceMark,
    last_mark: u64,
    /// What `stored` must report to the input, and the time of the next attempt.
    unconfirmed: Option<(Stored, Instant)>,
    /// Whether the input has nothing to read now.
    is_idle: bool,
}

/// The report in progress, with the report lock.
struct OpenReport<'a> {
    begin: ReportBegin,
    report_lock: ReportLockGuard<'a>,
    /// Whether findings of it have been sent in this run.
    has_sent: bool,
}

/// What was sent since the last barrier.
struct SinceMark {
    bytes: u64,
    started: Instant,
}

impl SinceMark {
    fn new(now: Instant) -> Self {
        Self { bytes: 0, started: now }
    }
}

/// Time after which a failed `stored` is repeated.
const CONFIRM_RETRY: Duration = Duration::from_secs(60);

/// Interval at which a waiting input checks for new commits.
const TICK: Duration = Duration::from_millis(200);

impl<'a> InputWorker<'a> {
    /// Reads, and reopens the source after it was unavailable.
    fn read_with_retries(&mut self) -> Result<(), PluginError> {
        let mut outage: Option<Outage> = None;
        loop {
            let previous = self.resume_at.clone();
            let error = match self.read() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.resume_at != previous {
                outage = None; // The input made progress: this is a new outage.
            }
            let Some(position) = self.resume_at.clone().filter(|_| is_retryable(&error)) else {
                return Err(error);
            };
            let now = self.control.stop.now();
            let outage = outage.get_or_insert_with(|| Outage::new(self.retry, now));
            let Some(pause) = outage.failed(&error, now) else { return Err(error) };
            tracing::warn!(
                instance = self.summary.id,
                "{error}; retry {} in {:.1} s",
                outage.failures(),
                pause.as_secs_f64()
            );
            if self.control.stop.wait(pause) {
                return Err(PluginError::cancelled());
            }
            match self.source.reopen(&position) {
                Ok(()) => self.definitions = DefinitionTable::default(),
                Err(error) if is_retryable(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> Result<(), PluginError> {
        loop {
            if self.control.stop.is_requested() {
                // An input that waits for new reports ends without failure: a stop loses nothing then.
                let waits = self.is_idle && self.report.is_none() && !self.control.has_failed();
                return if waits { Ok(()) } else { Err(PluginError::cancelled()) };
            }
            self.notify_stored();
            let recycled = self.recycled_batches.try_recv().unwrap_or_default();
            let Step { event, position, checkpoint, .. } = self.source.next(recycled)?;
            self.is_idle = matches!(event, Event::Idle(_));
            match event {
                Event::ReportStart { start, continued } => self.begin(*start, continued)?,
                Event::Batch(batch) => self.batch(batch, position, checkpoint)?,
                Event::ReportEnd(end) => self.end(end, position)?,
                Event::Refused(refusal) => self.refuse(&refusal)?,
                Event::Idle(wake_after) => {
                    self.require_no_report("returned \"idle\" inside a report")?;
                    self.idle(wake_after);
                }
                Event::Mark => {
                    self.require_no_report("returned a position without findings inside a report")?;
                    self.resume_at = position;
                    self.since_mark.bytes += 1; // The position itself must be stored.
                }
                Event::Finished => return self.finished(),
                _ => return Err(PluginError::bug("plugin bug: `next` returned an unknown step")),
            }
            self.handle_checkpoint_request(checkpoint)?;
        }
    }

    /// Sets a checkpoint where the input requests one.
    fn handle_checkpoint_request(&mut self, request: CheckpointRequest) -> Result<(), PluginError> {
        if request == CheckpointRequest::AtInterval {
            return Ok(());
        }
        self.add_mark();
        if request == CheckpointRequest::NowAndWait {
            self.wait_settled()?;
        }
        Ok(())
    }

    /// Waits until the last barrier is stored and published, and informs the input.
    fn wait_settled(&mut self) -> Result<(), PluginError> {
        while !self.checkpoints.wait_settled(self.last_mark, TICK) && !self.control.has_failed() {
            if self.control.stop.is_requested() {
                return Err(PluginError::cancelled());
            }
        }
        self.notify_stored();
        Ok(())
    }

    fn begin(&mut self, mut start: ReportStart, continued: bool) -> Result<(), PluginError> {
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
        start.schema = self.columns.schema().clone();
        self.columns = Arc::new(Columns::of_report(&start));
        let key = Arc::new(
            ReportKey::default()
                .with_input(self.summary.id.clone())
                .with_id(start.id.clone())
                .with_path(start.path.clone())
                .with_time(start.time.clone())
                .with_revision(start.revision.clone()),
        );
        let tally = Arc::new(ReportTally::new((&start).into()));
        let (report, partial) = (Arc::new(start), self.source.is_replay());
        let begin = ReportBegin { report, key, continued, partial, tally };
        self.report = Some(OpenReport { begin: begin.clone(), report_lock, has_sent: false });
        self.send(&Item::Begin(begin));
        Ok(())
    }

    /// Stores the first checkpoint before anything is delivered. Otherwise a crash after the first report would leave
    /// it delivered, but not recorded.
    fn store_first_checkpoint(&mut self) -> Result<(), PluginError> {
        if self.resume_at.is_none() {
            return Ok(());
        }
        self.mark(self.resume_at.clone(), None);
        while !self.checkpoints.wait_stored(self.last_mark, TICK) && !self.control.has_failed() {
            if self.control.stop.is_requested() {
                return Err(PluginError::cancelled());
            }
        }
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

    fn batch(
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
        let CheckpointInterval { bytes, time } = self.interval;
        let is_due =
            self.since_mark.bytes >= bytes || self.control.stop.since(self.since_mark.started) >= time;
        if is_due && request == CheckpointRequest::AtInterval {
            self.add_mark();
        }
        Ok(())
    }

    fn end(&mut self, end: ReportEnd, position: Option<Position>) -> Result<(), PluginError> {
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

    /// Adds a barrier here, if the input and every output can resume here.
    fn add_mark(&mut self) {
        let is_allowed = self.report.is_none() || self.checkpoints.allows_marks_in_reports();
        if self.resume_at.is_some() && self.since_mark.bytes > 0 && is_allowed {
            self.mark(self.resume_at.clone(), None);
        }
    }

    fn mark(&mut self, position: Option<Position>, ended: Option<EndedReport>) {
        let (in_report, ends_report) = (self.report.is_some(), ended.is_some());
        self.since_mark = SinceMark::new(self.control.stop.now());
        self.last_mark = self.checkpoints.mark(NewMark { input: self.number, position, in_report, ended });
        self.send(&Item::Mark(Mark { number: self.last_mark, ends_report }));
    }

    fn refuse(&mut self, refusal: &Refusal) -> Result<(), PluginError> {
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

    fn idle(&mut self, wake_after: Duration) {
        let stop = &self.control.stop;
        let end = after(stop.now(), wake_after);
        while stop.now() < end {
            self.notify_stored();
            let woken = || self.source.context().is_some_and(Context::take_wake);
            if woken() || stop.wait_interval(end, TICK) {
                return;
            }
        }
    }

    fn finished(&mut self) -> Result<(), PluginError> {
        self.require_no_report("finished inside a report")?;
        if self.summary.reports == 0 && self.summary.refused == 0 && self.summary.incomplete == 0 {
            tracing::warn!(instance = self.summary.id, "no reports found");
        }
        Ok(())
    }

    fn require_no_report(&self, violation: &str) -> Result<(), PluginError> {
        match self.report {
            None => Ok(()),
            Some(_) => Err(PluginError::bug(format!("plugin bug: the input {violation}"))),
        }
    }

    /// Handles the end of the input: the outputs finish, or keep their state for a later run.
    fn end_input(&mut self, result: &Result<(), PluginError>) {
        if let Err(error) = result {
            if let Some(context) = self.source.context() {
                context.keys().roll_back();
            }
            self.control.input_ended(&self.summary.id, error);
            if self.control.is_resumable() {
                self.keep_unfinished();
            } else {
                self.abandon_report(error);
            }
        }
        self.wait_for_delivery();
    }

    /// Closes the source. An error after the input has failed is ignored.
    fn close(&mut self) {
        let context = self.source.context();
        if let Some(context) = context {
            log_notes(&self.summary.id, context);
        }
        if let Err(error) = self.source.close() {
            self.control.input_failed(&self.summary.id, &error);
        }
        self.summary.metrics = context.map(|context| context.metrics().to_list()).unwrap_or_default();
    }

    /// Leaves the report in progress unfinished: a later run resumes it.
    fn keep_unfinished(&mut self) {
        self.add_mark();
        if let Some(report) = self.report.take() {
            self.summary.reports += 1;
            self.summary.unfinished += 1;
            drop(report.report_lock);
        }
    }

    /// Ends the report in progress so that the outputs discard it.
    fn abandon_report(&mut self, error: &PluginError) {
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

    /// Waits until the outputs have committed and published everything, and informs the input.
    fn wait_for_delivery(&mut self) {
        while !self.checkpoints.wait_settled(self.last_mark, TICK) && !self.control.has_failed() {
            self.notify_stored();
        }
        self.notify_stored();
    }

    /// Informs the input about what is stored. A failed call is repeated later, and by the next run.
    fn notify_stored(&mut self) {
        if self.source.rereads() {
            return;
        }
        if let Some(notification) = self.checkpoints.take_notification(self.number) {
            self.unconfirmed = Some(match self.unconfirmed.take() {
                Some((mut unconfirmed, next)) => {
                    unconfirmed.position = notification.position;
                    unconfirmed.reports.extend(notification.reports);
                    (unconfirmed, next)
                }
                None => (notification, self.control.stop.now()),
            });
        }
        let Some((stored, next)) = self.unconfirmed.take() else { return };
        if self.control.stop.now() < next {
            self.unconfirmed = Some((stored, next));
            return;
        }
        let ends =
            if self.source.is_replay() { self.checkpoints.dead_letter_ends() } else { BTreeMap::new() };
        match self.source.stored(stored.clone(), &ends) {
            Ok(()) => self.checkpoints.confirmed(self.number, &stored.reports),
            Err(error) => {
                self.control.input_failed(&self.summary.id, &error);
                self.unconfirmed = Some((stored, self.control.stop.now() + CONFIRM_RETRY));
            }
        }
    }

    /// Waits while an output's queue is full, so a slow output slows down the input.
    fn send(&self, item: &Item) {
        self.outputs.iter().for_each(|output| output.put(item));
    }
}

/// Adds the counts of the outputs' threads.
pub(in crate::pipeline) fn with_counts(mut summary: InputSummary, counts: &InputCounts) -> InputSummary {
    summary.assets = counts.assets.load(Ordering::Relaxed);
    summary.findings = counts.findings();
    (summary.invalid, summary.odd_cells) = counts.faults.counts();
    if summary.odd_cells.total() > 0 {
        tracing::warn!(
            instance = summary.id,
            "plugin {} sent cells that are not of the form of their column: {}; they were delivered unchanged",
            summary.plugin,
            summary.odd_cells
        );
    }
    if counts.has_invalid_batch.load(Ordering::Relaxed) {
        summary.incomplete = (summary.incomplete + 1).min(summary.reports).max(summary.incomplete);
        return summary;
    }
    if summary.complete > 0 && summary.findings.total() == 0 && !summary.resumed {
        tracing::warn!(
            instance = summary.id,
            "no findings in {} reports with {} assets; check that the report, its template and its \
             filters are the intended ones",
            summary.complete,
            summary.assets
        );
    }
    summary
}
