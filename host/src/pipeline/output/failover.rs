//! An output with its failover output: failover, and return to the primary output. A report in between consists of two
//! parts, and each output ends its own part.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::PluginError;

use super::destination::Destination;
use crate::pipeline::checkpoint::Checkpoints;
use crate::pipeline::item::ReportBegin;
use crate::state::OutputState;

/// An output and its failover output, of which one delivers.
pub(super) struct Pair {
    pub(super) primary: Destination,
    pub(super) standby: Option<Destination>,
    /// Set while the failover output delivers.
    failover: Option<Failover>,
}

/// The primary output is unavailable, and the failover output delivers.
#[derive(Debug)]
struct Failover {
    /// Time of the next probe of the primary output.
    next_probe: Instant,
    /// Number of consecutive successful probes.
    successful_probes: u32,
}

impl Failover {
    fn new(next_probe: Instant) -> Self {
        Self { next_probe, successful_probes: 0 }
    }
}

impl Pair {
    /// A failover output that was inside a report continues it; otherwise its part would never be ended.
    pub(super) fn new(primary: Destination, standby: Option<Destination>, now: Instant) -> Self {
        let delivers = standby.as_ref().is_some_and(|standby| standby.report_at_commit().is_some());
        Self { primary, standby, failover: delivers.then(|| Failover::new(now)) }
    }

    /// The output that delivers.
    pub(super) fn active(&mut self) -> &mut Destination {
        match &mut self.standby {
            Some(standby) if self.failover.is_some() => standby,
            _ => &mut self.primary,
        }
    }

    /// Whether the failover output delivers.
    pub(super) fn has_failed_over(&self) -> bool {
        self.failover.is_some()
    }

    /// Whether there is a failover output that does not deliver yet.
    pub(super) fn can_fail_over(&self) -> bool {
        self.standby.is_some() && self.failover.is_none()
    }

    /// Lets the failover output deliver, after this error of the primary one.
    pub(super) fn fail_over(&mut self, error: &PluginError, first_probe: Instant) {
        let Some(standby) = &self.standby else { return };
        tracing::warn!(instance = self.primary.id(), "{error}; switching to failover `{}`", standby.id());
        self.primary.yield_to_failover();
        self.failover = Some(Failover::new(first_probe));
    }

    /// While the failover output delivers: probes the primary output at this interval. Returns whether it is to be used
    /// again; then it is open.
    pub(super) fn probe_primary(&mut self, now: Instant, interval: Duration) -> bool {
        let Some(failover) = self.failover.as_mut().filter(|failover| now >= failover.next_probe) else {
            return false;
        };
        failover.next_probe = now + interval;
        match self.primary.reopen(true) {
            Ok(()) => failover.successful_probes += 1,
            Err(error) => {
                tracing::debug!(instance = self.primary.id(), "{error}; still unavailable");
                failover.successful_probes = 0;
            }
        }
        let is_available = failover.successful_probes >= REQUIRED_PROBES;
        if !is_available {
            self.primary.drop_instance();
        }
        is_available
    }

    /// Lets the primary output deliver again. `report` is the report in progress.
    pub(super) fn return_to_primary(
        &mut self,
        report: Option<&ReportBegin>,
        checkpoints: &Checkpoints,
    ) -> Result<(), PluginError> {
        if let (Some(standby), Some(_)) = (&mut self.standby, report) {
            standby.end_partial_report(&format!("`{}` is available again", self.primary.id()))?;
            let state = commit_partial_report(standby)?;
            checkpoints.amend(standby.id(), state)?;
            standby.stored()?;
        }
        tracing::info!(instance = self.primary.id(), "available again, delivery resumed");
        self.failover = None;
        match report {
            Some(begin) => {
                self.primary.begin(begin, true)?;
                self.primary.mark_gap();
                Ok(())
            }
            None => self.end_partial_report_of_primary(checkpoints),
        }
    }

    /// Ends the primary output's part of a report that the failover output has ended meanwhile.
    fn end_partial_report_of_primary(&mut self, checkpoints: &Checkpoints) -> Result<(), PluginError> {
        if self.primary.report_at_commit().is_none() {
            return Ok(());
        }
        self.primary.end_partial_report("the rest of the report went to the failover")?;
        let state = commit_partial_report(&mut self.primary)?;
        checkpoints.amend(self.primary.id(), state)?;
        self.primary.stored()
    }

    /// Tries once more, before the run ends, to end the part of an unavailable primary output. Not if a later run
    /// resumes the report.
    ///
    /// # Errors
    /// When the part could not be completed.
    pub(super) fn finish_primary_report(&mut self, checkpoints: &Checkpoints) -> Result<(), PluginError> {
        let (Some(part), Some(standby)) = (self.primary.report_at_commit(), &self.standby) else {
            return Ok(());
        };
        if self.failover.is_none() || standby.is_inside(&part.report) {
            return Ok(());
        }
        let path = part.report.path.clone();
        let ended = self.primary.reopen(false);
        ended.and_then(|()| self.end_partial_report_of_primary(checkpoints)).map_err(|error| {
            self.primary.abandon_partial_report();
            let message =
                format!("{error}; its part of report {path} could not be completed and may be missing");
            PluginError::new(error.kind, message)
        })
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
