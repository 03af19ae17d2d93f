//! The thread of one output: takes items from the queue, delivers them, and retries after failures.

use std::sync::Arc;
use std::time::Duration;

use scanbridge_plugin_api::{ErrorKind, PluginError, ReportKey, Resume};

use super::account::Ended;
use super::destination::{Destination, LateRetry};
use super::failover::Pair;
use super::retry_buffer::RetryBuffer;
use crate::config::Delivery;
use crate::pipeline::batch::SharedBatch;
use crate::pipeline::checkpoint::Checkpoints;
use crate::pipeline::clock::after;
use crate::pipeline::control::Control;
use crate::pipeline::item::{Item, Mark, ReportBegin};
use crate::pipeline::notes::log_notes;
use crate::pipeline::queue::Queue;
use crate::pipeline::rate_limit::RateLimit;
use crate::pipeline::retry::{Outage, is_retryable};
use crate::pipeline::stop::ABORT;
use crate::pipeline::summary::{Failure, OutputSummary};
use crate::state::AheadReport;
use crate::telemetry::without_controls;

/// An output with its failover output, and its state for retries.
pub(in crate::pipeline) struct OutputWorker {
    /// Index of this output worker.
    pub(in crate::pipeline) number: usize,
    pub(in crate::pipeline) pair: Pair,
    pub(in crate::pipeline) required: bool,
    pub(in crate::pipeline) delivery: Delivery,
    pub(in crate::pipeline) queue: Arc<Queue>,
    pub(in crate::pipeline) control: Arc<Control>,
    pub(in crate::pipeline) checkpoints: Arc<Checkpoints>,
    pub(in crate::pipeline) retry_buffer: RetryBuffer,
    /// Maximum size of the retry buffer, in bytes.
    pub(in crate::pipeline) max_buffer_bytes: u64,
    pub(in crate::pipeline) outage: Option<Outage>,
    pub(in crate::pipeline) rate_limit: RateLimit,
    /// The error with which the output could not be opened at the start of the run, if it is retryable.
    pub(in crate::pipeline) open_error: Option<PluginError>,
    /// Reports that this output published in an earlier run: they are skipped.
    pub(in crate::pipeline) ahead: Vec<AheadReport>,
    pub(in crate::pipeline) skipping: Skipping,
}

/// Reports that are skipped, since the last commit.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Skipping {
    /// The report that is being skipped.
    current: Option<Arc<ReportKey>>,
    /// The last skipped report that ended since the last commit.
    ended: Option<AheadReport>,
    /// Total number of skipped findings.
    findings: u64,
}

impl OutputWorker {
    /// Delivers until the queue is closed. Returns the summary of the output, then that of its failover output.
    pub(in crate::pipeline) fn run(mut self) -> Vec<OutputSummary> {
        let outcome = self.deliver_all();
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
        for destination in [&self.pair.primary].into_iter().chain(&self.pair.standby) {
            log_notes(destination.id(), destination.context());
        }
        self.summaries(is_resumable)
    }

    fn deliver_all(&mut self) -> Result<(), PluginError> {
        if let Some(open_error) = self.open_error.take().filter(|_| !self.pair.has_failed_over()) {
            self.recover(open_error)?;
        }
        while let Some(item) = self.queue.take() {
            // Validates a batch and counts its findings as read, whatever this output makes of it.
            item.findings();
            self.retry_buffer.push(&item, self.max_buffer_bytes);
            match self.deliver(&item) {
                Ok(()) => {}
                Err(error) if is_retryable(&error) => self.recover(error)?,
                Err(error) => return Err(error),
            }
            if matches!(item, Item::Mark(_)) {
                match self.probe_primary() {
                    Err(error) if is_retryable(&error) => self.recover(error)?,
                    probed => probed?,
                }
            }
        }
        Ok(())
    }

    /// Passes an item to the active output.
    fn deliver(&mut self, item: &Item) -> Result<(), PluginError> {
        match item {
            Item::Begin(begin) => self.begin(begin),
            Item::Batch(batch) if self.skipping.current.is_some() => {
                self.skipping.findings += batch.findings();
                self.retry_buffer.findings = self.retry_buffer.findings.saturating_sub(batch.findings());
                Ok(())
            }
            Item::Batch(batch) => self.write(batch),
            Item::End { .. } if self.skipping.current.is_some() => {
                let key = self.skipping.current.take();
                self.skipping.ended =
                    self.ahead.iter().find(|ahead| Some(&ahead.key) == key.as_deref()).cloned();
                Ok(())
            }
            Item::End { end, has_gap } => {
                let has_gap = *has_gap;
                self.active().end(end, has_gap)
            }
            Item::Mark(mark) => self.commit(*mark),
        }
    }

