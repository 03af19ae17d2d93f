//! An output with its failover output: failover, and return to the primary output. A report in between consists of two
//! parts, and each output ends its own part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{PluginError, Resume};

use super::destination::Destination;
use crate::pipeline::checkpoint::Checkpoints;
use crate::pipeline::item::ReportBegin;
use crate::state::{Missed, OutputState};

/// An output and its failover output, of which one delivers.
pub(super) struct Pair {
    pub(super) primary: Destination,
    pub(super) standby: Option<Destination>,
    /// Set while the failover output delivers.
    failover: Option<Failover>,
    /// Whether both outputs together have all findings of the current report up to the last commit.
    has_all: bool,
    /// Findings that became dead letters in completed parts of the current report.
    dead_letters: u64,
    /// Index of the output worker.
    number: usize,
    checkpoints: Arc<Checkpoints>,
}

/// The primary output is unavailable, and the failover output delivers.
#[derive(Debug)]
struct Failover {
    /// Time of the next probe of the primary output.
    next_probe: Instant,
    /// Number of consecutive successful probes.
    successful_probes: u32,
    /// The last barrier that the primary output has committed.
    last_mark: u64,
}

impl Failover {
    fn new(next_probe: Instant, last_mark: u64) -> Self {
        Self { next_probe, successful_probes: 0, last_mark }
    }
}

impl Pair {
    /// A failover output that was inside a report continues it; otherwise its part would never be ended.
    pub(super) fn new(
        primary: Destination,
        standby: Option<Destination>,
        now: Instant,
        (number, checkpoints): (usize, Arc<Checkpoints>),
    ) -> Self {
        let delivers = standby.as_ref().is_some_and(|standby| standby.report_at_commit().is_some());
        let failover = delivers.then(|| Failover::new(now, 0));
        let mut pair =
            Self { primary, standby, failover, has_all: false, dead_letters: 0, number, checkpoints };
        pair.has_all = pair.active().has_all_with_pair();
        pair
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
    pub(super) fn fail_over(&mut self, error: &PluginError, first_probe: Instant, last_mark: u64) {
        let Some(standby) = &self.standby else { return };
        tracing::warn!(instance = self.primary.id(), "{error}; switching to failover `{}`", standby.id());
        self.primary.yield_to_failover();
        self.failover = Some(Failover::new(first_probe, last_mark));
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

    /// Begins a report.
    pub(super) fn begin(&mut self, begin: &ReportBegin) -> Result<(), PluginError> {
        if !begin.continued {
            (self.has_all, self.dead_letters) = (true, 0);
        }
        self.begin_part(begin, begin.continued)
    }

    /// Begins a report, or a part of it, for the output that delivers. What this output lacks, the other one may have.
    pub(super) fn begin_part(&mut self, begin: &ReportBegin, continued: bool) -> Result<(), PluginError> {
        let has_all = self.has_all;
        let active = self.active();
        active.begin(begin, continued)?;
        if active.has_gap() {
            active.mark_gap(has_all);
        }
        Ok(())
    }

    /// The output that delivers has not received the beginning of the report.
    pub(super) fn mark_gap(&mut self) {
        let has_all = self.has_all;
        self.active().mark_gap(has_all);
    }

    /// Ends the report for the output that delivers. If the primary output has a part of the report, it is to complete
    /// it: the report is delivered when both have.
    pub(super) fn end(&mut self, end: &ReportEnd, was_dropped: bool) -> Result<(), PluginError> {
        let has_part = |pair: &Self| {
            let standby = pair.standby.as_ref().filter(|_| pair.failover.is_some())?;
            pair.primary.part_of(&standby.report()?.report).cloned()
        };
        let last_mark = self.failover.as_ref().map(|failover| failover.last_mark);
        if has_part(self).is_some()
            // The checkpoint must not be before the part that is completed now.
            && last_mark.is_some_and(|mark| self.checkpoints.wait_stored(mark, Duration::ZERO))
        {
            if let Err(error) = self.primary.reopen(false).and_then(|()| self.end_partial_report_of_primary())
            {
                tracing::debug!(
                    instance = self.primary.id(),
                    "{error}; its part of the report is not complete"
                );
            }
            self.primary.roll_back();
        }
        let open_part = has_part(self);
        let dead_letters = self.dead_letters + open_part.as_ref().map_or(0, |part| part.rejected);
        let open_part = open_part.map(|part| Missed {
            findings: part.received,
            reason: format!("`{}` was unavailable and could not complete its part", self.primary.id()),
        });
        self.active().end(end, was_dropped, open_part)?;
        self.active().add_dead_letters_of_report(dead_letters);
        Ok(())
    }

    /// Lets the primary output deliver again. `report` is the report in progress.
    pub(super) fn return_to_primary(&mut self, report: Option<&ReportBegin>) -> Result<(), PluginError> {
        if let (Some(standby), Some(_)) = (&mut self.standby, report) {
            standby.end_partial_report(&format!("`{}` is available again", self.primary.id()))?;
            let state = commit_partial_report(standby)?;
            self.dead_letters += standby.ended().dead_letters;
            self.checkpoints.amend(standby.id(), state)?;
            standby.stored()?;
        }
        tracing::info!(instance = self.primary.id(), "available again, delivery resumed");
        self.failover = None;
        let Some(begin) = report else { return self.end_partial_report_of_primary() };
        let has_part = self.primary.part_of(&begin.report).is_some();
        if !has_part {
            self.end_partial_report_of_primary()?;
        }
        // An output that cannot resume loses its part.
        self.has_all &= !has_part || self.primary.capabilities().resume != Resume::None;
        self.primary.begin(begin, true)?;
        self.primary.mark_gap(self.has_all);
        Ok(())
    }

    /// Ends the primary output's part of a report that the failover output ends.
    fn end_partial_report_of_primary(&mut self) -> Result<(), PluginError> {
        if self.primary.report_at_commit().is_none() {
            return Ok(());
        }
        self.primary.end_partial_report("the rest of the report went to the failover")?;
        let state = commit_partial_report(&mut self.primary)?;
        self.dead_letters += self.primary.ended().dead_letters;
        self.checkpoints.amend(self.primary.id(), state)?;
        self.primary.stored()?;
        self.checkpoints.part_completed(self.number);
        Ok(())
    }

    /// Tries once more, before the run ends, to end the part of an unavailable primary output. Not if a later run
    /// resumes the report.
    ///
    /// # Errors
    /// When the part could not be completed.
    pub(super) fn finish_primary_report(&mut self) -> Result<(), PluginError> {
        let (Some(part), Some(standby)) = (self.primary.report_at_commit(), &self.standby) else {
            return Ok(());
        };
        if self.failover.is_none() || standby.is_inside(&part.report) {
            return Ok(());
        }
        let path = part.report.path.clone();
        let ended = self.primary.reopen(false);
        ended.and_then(|()| self.end_partial_report_of_primary()).map_err(|error| {
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
