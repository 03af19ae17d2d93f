//! Failover and return to the primary output. Both outputs end their parts of a report that they share.

use std::time::Instant;

use scanbridge_plugin_api::PluginError;

use super::destination::{Destination, io_error};
use super::summary::Failure;
use super::worker::OutputWorker;
use crate::state::OutputState;

/// The primary output is unavailable, and the failover output delivers.
#[derive(Debug)]
pub(super) struct FailoverState {
    /// Time of the next probe of the primary output.
    next_probe: Instant,
    /// Number of consecutive successful probes.
    good_probes: u32,
}

impl FailoverState {
    /// Probes the primary output at this time.
    pub(super) fn until(next_probe: Instant) -> Self {
        Self { next_probe, good_probes: 0 }
    }
}

impl OutputWorker {
    pub(super) fn fail_over(&mut self, error: &PluginError) {
        let Some(standby) = &self.standby else { return };
        tracing::warn!(instance = self.primary.id(), "{error}; switching to failover `{}`", standby.id());
        self.primary.hand_over();
        self.outage = None;
        self.failover = Some(FailoverState::until(Instant::now() + self.delivery.retry.longest));
    }

    /// While the failover output delivers: probes the primary output regularly, and returns to it after enough
    /// successful probes.
    pub(super) fn probe_primary(&mut self) -> Result<(), PluginError> {
        let longest = self.delivery.retry.longest;
        let Some(failover) = self.failover.as_mut().filter(|failover| Instant::now() >= failover.next_probe)
        else {
            return Ok(());
        };
        failover.next_probe = Instant::now() + longest;
        match self.primary.reopen(true) {
            Ok(()) => failover.good_probes += 1,
            Err(error) => {
                tracing::debug!(instance = self.primary.id(), "{error}; still unavailable");
                failover.good_probes = 0;
            }
        }
        if failover.good_probes < GOOD_PROBES {
            self.primary.drop_instance();
            return Ok(());
        }
        self.come_back()
    }

    fn come_back(&mut self) -> Result<(), PluginError> {
        let report = self.pending.report.clone();
        if let (Some(standby), Some(_)) = (&mut self.standby, &report) {
            standby.end_part(&format!("`{}` is available again", self.primary.id()))?;
            let state = commit_part(standby)?;
            self.checkpoints.amend(standby.id(), state).map_err(|error| io_error(&error))?;
            standby.stored()?;
        }
        tracing::info!(instance = self.primary.id(), "available again, delivery resumed");
        self.failover = None;
        self.outage = None;
        self.queue.set_down(false);
        match report {
            Some(begin) => {
                self.primary.begin(&begin, true)?;
                self.primary.mark_gap();
                Ok(())
            }
            None => self.end_part_of_primary(),
        }
    }

    /// Ends the primary output's part of a report that the failover output has ended meanwhile.
    fn end_part_of_primary(&mut self) -> Result<(), PluginError> {
        if self.primary.report_at_commit().is_none() {
            return Ok(());
        }
        self.primary.end_part("the rest of the report went to the failover")?;
        let state = commit_part(&mut self.primary)?;
        self.checkpoints.amend(self.primary.id(), state).map_err(|error| io_error(&error))?;
        self.primary.stored()
    }

    /// Before the run ends, gives an unavailable primary output one more chance to end its part, unless a later run
    /// resumes the report.
    pub(super) fn end_primary_part(&mut self) {
        let (Some(part), Some(standby)) = (self.primary.report_at_commit(), &self.standby) else { return };
        if self.failover.is_none() || standby.is_inside(&part.report) {
            return;
        }
        let path = part.report.path.clone();
        let ended = self.primary.reopen(false).and_then(|()| self.end_part_of_primary());
        if let Err(error) = ended {
            self.primary.lose_part();
            let message =
                format!("{error}; its part of report {path} could not be completed and may be missing");
            let error = PluginError::new(error.kind, message);
            self.control.record_failure(Failure::new(self.primary.id(), &error));
        }
    }

    /// State of the output that does not deliver now: an unavailable primary output has a gap, and a failover output
    /// that is no longer needed has ended its part.
    pub(super) fn idle_state(&self) -> Option<(String, OutputState)> {
        let standby = self.standby.as_ref()?;
        let idle = if self.failover.is_some() { &self.primary } else { standby };
        Some((idle.id().to_owned(), idle.state_at_commit()))
    }
}

/// Commits the end of a part. Rows that the output refuses only now become dead letters.
fn commit_part(destination: &mut Destination) -> Result<OutputState, PluginError> {
    for (batch, rows) in destination.commit()? {
        if let Ok(validated) = batch.validate() {
            destination.move_to_dead_letters(validated, &rows, "not accepted at the end of the part", 1);
        }
    }
    destination.keep_commit()
}

/// Number of consecutive successful probes after which a failed output is used again.
const GOOD_PROBES: u32 = 2;
