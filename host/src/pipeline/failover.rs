//! Failover and return to the primary output. A report in between consists of two parts, and each output ends its own
//! part.

use std::time::Instant;

use scanbridge_plugin_api::PluginError;

use super::destination::Destination;
use super::summary::Failure;
use super::worker::OutputWorker;
use crate::state::OutputState;

/// The primary output is unavailable, and the failover output delivers.
#[derive(Debug)]
pub(super) struct FailoverState {
    /// Time of the next probe of the primary output.
    next_probe: Instant,
    /// Number of consecutive successful probes.
    successful_probes: u32,
}

impl FailoverState {
    /// The state with the first probe of the primary output at this time.
    pub(super) fn with_first_probe(next_probe: Instant) -> Self {
        Self { next_probe, successful_probes: 0 }
    }
}

impl OutputWorker {
    pub(super) fn switch_to_failover(&mut self, error: &PluginError) {
        let Some(standby) = &self.standby else { return };
        tracing::warn!(instance = self.primary.id(), "{error}; switching to failover `{}`", standby.id());
        self.primary.yield_to_failover();
        self.outage = None;
        self.failover =
            Some(FailoverState::with_first_probe(self.control.stop.now() + self.delivery.retry.longest));
    }

    /// While the failover output delivers: probes the primary output regularly, and returns to it after enough
    /// successful probes.
    pub(super) fn probe_primary(&mut self) -> Result<(), PluginError> {
        let longest = self.delivery.retry.longest;
        let now = self.control.stop.now();
        let Some(failover) = self.failover.as_mut().filter(|failover| now >= failover.next_probe) else {
            return Ok(());
        };
        failover.next_probe = now + longest;
        match self.primary.reopen(true) {
            Ok(()) => failover.successful_probes += 1,
            Err(error) => {
                tracing::debug!(instance = self.primary.id(), "{error}; still unavailable");
                failover.successful_probes = 0;
            }
        }
        if failover.successful_probes < REQUIRED_PROBES {
            self.primary.drop_instance();
            return Ok(());
        }
        self.switch_to_primary()
    }

    fn switch_to_primary(&mut self) -> Result<(), PluginError> {
        let report = self.retry_buffer.report.clone();
        if let (Some(standby), Some(_)) = (&mut self.standby, &report) {
            standby.end_partial_report(&format!("`{}` is available again", self.primary.id()))?;
            let state = commit_partial_report(standby)?;
            self.checkpoints.amend(standby.id(), state)?;
            standby.stored()?;
        }
        tracing::info!(instance = self.primary.id(), "available again, delivery resumed");
        self.failover = None;
        self.outage = None;
        self.queue.set_unavailable(false);
        match report {
            Some(begin) => {
                self.primary.begin(&begin, true)?;
                self.primary.mark_gap();
                Ok(())
            }
            None => self.end_partial_report_of_primary(),
        }
    }

    /// Ends the primary output's part of a report that the failover output has ended meanwhile.
    fn end_partial_report_of_primary(&mut self) -> Result<(), PluginError> {
        if self.primary.report_at_commit().is_none() {
            return Ok(());
        }
        self.primary.end_partial_report("the rest of the report went to the failover")?;
        let state = commit_partial_report(&mut self.primary)?;
        self.checkpoints.amend(self.primary.id(), state)?;
        self.primary.stored()
    }

    /// Tries once more, before the run ends, to end the part of an unavailable primary output. Not if a later run
    /// resumes the report.
    pub(super) fn finish_primary_report(&mut self) {
        let (Some(part), Some(standby)) = (self.primary.report_at_commit(), &self.standby) else { return };
        if self.failover.is_none() || standby.is_inside(&part.report) {
            return;
        }
        let path = part.report.path.clone();
        let ended = self.primary.reopen(false).and_then(|()| self.end_partial_report_of_primary());
        if let Err(error) = ended {
            self.primary.abandon_partial_report();
            let message =
                format!("{error}; its part of report {path} could not be completed and may be missing");
            let error = PluginError::new(error.kind, message);
            self.control.record_failure(Failure::new(self.primary.id(), &error));
        }
    }

    /// State of the output that does not deliver now. An unavailable primary output has a gap; a failover output that
    /// is no longer in use has ended its part.
    pub(super) fn idle_state(&self) -> Option<(String, OutputState)> {
        let standby = self.standby.as_ref()?;
        let idle = if self.failover.is_some() { &self.primary } else { standby };
        Some((idle.id().to_owned(), idle.state_at_commit()))
    }
}

/// Commits the end of a part. Rows that are rejected only now become dead letters.
fn commit_partial_report(destination: &mut Destination) -> Result<OutputState, PluginError> {
    for (batch, rows) in destination.commit()? {
        if let Ok(validated) = batch.validate() {
            destination.move_to_dead_letters(validated, &rows, "not accepted at the end of the part", 1);
        }
    }
    destination.context().keys().commit();
    destination.keep_commit()
}

/// Number of consecutive successful probes after which a failed output is used again.
const REQUIRED_PROBES: u32 = 2;
