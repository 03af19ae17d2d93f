//! The thread of one output: takes items from the queue, delivers them, and retries after failures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{ErrorKind, PluginError, ReportKey, Resume};

use super::batch::{Item, Mark, ReportBegin, SharedBatch};
use super::checkpoint::Checkpoints;
use super::control::Control;
use super::destination::{Destination, Ended, LateRetry, io_error};
use super::failover::FailoverState;
use super::queue::Queue;
use super::rate_limit::RateLimit;
use super::retry::{Outage, is_passing};
use super::retry_buffer::RetryBuffer;
use super::stop::ABORT;
use super::summary::OutputSummary;
use crate::config::Delivery;
use crate::plugins::context::Context;
use crate::state::AheadReport;
use crate::telemetry::without_controls;

/// An output with its failover output, and what is needed to continue after a failure.
pub(super) struct OutputWorker {
    /// Index of this output worker.
    pub(super) number: usize,
    pub(super) primary: Destination,
    pub(super) standby: Option<Destination>,
    pub(super) required: bool,
    pub(super) delivery: Delivery,
    pub(super) queue: Arc<Queue>,
    pub(super) control: Arc<Control>,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) pending: RetryBuffer,
    /// Maximum size of the retry buffer, in bytes.
    pub(super) max_buffered: u64,
    pub(super) outage: Option<Outage>,
    /// Set while the failover output delivers.
    pub(super) failover: Option<FailoverState>,
    pub(super) rate_limit: RateLimit,
    /// The error with which the output could not be opened at the start of the run, if it is retryable.
    pub(super) refusal: Option<PluginError>,
    /// Reports that this output published in an earlier run: they are skipped.
    pub(super) ahead: Vec<AheadReport>,
    pub(super) skipping: Skipping,
}

/// Reports that are skipped, since the last commit.
#[derive(Debug, Default)]
pub(super) struct Skipping {
    /// The report that is being skipped.
    current: Option<Arc<ReportKey>>,
    /// What was known of the last one that ended since the last commit.
    ended: Option<AheadReport>,
    /// Findings skipped in all.
    findings: u64,
}

impl OutputWorker {
    /// Delivers until the queue is closed. Returns the summary of the output, then that of its failover output.
    pub(super) fn run(mut self) -> Vec<OutputSummary> {
        let outcome = self.deliver_all();
        let is_resumable = match &outcome {
            Ok(()) => self.control.is_resumable(),
            Err(error) => self.close_failed(error),
        };
        if !is_resumable {
            self.active().discard_report("the run has failed");
        }
        if outcome.is_ok() {
            self.end_primary_part();
        }
        if outcome.is_ok()
            && let Err(error) = self.close()
        {
            self.control.output_failed(self.primary.id(), self.required, &error);
        }
        self.queue.abandon();
        for destination in [&self.primary].into_iter().chain(&self.standby) {
            log_notes(destination.id(), destination.context());
        }
        self.summaries(is_resumable)
    }

    fn deliver_all(&mut self) -> Result<(), PluginError> {
        if let Some(refusal) = self.refusal.take().filter(|_| self.failover.is_none()) {
            self.recover(refusal)?;
        }
        while let Some(item) = self.queue.take() {
            // Validates a batch and counts its findings as read, whatever this output makes of it.
            item.findings();
            self.pending.push(&item, self.max_buffered);
            match self.deliver(&item) {
                Ok(()) => {}
                Err(error) if is_passing(&error) => self.recover(error)?,
                Err(error) => return Err(error),
            }
            if matches!(item, Item::Mark(_)) {
                match self.probe_primary() {
                    Err(error) if is_passing(&error) => self.recover(error)?,
                    probed => probed?,
                }
            }
        }
        Ok(())
    }