    /// Begins a report, unless this output published it in an earlier run.
    fn begin(&mut self, begin: &ReportBegin) -> Result<(), PluginError> {
        if self.ahead.iter().any(|ahead| ahead.key == *begin.key) {
            tracing::info!(
                instance = self.active().id(),
                "skipping {}: published before the interruption",
                without_controls(&begin.report.path)
            );
            self.skipping.current = Some(Arc::clone(&begin.key));
            return Ok(());
        }
        self.active().begin(begin, begin.continued)
    }

    fn write(&mut self, batch: &Arc<SharedBatch>) -> Result<(), PluginError> {
        if let Some(max_per_sec) = self.delivery.max_findings_per_sec {
            self.rate_limit.wait_for(batch.findings(), max_per_sec, &self.control.stop);
        }
        let validated = match batch.validate() {
            Ok(validated) => validated,
            Err(invalid) => {
                let path = self.active().invalidate_report();
                self.control.invalid_batch(batch.input(), &invalid.to_error(&path));
                return Ok(());
            }
        };
        let rows = self.active().write(batch, validated)?;
        self.retry_rows(batch, rows)
    }

    /// Writes the rows that the output requests again, until it accepts them or the retries are exhausted.
    fn retry_rows(&mut self, batch: &Arc<SharedBatch>, mut rows: Vec<u32>) -> Result<(), PluginError> {
        if rows.is_empty() {
            return Ok(());
        }
        let validated = batch.validated()?;
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

    fn commit(&mut self, mark: Mark) -> Result<(), PluginError> {
        let mut late = self.active().commit()?;
        let mut rounds = 0;
        while !late.is_empty() {
            rounds += 1;
            self.retry_late_rows(late, rounds)?;
            late = self.active().commit()?;
        }
        let state = self.active().keep_commit()?;
        self.active().context().keys().mark_commit(mark.number);
        let mut states = vec![(self.active().id().to_owned(), state)];
        states.extend(self.pair.idle_state());
        let skipped = self.skipping.ended.take();
        let ended = skipped.as_ref().map_or_else(
            || self.active().ended().clone(),
            |ahead| Ended { missed: ahead.missed.clone(), dead_letters: ahead.dead_letters },
        );
        let ended = mark.ends_report.then_some(ended);
        let committed = self.checkpoints.committed(self.number, mark, states, ended);
        committed?;
        self.ahead.retain(|ahead| skipped.as_ref().is_none_or(|skipped| skipped.key != ahead.key));
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
            let time = self.control.stop.since(outage.started()).as_secs_f64();
            tracing::info!(instance = self.active().id(), "delivery resumed after {time:.0} s");
            self.queue.set_unavailable(false);
        }
        Ok(())
    }

