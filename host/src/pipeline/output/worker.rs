//! The thread of one output: takes items from the queue, delivers them, and retries after failures.

use std::sync::Arc;

use scanbridge_observe::OutputState as LiveState;
use scanbridge_plugin_api::keeper::PairChanges;
use scanbridge_plugin_api::{ErrorKind, PluginError, Resume};

use super::account::Ended;
use super::ahead::Ahead;
use super::destination::{Destination, LateRetry};
use super::failover::Pair;
use super::live::LiveOutput;
use super::retry_buffer::RetryBuffer;
use crate::config::Delivery;
use crate::pipeline::batch::SharedBatch;
use crate::pipeline::build::OpenOutput;
use crate::pipeline::checkpoint::Checkpoints;
use crate::pipeline::control::Control;
use crate::pipeline::item::{Item, Mark, ReportBegin};
use crate::pipeline::queue::{Queue, Taken};
use crate::pipeline::rate_limit::RateLimit;
use crate::pipeline::retry::{Outage, is_retryable, milliseconds};
use crate::pipeline::summary::{Failure, OutputSummary};
use crate::state::{AheadReport, OutputState};
use crate::telemetry::without_controls;

/// An output with its failover output, and its state for retries.
pub(in crate::pipeline) struct OutputWorker {
    /// Index of this output worker.
    pub(super) number: usize,
    pub(super) pair: Pair,
    pub(super) required: bool,
    pub(super) delivery: Delivery,
    pub(super) queue: Arc<Queue>,
    live: Arc<LiveOutput>,
    pub(super) control: Arc<Control>,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) retry_buffer: RetryBuffer,
    /// Maximum size of the retry buffer, in bytes.
    max_buffer_bytes: u64,
    pub(super) outage: Option<Outage>,
    rate_limit: RateLimit,
    /// The error with which the output could not be opened at the start of the run, if it is retryable.
    open_error: Option<PluginError>,
    pub(super) ahead: Ahead,
    /// The last barrier that was committed.
    pub(super) last_mark: u64,
}

impl OutputWorker {
    /// A worker for this output and its failover output. `ahead`: reports that it published in an earlier run.
    pub(in crate::pipeline) fn new(
        number: usize,
        output: OpenOutput,
        standby: Option<OpenOutput>,
        interval_bytes: u64,
        (control, checkpoints): (Arc<Control>, Arc<Checkpoints>),
        ahead: Vec<AheadReport>,
    ) -> Self {
        let OpenOutput { required, delivery, destination, open_error, .. } = output;
        let standby = standby.map(|standby| standby.destination);
        let watched: Vec<_> = [&destination]
            .into_iter()
            .chain(&standby)
            .map(|destination| (destination.id().to_owned(), destination.context()))
            .collect();
        let instances = watched.iter().map(|(_, context)| *context).collect();
        let stop = Arc::clone(&control.stop);
        let queue = Queue::new(delivery.queue, delivery.on_full, required, instances, stop);
        let queue = Arc::new(queue.with_wake(destination.keeps_checkpoint()));
        let live = Arc::new(LiveOutput::new(watched, Arc::clone(&queue)));
        let resumes = destination.capabilities().resume != Resume::None;
        Self {
            number,
            pair: Pair::new(destination, standby, control.stop.now(), (number, Arc::clone(&checkpoints))),
            required,
            delivery,
            queue,
            live,
            control,
            checkpoints,
            retry_buffer: RetryBuffer::default(),
            max_buffer_bytes: RetryBuffer::max_bytes(interval_bytes, resumes),
            outage: None,
            rate_limit: RateLimit::default(),
            open_error,
            ahead: Ahead::new(ahead),
            last_mark: 0,
        }
    }

    /// The `id:` of the output.
    pub(in crate::pipeline) fn id(&self) -> &str {
        self.pair.primary.id()
    }

