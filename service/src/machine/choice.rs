//! Chosen reports: a run of their own delivers them, between two other runs.

use scanbridge_observe::StopAt;

use super::Machine;
use super::kinds::{Action, After, State, Trigger};
use crate::schedule::{Clock, Schedule};

impl Machine {
    /// Says whether chosen reports wait for a run.
    pub(crate) fn set_choice(&mut self, has_choice: bool) {
        self.has_choice = has_choice;
    }

    /// Whether the run in progress delivers chosen reports.
    fn runs_choice(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_choice) && !self.has_job()
    }

    /// Says whether the inputs of the run in progress wait for new reports.
    pub(crate) fn set_idle(&mut self, is_idle: bool) {
        if let Some(run) = &mut self.run {
            run.is_idle = is_idle;
        }
    }

    /// The run that was started for chosen reports finishes an interrupted run instead. Reports are chosen again when it has
    /// ended.
    pub(crate) fn finishes_first(&mut self, clock: Clock) {
        let is_continuous = self.schedule().is_some_and(Schedule::is_continuous);
        let Some(run) = self.run.as_mut().filter(|run| run.is_choice) else { return };
        run.is_choice = false;
        if is_continuous && run.stop.is_none() {
            // It stops by itself at the end of the report.
            run.stop = Some((StopAt::Report, clock.steady));
            self.after = Some(After::Continue);
            self.continues = true;
        }
    }

    /// Queues a run for chosen reports. A run that would not end by itself stops at the end of its report, and continues
    /// afterwards.
    pub(super) fn begin_choice(&mut self, clock: Clock) -> Vec<Action> {
        if !self.has_choice || self.is_leaving() || self.job.is_some() {
            return Vec::new();
        }
        match self.state {
            State::Waiting | State::Manual => {
                self.queue(Trigger::Choice, clock);
                Vec::new()
            }
            State::Running if self.must_make_room() && !self.runs_choice() => {
                self.continues = true;
                let actions = self.stop(StopAt::Report, After::Continue, clock);
                self.reason = "chosen reports are sent at the end of the report".to_owned();
                actions
            }
            _ => Vec::new(),
        }
    }

    /// Whether the run in progress must be stopped: a continuous one, and one that waits for reports. Others end by
    /// themselves.
    fn must_make_room(&self) -> bool {
        let is_idle = self.run.as_ref().is_some_and(|run| run.is_idle);
        match self.schedule() {
            Some(schedule) if schedule.has_times() => false,
            Some(schedule) => schedule.is_continuous() || is_idle,
            None => false,
        }
    }
}
