//! A job: a replay or purge of dead letters, or a skip of reports, which needs the pipeline for itself. It runs between two
//! runs, and then the pipeline does what it did before.

use scanbridge_observe::StopAt;

use super::Machine;
use super::kinds::{Action, After, Job, State, Then};
use crate::schedule::{Clock, Stored};

const REASON: &str = "dead letters are replayed or removed, or reports skipped";

impl Machine {
    /// Requests a job. A run in progress stops at the end of its report first.
    pub(crate) fn begin_job(&mut self, clock: Clock) -> Result<Vec<Action>, String> {
        if self.state == State::Invalid {
            return Err(format!("it is invalid: {}", self.reason));
        }
        if self.is_leaving() {
            return Err("its file was removed".to_owned());
        }
        if self.job.is_some() {
            return Err("another replay or purge is in progress".to_owned());
        }
        self.job = Some(Job::Wanted);
        if self.state.is_active() {
            let after = self.after.unwrap_or(After::Continue);
            let actions = self.stop(StopAt::Report, after, clock);
            self.reason = format!("{REASON} at the end of the report");
            return Ok(actions);
        }
        self.begin_wanted_job(clock);
        Ok(Vec::new())
    }

    /// Ends a job that is not wanted any more.
    pub(crate) fn cancel_job(&mut self, clock: Clock) -> Vec<Action> {
        match self.job.take() {
            // A run that was asked to stop stops, and continues then.
            None | Some(Job::Wanted) => Vec::new(),
            Some(Job::Active(then)) if self.run.is_some() => {
                self.job = Some(Job::Active(then));
                let after = self.after.unwrap_or(After::Stop);
                self.stop(StopAt::Asset, after, clock)
            }
            Some(Job::Active(then)) => {
                let is_changed = self.apply_pending(clock);
                self.job_ended(then, None, is_changed, clock)
            }
        }
    }

    /// Whether the pipeline is queued or has a process for a job, not for a run.
    pub(crate) fn has_job(&self) -> bool {
        matches!(self.job, Some(Job::Active(_)))
    }

    /// The state without a job, and its reason.
    pub(crate) fn lasting(&self) -> (State, &str) {
        match &self.job {
            Some(Job::Active(then)) => (then.state, &then.reason),
            _ => (self.state, &self.reason),
        }
    }

    /// Lets this state follow the job in progress. Returns whether that is possible.
    pub(super) fn follows_job(&mut self, state: State) -> bool {
        let Some(Job::Active(then)) = &mut self.job else { return false };
        let is_possible = match (state, then.state) {
            (State::Queued, known) => {
                matches!(known, State::Waiting | State::Manual | State::Retrying | State::Blocked)
            }
            (_, known) => known != State::Paused,
        };
        if is_possible {
            self.is_interrupted |= state == State::Paused && then.state == State::Queued;
            let reason = if state == State::Paused { "paused by an operator" } else { "" };
            *then = Then { state, reason: reason.to_owned() };
        }
        is_possible
    }

    pub(super) fn begin_wanted_job(&mut self, clock: Clock) {
        if matches!(self.job, Some(Job::Wanted)) {
            let reason = std::mem::replace(&mut self.reason, REASON.to_owned());
            let state = std::mem::replace(&mut self.state, State::Queued);
            self.job = Some(Job::Active(Then { state, reason }));
            self.queued_at = clock.steady;
        }
    }

    /// The process of the job has ended, or was not started.
    pub(super) fn job_ended(
        &mut self,
        then: Then,
        after: Option<After>,
        is_changed: bool,
        clock: Clock,
    ) -> Vec<Action> {
        match after {
            Some(After::Removal) => return vec![Action::Forget],
            Some(After::Pause) => {
                self.is_interrupted |= then.state == State::Queued;
                self.enter(State::Paused, "paused by an operator".to_owned());
            }
            _ if is_changed && matches!(then.state, State::Waiting | State::Manual | State::Held) => {
                (self.failures, self.bugs) = (0, 0);
                self.rest(clock, Stored::default());
            }
            _ => {
                self.queued_at = clock.steady;
                self.enter(then.state, then.reason);
            }
        }
        Vec::new()
    }
}
