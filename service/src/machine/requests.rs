//! What people and reloads ask of a pipeline.

use scanbridge_observe::StopAt;

use super::Machine;
use super::kinds::{Action, After, Request, Settings, State, Trigger};
use crate::schedule::{Clock, Stored};

impl Machine {
    /// Carries a request out, or says why it makes no sense now.
    pub(crate) fn request(&mut self, request: Request, clock: Clock) -> Result<Vec<Action>, String> {
        let state = self.state;
        match (request, state) {
            (_, State::Invalid) => Err(format!("it is invalid: {}", self.reason)),
            (Request::Run, _) if self.follows_job(State::Queued) => {
                self.trigger = Trigger::Manual;
                Ok(Vec::new())
            }
            (Request::Pause, State::Queued) if self.follows_job(State::Paused) => Ok(Vec::new()),
            (Request::Stop, State::Queued) if self.has_job() => Ok(self.cancel_job(clock)),
            (Request::Run, State::Waiting | State::Manual | State::Retrying | State::Blocked) => {
                self.queue(Trigger::Manual, clock);
                Ok(Vec::new())
            }
            (Request::Run, State::Held | State::Paused) => {
                Err(format!("it is {}; resume it first", state.word()))
            }
            (Request::Run, _) => Err(format!("it is already {}", state.word())),
            (Request::Pause, State::Paused) => Err("it is already paused".to_owned()),
            (Request::Pause, _) if state.is_active() => Ok(self.stop(StopAt::Asset, After::Pause, clock)),
            (Request::Pause, _) => {
                self.enter(State::Paused, "paused by an operator".to_owned());
                Ok(Vec::new())
            }
            (Request::Resume, State::Paused) if !self.is_interrupted => {
                self.rest(clock, Stored::default());
                Ok(Vec::new())
            }
            (Request::Resume, State::Paused | State::Held) => {
                (self.failures, self.bugs) = (0, 0);
                self.queue(Trigger::Resume, clock);
                self.due = self.first(clock, Stored { started: Some(clock.wall), next: None });
                Ok(Vec::new())
            }
            (Request::Resume, _) => Err(format!("it is {}, not paused or held", state.word())),
            (Request::Stop, State::Stopping) => {
                let after = self.after.unwrap_or(After::Stop);
                Ok(self.stop(StopAt::Now, after, clock))
            }
            (Request::Stop, _) if state.is_active() => Ok(self.stop(StopAt::Asset, After::Stop, clock)),
            (Request::Stop, State::Queued) => {
                self.rest(clock, Stored { started: Some(clock.wall), next: None });
                Ok(Vec::new())
            }
            (Request::Stop, _) => Err(format!("it is {}, not running", state.word())),
        }
    }

    /// A changed version was accepted. It applies when the run that is in progress has ended.
    pub(crate) fn changed(&mut self, settings: Settings, is_now: bool, clock: Clock) -> Vec<Action> {
        if self.has_job() {
            self.pending = Some(settings);
            self.starts_fresh |= is_now;
            return Vec::new();
        }
        if self.state.is_active() {
            self.pending = Some(settings);
            self.starts_fresh |= is_now;
            let after = self.after.filter(|after| *after != After::Removal).unwrap_or(After::Again);
            return self.stop(if is_now { StopAt::Asset } else { StopAt::Report }, after, clock);
        }
        self.settings = Some(settings);
        match self.state {
            State::Queued | State::Paused => {}
            State::Retrying | State::Blocked => {
                self.due = self.first(clock, Stored { started: Some(clock.wall), next: None })
            }
            _ => {
                (self.failures, self.bugs) = (0, 0);
                self.rest(clock, Stored::default());
            }
        }
        Vec::new()
    }

    /// The file was removed.
    pub(crate) fn removed(&mut self, clock: Clock) -> Vec<Action> {
        if self.state.is_active() {
            self.stop(StopAt::Asset, After::Removal, clock)
        } else {
            vec![Action::Forget]
        }
    }

    /// The service ends: at the next asset, or at once.
    pub(crate) fn drain(&mut self, at: StopAt, clock: Clock) -> Vec<Action> {
        if !self.state.is_active() {
            return Vec::new();
        }
        let after = self.after.filter(|after| *after == After::Pause).unwrap_or(After::Drain);
        self.stop(at, after, clock)
    }

    pub(super) fn stop(&mut self, at: StopAt, after: After, clock: Clock) -> Vec<Action> {
        let Some(run) = &mut self.run else { return Vec::new() };
        self.after = Some(after);
        self.state = State::Stopping;
        self.reason = match (after, at) {
            (After::Again, StopAt::Report) => {
                "the changed pipeline starts at the end of the report".to_owned()
            }
            _ => String::new(),
        };
        let is_sooner = run.stop.is_none_or(|(known, _)| rank(at) > rank(known));
        if !is_sooner {
            return Vec::new();
        }
        run.stop = Some((at, clock.steady));
        vec![Action::Stop(at)]
    }
}

fn rank(at: StopAt) -> u8 {
    match at {
        StopAt::Report => 0,
        StopAt::Now => 2,
        _ => 1,
    }
}