    pub(in crate::pipeline) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// What the outputs of this worker do at this moment.
    pub(in crate::pipeline) fn live(&self) -> &Arc<LiveOutput> {
        &self.live
    }

    /// Publishes the state of the outputs and their counts.
    pub(super) fn show(&self) {
        let circuit_open = self.outage.as_ref().is_some_and(Outage::breaker_is_open);
        let state = match (self.pair.has_failed_over(), &self.outage) {
            (true, _) => LiveState::Diverted,
            (false, Some(_)) => LiveState::Retrying,
            (false, None) => LiveState::Ok,
        };
        self.live.show(&self.pair, state, circuit_open || self.pair.has_failed_over());
    }

    /// Delivers until the queue is closed. Returns the summary of the output, then that of its failover output.
    pub(in crate::pipeline) fn run(mut self) -> Vec<OutputSummary> {
        let outcome = self.deliver_all().and_then(|()| self.commit_end());
        let is_resumable = match &outcome {
            Ok(()) => self.control.is_resumable(),
            Err(error) => self.close_failed(error),
        };
        if !is_resumable {
            self.active().discard_report("the run has failed");
        }
        if outcome.is_ok() {
            self.finish_primary_report();
        }
        if outcome.is_ok()
            && let Err(error) = self.close()
        {
            self.control.output_failed(self.pair.primary.id(), self.required, &error);
        }
        self.queue.abandon();
        match &outcome {
            Ok(()) => self.show(),
            Err(_) => self.live.show(&self.pair, LiveState::Failed, false),
        }
        self.summaries(is_resumable)
    }