    /// Writes rows of earlier batches again, as a commit has requested.
    fn retry_late_rows(&mut self, late: Vec<LateRetry>, round: u32) -> Result<(), PluginError> {
        for (batch, rows) in late {
            let validated = batch.validated()?;
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

    /// Reopens the output and repeats everything since its last commit, until that succeeds or
    /// `retry.max_elapsed_secs` is over.
    fn recover(&mut self, mut error: PluginError) -> Result<(), PluginError> {
        loop {
            if self.retry_buffer.overflowed {
                return Err(error.with_hint(
                    "the retry buffer is full: too much data since the last checkpoint; run again to \
                     resume from that checkpoint",
                ));
            }
            let policy = self.delivery.retry;
            let now = self.control.stop.now();
            let outage = self.outage.get_or_insert_with(|| Outage::new(policy, now));
            let pause = outage.failed(&error, now);
            let switches = outage.breaker_is_open() || pause.is_none();
            if switches && self.pair.can_fail_over() {
                self.pair.fail_over(&error, now + policy.longest);
                self.outage = None;
            } else {
                let Some(pause) = pause else { return Err(error) };
                self.wait_before_the_next_attempt(&error, pause)?;
            }
            match self.resend_buffer() {
                Ok(()) => return Ok(()),
                Err(next) if is_retryable(&next) => error = next,
                Err(next) => return Err(next),
            }
        }
    }

    fn wait_before_the_next_attempt(
        &mut self,
        error: &PluginError,
        pause: Duration,
    ) -> Result<(), PluginError> {
        let failures = self.outage.as_ref().map_or(0, Outage::failures);
        if failures == 1 {
            tracing::warn!(
                instance = self.active().id(),
                "{error}; retry {failures} in {:.1} s",
                pause.as_secs_f64()
            );
            self.queue.set_unavailable(true);
            self.exclude_from_checkpoints(error)?;
        } else {
            tracing::info!(
                instance = self.active().id(),
                "{error}; retry {failures} in {:.1} s",
                pause.as_secs_f64()
            );
        }
        self.active().drop_instance();
        if self.control.stop.is_requested() {
            return Err(error.clone());
        }
        if self.required {
            let stopped = self.control.stop.wait(pause);
            return if stopped { Err(error.clone()) } else { Ok(()) };
        }
        // A run does not wait for an optional output: when everything else has finished, it gets one last attempt.
        let end = after(self.control.stop.now(), pause);
        loop {
            let left = self.control.stop.clock().until(end);
            if left.is_zero() || self.control.stop.is_requested() {
                break;
            }
            if self.queue.wait_closed(left.min(Duration::from_millis(200))) {
                self.outage.iter_mut().for_each(Outage::expire);
                break;
            }
        }
        Ok(())
    }

    /// Checkpoints do not wait for an optional output that is unavailable or has failed. They stay at the last commit
    /// of a required one.
    fn exclude_from_checkpoints(&self, reason: &PluginError) -> Result<(), PluginError> {
        if self.required {
            return Ok(());
        }
        self.checkpoints.exclude_output(self.number, &reason.message).map_err(PluginError::from)
    }

    /// Reopens the active output at its last commit, and repeats everything since.
    fn resend_buffer(&mut self) -> Result<(), PluginError> {
        let probe = self.outage.as_ref().is_some_and(Outage::breaker_is_open) && !self.pair.has_failed_over();
        let (begun, missed_beginning) = (self.retry_buffer.report.clone(), self.retry_buffer.has_findings);
        self.skipping = Skipping { findings: self.skipping.findings, ..Skipping::default() };
        let active = self.active();
        active.reopen(probe)?;
        active.set_repeating(true);
        let resumes = active.capabilities().resume != Resume::None;
        self.checkpoints.set_resumes(self.number, resumes);
        let active = self.active();
        match begun {
            // The other output has begun this report: this one receives the rest.
            Some(begin) if !active.is_inside(&begin.report) => {
                active.begin(&begin, true)?;
                if missed_beginning {
                    active.mark_gap();
                }
            }
            _ => active.resume_report()?,
        }
        let items = std::mem::take(&mut self.retry_buffer.items);
        let result = items.iter().try_for_each(|item| self.deliver(item));
        self.active().set_repeating(false);
        // A committed barrier has emptied the buffer; otherwise the items are kept for the next attempt.
        if result.is_err() || !matches!(items.back(), Some(Item::Mark(_))) {
            self.retry_buffer.items = items;
        }
        result
    }

    /// Ends the output for this run. Returns whether a later run resumes it.
    fn close_failed(&mut self, error: &PluginError) -> bool {
        self.queue.set_unavailable(true);
        let id = self.active().id().to_owned();
        if self.active().is_hung() {
            self.control.output_hung(&id, self.required, error);
        } else {
            self.control.output_failed(&id, self.required, error);
        }
        let is_resumable = self.control.is_resumable() && self.required;
        self.active().drop_instance();
        self.active().roll_back_dead_letters();
        self.active().context().keys().roll_back();
        let is_aborted = self.control.stop.level() >= ABORT;
        if !is_resumable && !is_retryable(error) && !is_aborted {
            self.active().discard();
        }
        if let Err(error) = self.exclude_from_checkpoints(error) {
            self.control.output_failed(&id, true, &error);
        }
        is_resumable
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
        let returned = self.pair.return_to_primary(self.retry_buffer.report.as_ref(), &self.checkpoints);
        if !self.pair.has_failed_over() {
            self.outage = None;
            self.queue.set_unavailable(false);
        }
        returned
    }

    fn finish_primary_report(&mut self) {
        if let Err(error) = self.pair.finish_primary_report(&self.checkpoints) {
            self.control.record_failure(Failure::new(self.pair.primary.id(), &error));
        }
    }

    fn active(&mut self) -> &mut Destination {
        self.pair.active()
    }

    fn summaries(&self, is_resumable: bool) -> Vec<OutputSummary> {
        let mut primary = self.pair.primary.summary(is_resumable);
        let mut standby = self.pair.standby.as_ref().map(|standby| standby.summary(is_resumable));
        // Findings after the last commit count as undelivered.
        let last = if self.pair.has_failed_over() { &mut standby } else { &mut None };
        let last = last.as_mut().unwrap_or(&mut primary);
        last.undelivered += self.retry_buffer.findings;
        last.delivered_before += self.skipping.findings;
        if let Some(standby) = &standby {
            primary.diverted = standby.records + standby.filtered + standby.rejected + standby.undelivered;
        }
        [primary].into_iter().chain(standby).collect()
    }
}

/// Maximum number of times that rows are written again at the request of a commit; then they become dead letters.
const MAX_LATE_ROUNDS: u32 = 5;
