//! The thread of one input: takes steps from the source until it has finished, has failed or is stopped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use scanbridge_observe::InputState;
use scanbridge_plugin_api::batch::{Columns, DefinitionTable, RawBatch2};
use scanbridge_plugin_api::{Event, PluginError, Position, Step, Stored};

use super::counts::InputCounts;
use super::source::Source;
use crate::compare::RunComparison;
use crate::config::{CheckpointInterval, RetryPolicy};
use crate::pipeline::checkpoint::Checkpoints;
use crate::pipeline::clock::after;
use crate::pipeline::control::Control;
use crate::pipeline::item::{Item, ReportBegin};
use crate::pipeline::notes::log_notes;
use crate::pipeline::queue::Queue;
use crate::pipeline::report_lock::ReportLockGuard;
use crate::pipeline::retry::{Outage, is_retryable, milliseconds};
use crate::pipeline::summary::{Failure, InputSummary, ReportList};
use crate::plugins::context::Context;

/// The thread of an input.
pub(in crate::pipeline) struct InputThread {
    /// Index of the input.
    pub(in crate::pipeline) number: usize,
    pub(in crate::pipeline) source: Source,
    pub(in crate::pipeline) retry: RetryPolicy,
    /// Whether it ends as soon as it has nothing to read now.
    pub(in crate::pipeline) until_idle: bool,
    /// Whether the report that it resumes in is in progress: a stop at the end of a report means the end of that one.
    pub(in crate::pipeline) resumes_report: bool,
    pub(in crate::pipeline) interval: CheckpointInterval,
    pub(in crate::pipeline) outputs: Vec<Arc<Queue>>,
    pub(in crate::pipeline) control: Arc<Control>,
    pub(in crate::pipeline) checkpoints: Arc<Checkpoints>,
    pub(in crate::pipeline) counts: Arc<InputCounts>,
    pub(in crate::pipeline) comparison: Option<Arc<RunComparison>>,
}

/// The result of an input. The outputs' threads count the findings, so the counts are final only when the outputs
/// have finished.
pub(in crate::pipeline) struct InputResult {
    pub(in crate::pipeline) summary: InputSummary,
    pub(in crate::pipeline) counts: Arc<InputCounts>,
    /// Whether the input finished by itself, or was stopped while it waited for new reports.
    pub(in crate::pipeline) finished: bool,
    /// Whether it was stopped while it waited for new reports.
    pub(in crate::pipeline) stopped_idle: bool,
}

impl InputThread {
    /// Reads until the input has finished, has failed or is stopped.
    ///
    /// A report in progress is ended for the outputs, or left unfinished so that a later run can resume it.
    pub(in crate::pipeline) fn run(self) -> InputResult {
        let Self {
            number,
            source,
            retry,
            until_idle,
            resumes_report,
            interval,
            outputs,
            control,
            checkpoints,
            counts,
            comparison,
        } = self;
        let (recycle, recycled_batches) = channel();
        let columns = Arc::new(Columns::of(source.schema().clone()));
        let summary = InputSummary {
            id: source.id().to_owned(),
            plugin: source.plugin().to_owned(),
            fips: source.fips(),
            ..InputSummary::default()
        };
        let mut worker = InputWorker {
            number,
            summary,
            resume_at: source.start(),
            source,
            retry,
            until_idle,
            resumes_report,
            interval,
            outputs: &outputs,
            control: &control,
            checkpoints: &checkpoints,
            columns,
            definitions: DefinitionTable::default(),
            counts,
            comparison,
            recycle,
            recycled_batches,
            report: None,
            since_mark: SinceMark::new(control.stop.now()),
            last_mark: 0,
            batches: 0,
            unconfirmed: None,
            is_idle: false,
            listed: ReportList::default(),
            progress_at_end: 0,
        };
        let result = worker.read_with_retries();
        worker.end_input(&result);
        worker.close();
        worker.show(InputState::Ended);
        control.report_lock.input_ended(number);
        let InputWorker { mut summary, counts, is_idle, listed, .. } = worker;
        (summary.reports_list, summary.reports_omitted) = listed.finish();
        let finished = result.is_ok();
        InputResult { finished, stopped_idle: finished && is_idle, summary, counts }
    }
}

/// An input at work.
pub(super) struct InputWorker<'a> {
    pub(super) number: usize,
    pub(super) summary: InputSummary,
    pub(super) source: Source,
    /// Position at which the source can be reopened; `None` if it cannot.
    pub(super) resume_at: Option<Position>,
    retry: RetryPolicy,
    until_idle: bool,
    /// Whether the first event continues a report that is in progress.
    resumes_report: bool,
    pub(super) interval: CheckpointInterval,
    outputs: &'a [Arc<Queue>],
    pub(super) control: &'a Control,
    pub(super) checkpoints: &'a Checkpoints,
    pub(super) columns: Arc<Columns>,
    pub(super) definitions: DefinitionTable,
    pub(super) counts: Arc<InputCounts>,
    pub(super) comparison: Option<Arc<RunComparison>>,
    pub(super) recycle: Sender<RawBatch2>,
    recycled_batches: Receiver<RawBatch2>,
    pub(super) report: Option<OpenReport<'a>>,
    pub(super) since_mark: SinceMark,
    pub(super) last_mark: u64,
    /// Number of batches that were sent.
    pub(super) batches: u64,
    /// What `stored` must report to the input, and the time of the next attempt.
    pub(super) unconfirmed: Option<(Stored, Instant)>,
    /// Whether the input has nothing to read now.
    is_idle: bool,
    /// The reports, for the summary.
    pub(super) listed: ReportList,
    /// Progress of the plugin at the end of the last report.
    pub(super) progress_at_end: u64,
}