    fn deliver_all(&mut self) -> Result<(), PluginError> {
        if let Some(open_error) = self.open_error.take().filter(|_| !self.pair.has_failed_over()) {
            self.recover(open_error)?;
        }
        while let Some(taken) = self.queue.take() {
            // What is queued is delivered by the instance that has taken over.
            if self.control.is_displaced() {
                return Err(PluginError::cancelled());
            }
            let is_mark = matches!(taken, Taken::Item(Item::Mark(_)));
            match self.handle(taken) {
                Ok(()) => {}
                Err(error) if is_retryable(&error) => self.recover(error)?,
                Err(error) => return Err(error),
            }
            if is_mark {
                match self.probe_primary() {
                    Err(error) if is_retryable(&error) => self.recover(error)?,
                    probed => probed?,
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, taken: Taken) -> Result<(), PluginError> {
        let Taken::Item(item) = taken else {
            return self.active().commit_with(PairChanges::new()); // Whether it may still commit.
        };
        // Validates a batch and counts its findings as read, whatever this output makes of it.
        item.findings();
        self.retry_buffer.push(&item, self.max_buffer_bytes);
        self.deliver(&item)
    }

    /// Passes an item to the active output.
    pub(super) fn deliver(&mut self, item: &Item) -> Result<(), PluginError> {
        match item {
            Item::Begin(begin) => self.begin(begin),
            Item::Batch(batch) if self.ahead.is_skipping() => {
                self.ahead.skip(batch.findings());
                self.retry_buffer.findings = self.retry_buffer.findings.saturating_sub(batch.findings());
                Ok(())
            }
            Item::Batch(batch) => self.write(batch),
            Item::End { .. } if self.ahead.is_skipping() => {
                self.ahead.end();
                Ok(())
            }
            Item::End { end, has_gap } => self.pair.end(end, *has_gap),
            Item::Mark(mark) => self.commit(*mark),
        }
    }

    /// Begins a report, unless this output published it in an earlier run.
    fn begin(&mut self, begin: &ReportBegin) -> Result<(), PluginError> {
        if self.ahead.begin(&begin.key) {
            tracing::info!(
                instance = self.active().id(),
                "skipping {}: published before the interruption",
                without_controls(&begin.report.path)
            );
            return Ok(());
        }
        self.pair.begin(begin)
    }

    fn write(&mut self, batch: &Arc<SharedBatch>) -> Result<(), PluginError> {
        if let Some(max_per_sec) = self.delivery.max_findings_per_sec {
            self.rate_limit.wait_for(batch.findings(), max_per_sec, &self.control.stop);
        }
        let validated = match batch.validate() {
            Ok(validated) => validated,
            Err(error) => {
                self.active().invalidate_report();
                self.control.invalid_batch(batch.input(), &error);
                return Ok(());
            }
        };
        let rows = self.active().write(batch, validated)?;
        if self.control.stop.taps().is_any() {
            let control = Arc::clone(&self.control);
            self.active().tap(batch, validated, &control);
        }
        self.retry_rows(batch, rows)
    }

    /// Writes the rows that the output requests again, until it accepts them or the retries are exhausted.
    fn retry_rows(&mut self, batch: &Arc<SharedBatch>, mut rows: Vec<u32>) -> Result<(), PluginError> {
        if rows.is_empty() {
            return Ok(());
        }
        let validated = batch.validate()?;
        let mut outage = Outage::new(self.delivery.retry, self.control.stop.now());
        let mut attempts = 1;
        while !rows.is_empty() {
            let refused = PluginError::new(
                ErrorKind::Unavailable,
                format!("{} findings could not be written; the output asked for a retry", rows.len()),
            );
            let stops = self.control.stop.is_requested();
            if stops && self.required && self.control.is_resumable() {
                return Err(refused); // The next run resumes before them.
            }
            let Some(pause) = outage.failed(&refused, self.control.stop.now()).filter(|_| !stops) else {
                let reason = format!("not accepted after {attempts} attempts");
                self.active().move_to_dead_letters(validated, &rows, &reason, attempts);
                break;
            };
            tracing::debug!(instance = self.active().id(), "{refused}; retrying");
            let _ = self.control.stop.wait(pause);
            attempts += 1;
            rows = self.active().retry_rows(batch, validated, rows, attempts)?;
        }
        Ok(())
    }

    /// Commits with the pairs of this barrier, for an output that keeps the checkpoint.
    fn commit_with_checkpoint(&mut self, mark: Mark) -> Result<OutputState, PluginError> {
        let id = self.active().id().to_owned();
        let state = self.active().state_before_commit()?;
        let ended = mark.ends_report.then(|| self.active().ended_before_commit().clone());
        let changes = self.checkpoints.prepare(self.number, mark, vec![(id, state)], ended)?;
        self.active().commit_with(changes)?;
        self.active().keep_commit()
    }

    /// For an output that keeps the checkpoint: commits the end of the run.
    fn commit_end(&mut self) -> Result<(), PluginError> {
        if !self.active().keeps_checkpoint() {
            return Ok(());
        }
        loop {
            let has_failed = self.control.has_failed();
            let Some(changes) = self.checkpoints.prepare_end(has_failed) else { return Ok(()) };
            match self.active().commit_with(changes) {
                Err(error) if is_retryable(&error) => self.recover(error)?,
                committed => return committed,
            }
        }
    }

    fn commit(&mut self, mark: Mark) -> Result<(), PluginError> {
        let state = if self.active().keeps_checkpoint() {
            self.commit_with_checkpoint(mark)?
        } else {
            self.commit_written()?
        };
        self.active().context().keys().mark_commit(mark.number);
        let mut states = vec![(self.active().id().to_owned(), state)];
        states.extend(self.pair.idle_state());
        let skipped = self.ahead.take_ended();
        let ended = skipped.as_ref().map_or_else(
            || self.active().ended().clone(),
            |ahead| {
                let (missed, dead_letters) = (ahead.missed.clone(), ahead.dead_letters);
                Ended { missed, dead_letters, ..Ended::default() }
            },
        );
        let ended = mark.ends_report.then_some(ended);
        self.checkpoints.committed(self.number, mark, states, ended)?;
        self.last_mark = mark.number;
        if let Some(skipped) = &skipped {
            self.ahead.remove(&skipped.key);
        }
        let active = self.active();
        let (report, has_findings) = (active.report_at_commit().cloned(), active.has_partial_report());
        // After a failure from here on, only the barrier is repeated: `open` with the stored receipt publishes.
        let items = [Item::Mark(mark)].into();
        self.retry_buffer = RetryBuffer { report, has_findings, items, ..RetryBuffer::default() };
        if mark.ends_report && skipped.is_none() && self.active().capabilities().resume != Resume::None {
            self.active().stored()?;
        }
        self.checkpoints.published(self.number, mark.number);
        self.retry_buffer.items.clear();
        if let Some(outage) = self.outage.take() {
            let time = self.control.stop.since(outage.started());
            tracing::info!(
                event = "circuit_closed",
                instance = self.active().id(),
                pause_ms = milliseconds(time),
                "delivery resumed after {:.0} s",
                time.as_secs_f64()
            );
            self.queue.set_unavailable(false);
        }
        tracing::debug!(event = "commit", instance = self.active().id(), barrier = mark.number, "committed");
        self.show();
        Ok(())
    }

    /// Commits, and writes again what the output asks for.
    fn commit_written(&mut self) -> Result<OutputState, PluginError> {
        let mut late = self.active().commit()?;
        let mut rounds = 0;
        while !late.is_empty() {
            rounds += 1;
            self.retry_late_rows(late, rounds)?;
            late = self.active().commit()?;
        }
        self.active().keep_commit()
    }

    /// Writes rows of earlier batches again, as a commit has requested.
    fn retry_late_rows(&mut self, late: Vec<LateRetry>, round: u32) -> Result<(), PluginError> {
        for (batch, rows) in late {
            let validated = batch.validate()?;
            if round > MAX_LATE_ROUNDS {
                let reason = format!("not accepted after {round} attempts");
                self.active().move_to_dead_letters(validated, &rows, &reason, round);
                continue;
            }
            let rows = self.active().retry_rows(&batch, validated, rows, round + 1)?;
            self.retry_rows(&batch, rows)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), PluginError> {
        let closed = self.pair.primary.close();
        let standby = self.pair.standby.as_mut().map_or(Ok(()), Destination::close);
        closed.and(standby)
    }

    /// While the failover output delivers: probes the primary output, and returns to it after enough successful probes.
    fn probe_primary(&mut self) -> Result<(), PluginError> {
        if !self.pair.probe_primary(self.control.stop.now(), self.delivery.retry.longest) {
            return Ok(());
        }
        let returned = self.pair.return_to_primary(self.retry_buffer.report.as_ref());
        if !self.pair.has_failed_over() {
            self.outage = None;
            self.queue.set_unavailable(false);
        }
        self.show();
        returned
    }

    fn finish_primary_report(&mut self) {
        if let Err(error) = self.pair.finish_primary_report() {
            self.control.record_failure(Failure::new(self.pair.primary.id(), &error));
        }
    }

    pub(super) fn active(&mut self) -> &mut Destination {
        self.pair.active()
    }

    fn summaries(&self, is_resumable: bool) -> Vec<OutputSummary> {
        let mut primary = self.pair.primary.summary(is_resumable);
        let mut standby = self.pair.standby.as_ref().map(|standby| standby.summary(is_resumable));
        // Findings after the last commit count as undelivered.
        let last = if self.pair.has_failed_over() { &mut standby } else { &mut None };
        let last = last.as_mut().unwrap_or(&mut primary);
        last.undelivered += self.retry_buffer.findings;
        last.delivered_before += self.ahead.findings();
        if let Some(standby) = &standby {
            primary.diverted = standby.records + standby.filtered + standby.rejected + standby.undelivered;
        }
        [primary].into_iter().chain(standby).collect()
    }
}

/// Maximum number of times that rows are written again at the request of a commit; then they become dead letters.
const MAX_LATE_ROUNDS: u32 = 5;