    /// Passes an item to the output that delivers now.
    fn deliver(&mut self, item: &Item) -> Result<(), PluginError> {
        match item {
            Item::Begin(begin) => self.begin(begin),
            Item::Batch(batch) if self.skipping.current.is_some() => {
                self.skipping.findings += batch.findings();
                self.pending.findings = self.pending.findings.saturating_sub(batch.findings());
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
        if let Some(most) = self.delivery.max_findings_per_sec {
            self.rate_limit.keep(batch.findings(), most, |pause| self.control.stop.wait(pause));
        }
        let validated = match batch.validate() {
            Ok(validated) => validated,
            Err(bad) => {
                let path = self.active().break_report();
                self.control.broken_batch(batch.input(), &path, &bad);
                return Ok(());
            }
        };
        let open = self.active().write(batch, validated)?;
        self.write_again(batch, open)
    }

    /// Writes the rows that the output wants to have again, until it accepts them or the retries are used up.
    fn write_again(&mut self, batch: &Arc<SharedBatch>, mut open: Vec<u32>) -> Result<(), PluginError> {
        if open.is_empty() {
            return Ok(());
        }
        let validated = batch.validate().map_err(|bad| PluginError::bug(bad.to_string()))?;
        let mut outage = Outage::new(self.delivery.retry);
        let mut attempts = 1;
        while !open.is_empty() {
            let refused = PluginError::new(
                ErrorKind::Unavailable,
                format!("{} findings could not be written; the output asked for a retry", open.len()),
            );
            let stops = self.control.stop.is_given();
            if stops && self.required && self.control.is_resumable() {
                return Err(refused); // The next run resumes before them.
            }
            let Some(pause) = outage.failed(&refused).filter(|_| !stops) else {
                let reason = format!("not accepted after {attempts} attempts");
                self.active().move_to_dead_letters(validated, &open, &reason, attempts);
                break;
            };
            tracing::debug!(instance = self.active().id(), "{refused}; retrying");
            let _ = self.control.stop.wait(pause);
            attempts += 1;
            open = self.active().write_again(batch, validated, open, attempts)?;
        }
        Ok(())
    }

    fn commit(&mut self, mark: Mark) -> Result<(), PluginError> {
        let mut late = self.active().commit()?;
        let mut rounds = 0;
        while !late.is_empty() {
            rounds += 1;
            self.write_late(late, rounds)?;
            late = self.active().commit()?;
        }
        let state = self.active().keep_commit()?;
        let mut states = vec![(self.active().id().to_owned(), state)];
        states.extend(self.idle_state());
        let skipped = self.skipping.ended.take();
        let ended = skipped.as_ref().map_or_else(
            || self.active().ended(),
            |ahead| Ended { missed: ahead.missed, dead_letters: ahead.dead_letters },
        );
        let ended = mark.ends_report.then_some(ended);
        let committed = self.checkpoints.committed(self.number, mark, states, ended);
        committed.map_err(|error| io_error(&error))?;
        self.ahead.retain(|ahead| skipped.as_ref().is_none_or(|skipped| skipped.key != ahead.key));
        let active = self.active();
        let (report, has_begun) = (active.report_at_commit().cloned(), active.has_part_of_a_report());
        // After a failure from here on, only the barrier is repeated: `open` with the stored receipt publishes.
        let items = [Item::Mark(mark)].into();
        self.pending = RetryBuffer { report, has_begun, items, ..RetryBuffer::default() };
        if mark.ends_report && skipped.is_none() && self.active().capabilities().resume != Resume::None {
            self.active().stored()?;
        }
        self.checkpoints.published(self.number, mark.number);
        self.pending.items.clear();
        if let Some(outage) = self.outage.take() {
            let time = outage.elapsed().as_secs_f64();
            tracing::info!(instance = self.active().id(), "delivery resumed after {time:.0} s");
            self.queue.set_down(false);
        }
        Ok(())
    }

    /// Writes rows of earlier batches again that a commit has named.
    fn write_late(&mut self, late: Vec<LateRetry>, round: u32) -> Result<(), PluginError> {
        for (batch, rows) in late {
            if round > MAX_LATE_ROUNDS {
                let validated = batch.validate().map_err(|bad| PluginError::bug(bad.to_string()))?;
                let reason = format!("not accepted after {round} attempts");
                self.active().move_to_dead_letters(validated, &rows, &reason, round);
                continue;
            }
            let validated = batch.validate().map_err(|bad| PluginError::bug(bad.to_string()))?;
            let open = self.active().write_again(&batch, validated, rows, round + 1)?;
            self.write_again(&batch, open)?;
        }
        Ok(())
    }

    /// Opens the output again and repeats what it had not committed, until that succeeds or `retry.max_elapsed_secs`
    /// is over.
    fn recover(&mut self, mut error: PluginError) -> Result<(), PluginError> {
        loop {
            if self.pending.overflown {
                return Err(error.with_hint(
                    "the retry buffer is full: too much data since the last checkpoint; run again to \
                     resume from that checkpoint",
                ));
            }
            let policy = self.delivery.retry;
            let outage = self.outage.get_or_insert_with(|| Outage::new(policy));
            let pause = outage.failed(&error);
            let hands_over = outage.breaker_is_open() || pause.is_none();
            if hands_over && self.standby.is_some() && self.failover.is_none() {
                self.fail_over(&error);
            } else {
                let Some(pause) = pause else { return Err(error) };
                self.wait_before_the_next_attempt(&error, pause)?;
            }
            match self.repeat() {
                Ok(()) => return Ok(()),
                Err(next) if is_passing(&next) => error = next,
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
            self.queue.set_down(true);
            self.leave_checkpoints()?;
        } else {
            tracing::info!(
                instance = self.active().id(),
                "{error}; retry {failures} in {:.1} s",
                pause.as_secs_f64()
            );
        }
        self.active().drop_instance();
        if self.control.stop.is_given() {
            return Err(error.clone());
        }
        if self.required {
            let stopped = self.control.stop.wait(pause);
            return if stopped { Err(error.clone()) } else { Ok(()) };
        }
        // A run does not wait for an optional output: when everything else is done, it gets one last attempt.
        let begun = Instant::now();
        while begun.elapsed() < pause && !self.control.stop.is_given() {
            if self.queue.wait_closed((pause - begun.elapsed()).min(Duration::from_millis(200))) {
                self.outage.iter_mut().for_each(Outage::expire);
                break;
            }
        }
        Ok(())
    }

    /// Checkpoints do not wait for an optional output that is unavailable or has failed. They stay at the last commit
    /// of a required one.
    fn leave_checkpoints(&self) -> Result<(), PluginError> {
        if self.required {
            return Ok(());
        }
        self.checkpoints.leave_out(self.number).map_err(|error| io_error(&error))
    }

    /// Opens the output that delivers now at its last commit, and repeats everything since.
    fn repeat(&mut self) -> Result<(), PluginError> {
        let probe = self.outage.as_ref().is_some_and(Outage::breaker_is_open) && self.failover.is_none();
        let (begun, comes_late) = (self.pending.report.clone(), self.pending.has_begun);
        self.skipping = Skipping { findings: self.skipping.findings, ..Skipping::default() };
        let active = self.active();
        active.reopen(probe)?;
        active.set_repeating(true);
        let resumes = active.capabilities().resume != Resume::None;
        self.checkpoints.set_resumes(self.number, resumes);
        let active = self.active();
        match begun {
            // The other output has begun this report: this one gets the rest.
            Some(begin) if !active.is_inside(&begin.report) => {
                active.begin(&begin, true)?;
                if comes_late {
                    active.mark_gap();
                }
            }
            _ => active.resume_report()?,
        }
        let items = std::mem::take(&mut self.pending.items);
        let result = items.iter().try_for_each(|item| self.deliver(item));
        self.active().set_repeating(false);
        // A committed barrier has emptied the buffer; otherwise the items stay for the next attempt.
        if result.is_err() || !matches!(items.back(), Some(Item::Mark(_))) {
            self.pending.items = items;
        }
        result
    }

    /// Ends the output for this run. Returns whether a later run resumes it.
    fn close_failed(&mut self, error: &PluginError) -> bool {
        self.queue.set_down(true);
        let id = self.active().id().to_owned();
        if self.active().is_hung() {
            self.control.output_hung(&id, self.required, error);
        } else {
            self.control.output_failed(&id, self.required, error);
        }
        let is_resumable = self.control.is_resumable() && self.required;
        self.active().drop_instance();
        self.active().roll_back_dead_letters();
        let is_aborted = self.control.stop.level() >= ABORT;
        if !is_resumable && !is_passing(error) && !is_aborted {
            self.active().discard();
        }
        if let Err(error) = self.leave_checkpoints() {
            self.control.output_failed(&id, true, &error);
        }
        is_resumable
    }

    fn close(&mut self) -> Result<(), PluginError> {
        let closed = self.primary.close();
        let standby = self.standby.as_mut().map_or(Ok(()), Destination::close);
        closed.and(standby)
    }

    pub(super) fn active(&mut self) -> &mut Destination {
        match &mut self.standby {
            Some(standby) if self.failover.is_some() => standby,
            _ => &mut self.primary,
        }
    }

    fn summaries(&self, is_resumable: bool) -> Vec<OutputSummary> {
        let mut primary = self.primary.summary(is_resumable);
        let mut standby = self.standby.as_ref().map(|standby| standby.summary(is_resumable));
        // What came after the last commit counts as undelivered.
        let last = if self.failover.is_some() { &mut standby } else { &mut None };
        let last = last.as_mut().unwrap_or(&mut primary);
        last.undelivered += self.pending.findings;
        last.delivered_before += self.skipping.findings;
        if let Some(standby) = &standby {
            primary.diverted = standby.records + standby.filtered + standby.rejected + standby.undelivered;
        }
        [primary].into_iter().chain(standby).collect()
    }
}

/// Logs what an instance has noted.
pub(super) fn log_notes(instance: &str, context: &Context) {
    for (level, text, count) in context.take_notes() {
        let text = without_controls(&text);
        match level {
            0..=2 => tracing::warn!(instance, count, "{text}"),
            _ => tracing::info!(instance, count, "{text}"),
        }
    }
}

/// How often rows that a commit names are written again before they become dead letters.
const MAX_LATE_ROUNDS: u32 = 5;