/// The report in progress, with the report lock.
pub(super) struct OpenReport<'a> {
    pub(super) begin: ReportBegin,
    pub(super) report_lock: ReportLockGuard<'a>,
    /// Whether findings of it have been sent in this run.
    pub(super) has_sent: bool,
    /// When this run began to read it.
    pub(super) started: Instant,
}

/// What was sent since the last barrier.
pub(super) struct SinceMark {
    pub(super) bytes: u64,
    pub(super) started: Instant,
}

impl SinceMark {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: 0, started: now }
    }
}

/// Why a missed report is missed by an optional output that was left behind.
const LEFT_BEHIND: &str = "a call of the output made no progress while its queue was full";

/// Interval at which a waiting input checks for new commits.
pub(super) const TICK: Duration = Duration::from_millis(200);

impl InputWorker<'_> {
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
                event = "retry",
                instance = self.summary.id,
                attempt = outage.failures(),
                pause_ms = milliseconds(pause),
                "{error}; retry {} in {:.1} s",
                outage.failures(),
                pause.as_secs_f64()
            );
            self.show(InputState::Waiting);
            if self.control.stop.wait(pause) {
                return Err(PluginError::cancelled());
            }
            self.show(InputState::Reading);
            match self.source.reopen(&position) {
                Ok(()) => self.definitions = DefinitionTable::default(),
                Err(error) if is_retryable(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> Result<(), PluginError> {
        loop {
            let stop = &self.control.stop;
            let is_between = self.report.is_none() && !self.resumes_report;
            if stop.is_requested() || (is_between && stop.ends_between_reports()) {
                // An input that waits for new reports ends without failure: a stop loses nothing then.
                let waits = self.is_idle && self.report.is_none() && !self.control.has_failed();
                return if waits { Ok(()) } else { Err(PluginError::cancelled()) };
            }
            self.notify_stored();
            let recycled = self.recycled_batches.try_recv().unwrap_or_default();
            let Step { event, position, checkpoint, .. } = self.source.next(recycled)?;
            let resumes = std::mem::take(&mut self.resumes_report);
            self.is_idle = matches!(event, Event::Idle(_)) && !self.until_idle;
            match event {
                Event::ReportStart { start, continued } => self.begin(*start, continued, resumes)?,
                Event::Batch(batch) => self.batch(batch, position, checkpoint)?,
                Event::ReportEnd(end) => self.end(end, position)?,
                Event::Refused(refusal) => self.refuse(&refusal)?,
                Event::Idle(wake_after) => {
                    self.require_no_report("returned \"idle\" inside a report")?;
                    if self.until_idle {
                        return self.finished();
                    }
                    self.show(InputState::Idle);
                    tracing::debug!(
                        event = "idle",
                        instance = self.summary.id,
                        pause_ms = milliseconds(wake_after),
                        "nothing to read; looking again in {} s",
                        wake_after.as_secs()
                    );
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
        let InputSummary { reports, incomplete, not_found, refused, .. } = self.summary;
        // Where a missing report is a failure, the plugin refuses it.
        if reports + incomplete + not_found + refused == 0 {
            tracing::info!(instance = self.summary.id, "no new reports");
        }
        Ok(())
    }

    pub(super) fn require_no_report(&self, violation: &str) -> Result<(), PluginError> {
        match self.report {
            None => Ok(()),
            Some(_) => Err(PluginError::bug(format!("plugin bug: the input {violation}"))),
        }
    }

    /// Handles the end of the input: the outputs finish, or keep their state for a later run.
    fn end_input(&mut self, result: &Result<(), PluginError>) {
        if result.is_ok() {
            self.checkpoints.input_finished();
        }
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
            self.summary.notes = log_notes(&self.summary.id, context);
        }
        if let Err(error) = self.source.close() {
            self.control.input_failed(&self.summary.id, &error);
        }
        self.summary.metrics = context.map(|context| context.metrics().to_list()).unwrap_or_default();
    }

    /// Waits while an output's queue is full, so a slow output slows down the input. An optional output whose call makes
    /// no progress is soon left behind: later findings are dropped for it, and checkpoints do not wait for it.
    pub(super) fn send(&self, item: &Item) {
        for (number, output) in self.outputs.iter().enumerate() {
            let is_left_behind = output.put(item);
            if is_left_behind && let Err(error) = self.checkpoints.exclude_output(number, LEFT_BEHIND) {
                self.control.record_failure(Failure::of_state("state", &error));
            }
        }
    }
}
