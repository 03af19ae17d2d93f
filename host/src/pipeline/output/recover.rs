//! Reopens an output after a failure and repeats what it received since its last commit, or ends it for this run.

use std::sync::Arc;
use std::time::Duration;

use scanbridge_plugin_api::{PluginError, Resume};

use super::worker::OutputWorker;
use crate::pipeline::clock::after;
use crate::pipeline::item::Item;
use crate::pipeline::retry::{Outage, is_retryable, milliseconds};
use crate::pipeline::stop::ABORT;

impl OutputWorker {
    /// Reopens the output and repeats everything since its last commit, until that succeeds or
    /// `retry.max_elapsed_secs` is over.
    pub(super) fn recover(&mut self, mut error: PluginError) -> Result<(), PluginError> {
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
                self.pair.fail_over(&error, now + policy.longest, self.last_mark);
                self.outage = None;
                self.show();
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
        self.show();
        let failures = self.outage.as_ref().map_or(0, Outage::failures);
        let (seconds, pause_ms) = (pause.as_secs_f64(), milliseconds(pause));
        let opens = self.outage.as_ref().is_some_and(|outage| outage.failures() == outage.breaker_failures());
        if opens {
            tracing::warn!(
                event = "circuit_open",
                instance = self.active().id(),
                "circuit breaker open (failed attempts in a row: {failures}): the output gets no findings until a probe \
                 succeeds"
            );
        }
        if failures == 1 {
            tracing::warn!(
                event = "retry",
                instance = self.active().id(),
                attempt = failures,
                pause_ms,
                "{error}; retry {failures} in {seconds:.1} s"
            );
            self.queue.set_unavailable(true);
            self.exclude_from_checkpoints(error)?;
        } else {
            tracing::info!(
                event = "retry",
                instance = self.active().id(),
                attempt = failures,
                pause_ms,
                "{error}; retry {failures} in {seconds:.1} s"
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
        self.ahead.roll_back();
        let active = self.active();
        active.reopen(probe)?;
        if active.keeps_checkpoint() {
            let checkpoints = Arc::clone(&self.checkpoints);
            self.active().check_loaded(|pairs| checkpoints.check_loaded(pairs))?;
        }
        let active = self.active();
        active.set_repeating(true);
        let resumes = active.capabilities().resume != Resume::None;
        self.checkpoints.set_resumes(self.number, resumes);
        let active = self.active();
        match begun {
            // The other output has begun this report: this one receives the rest.
            Some(begin) if !active.is_inside(&begin.report) => {
                self.pair.begin_part(&begin, true)?;
                if missed_beginning {
                    self.pair.mark_gap();
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
    pub(super) fn close_failed(&mut self, error: &PluginError) -> bool {
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
}
