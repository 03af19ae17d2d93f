//! The state of one pipeline: (state, event, time) → (state, actions). Pure; the supervisor carries the actions out.

mod choice;
mod job;
mod kinds;
mod limits;
mod requests;

use std::time::Duration;

use scanbridge_observe::StopAt;

pub(crate) use self::kinds::{Action, Before, Ending, Request, Settings, Skipped, State, Trigger};
use self::kinds::{After, Job};
use crate::schedule::{Clock, Due, Schedule, Stored};

#[derive(Debug, Clone)]
struct Run {
    started: Clock,
    /// When it last reported.
    sign: Duration,
    stop: Option<(StopAt, Duration)>,
    terminated: Option<Duration>,
    is_killed: bool,
    is_hung: bool,
    /// Whether it delivers chosen reports.
    is_choice: bool,
    /// Whether its inputs wait for new reports.
    is_idle: bool,
}

/// One pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    state: State,
    reason: String,
    settings: Option<Settings>,
    /// The accepted change that applies when the run has ended.
    pending: Option<Settings>,
    due: Due,
    retry_at: Duration,
    queued_at: Duration,
    trigger: Trigger,
    run: Option<Run>,
    after: Option<After>,
    job: Option<Job>,
    is_interrupted: bool,
    starts_fresh: bool,
    /// Whether chosen reports wait for a run.
    has_choice: bool,
    /// Whether a run was stopped for chosen reports, and continues after them.
    continues: bool,
    failures: u64,
    bugs: u64,
    pub(crate) skipped: Skipped,
}

/// A run of this length ends a series of failures.
const STABLE: Duration = Duration::from_secs(600);
const BUGS: u64 = 5;

impl Machine {
    /// A pipeline without an accepted version.
    pub(crate) fn invalid(reason: String) -> Self {
        Self {
            state: State::Invalid,
            reason,
            settings: None,
            pending: None,
            due: Due::Never,
            retry_at: Duration::ZERO,
            queued_at: Duration::ZERO,
            trigger: Trigger::Schedule,
            run: None,
            after: None,
            job: None,
            is_interrupted: false,
            starts_fresh: false,
            has_choice: false,
            continues: false,
            failures: 0,
            bugs: 0,
            skipped: Skipped::default(),
        }
    }

    /// A pipeline that was loaded.
    pub(crate) fn loaded(settings: Settings, clock: Clock, stored: Stored, before: Before) -> Self {
        let mut machine = Self::invalid(String::new());
        machine.settings = Some(settings);
        match before {
            Before::Rest => machine.rest(clock, stored),
            Before::Paused { is_interrupted } => {
                machine.is_interrupted = is_interrupted;
                machine.enter(State::Paused, "paused by an operator".to_owned());
            }
            Before::Held(reason) => machine.hold(reason),
            Before::Interrupted => {
                machine.queue(Trigger::Resume, clock);
                machine.due = machine.first(clock, Stored { started: Some(clock.wall), ..stored });
            }
        }
        machine
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn group(&self) -> Option<&str> {
        self.settings.as_ref()?.group.as_deref()
    }

    pub(crate) fn schedule(&self) -> Option<&Schedule> {
        self.settings.as_ref().map(|settings| &settings.schedule)
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some() || (self.after == Some(After::Continue) && self.job.is_none())
    }

    /// Whether the file was removed, and the run that is in progress is the last one.
    pub(crate) fn is_leaving(&self) -> bool {
        self.after == Some(After::Removal)
    }

    pub(crate) fn queued_at(&self) -> Duration {
        self.queued_at
    }

    /// When it starts next without a request: a regular start or a retry, whichever comes first.
    pub(crate) fn next(&self, clock: Clock) -> Due {
        let retry = Due::Steady(self.retry_at);
        match self.state {
            State::Waiting => self.due,
            State::Retrying | State::Blocked if self.due.sleep(clock) < retry.sleep(clock) => self.due,
            State::Retrying | State::Blocked => retry,
            _ => Due::Never,
        }
    }

    /// How long nothing happens without an event.
    pub(crate) fn sleep(&self, clock: Clock) -> Duration {
        let start = match self.state {
            State::Held | State::Paused | State::Invalid | State::Manual => Due::Never,
            _ => self.due,
        };
        let run = self.run.as_ref().map_or(Due::Never, |run| Due::Steady(self.next_deadline(run)));
        self.next(clock).sleep(clock).min(start.sleep(clock)).min(run.sleep(clock))
    }

    /// A regular start that is known over a restart of the service.
    pub(crate) fn planned(&self, clock: Clock) -> Option<jiff::Timestamp> {
        self.due.wall(clock)
    }

    /// What time alone changes.
    pub(crate) fn tick(&mut self, before: Clock, clock: Clock) -> Vec<Action> {
        let Some(settings) = &self.settings else { return Vec::new() };
        self.due = settings.schedule.corrected(self.due, before, clock);
        if self.due.is_reached(clock) {
            let is_late = settings.schedule.is_too_late(self.due, clock);
            self.due = self.following(clock);
            let state = self.state;
            match state {
                State::Waiting | State::Retrying | State::Blocked if !is_late => {
                    self.queue(Trigger::Schedule, clock);
                }
                _ if !is_late && self.follows_job(State::Queued) => self.trigger = Trigger::Schedule,
                State::Queued => self.skipped.limit += 1,
                State::Starting | State::Running | State::Stopping => self.skipped.still_running += 1,
                _ => {}
            }
        }
        if matches!(self.state, State::Retrying | State::Blocked) && self.retry_at <= clock.steady {
            self.queue(Trigger::Retry, clock);
        }
        let mut actions = self.begin_choice(clock);
        actions.extend(self.watch(clock));
        actions
    }

    /// The fleet has a place for it.
    pub(crate) fn start(&mut self, clock: Clock) -> Action {
        self.run = Some(Run {
            started: clock,
            sign: clock.steady,
            stop: None,
            terminated: None,
            is_killed: false,
            is_hung: false,
            is_choice: self.has_choice,
            is_idle: false,
        });
        self.after = None;
        if self.has_job() {
            self.state = State::Starting;
            return Action::StartJob;
        }
        self.enter(State::Starting, String::new());
        // An interval counts from here. The times of a cron pattern stay as they are, and a choice delays no regular start.
        let is_cron = matches!(self.due, Due::Wall(_));
        if !is_cron && self.trigger != Trigger::Choice {
            self.due = self.following(clock);
        }
        self.is_interrupted = false;
        Action::Start { trigger: self.trigger, restart: std::mem::take(&mut self.starts_fresh) }
    }

    /// The run reported something.
    pub(crate) fn sign(&mut self, clock: Clock) {
        if let Some(run) = &mut self.run {
            run.sign = clock.steady;
        }
        if self.state == State::Starting {
            self.state = State::Running;
        }
    }

    /// The run is one of an earlier version: it ends at the end of the report that was interrupted, and then the accepted
    /// version starts.
    pub(crate) fn runs_earlier_version(&mut self, clock: Clock) {
        let Some(run) = &mut self.run else { return };
        if run.stop.is_none() {
            run.stop = Some((StopAt::Report, clock.steady));
            self.after = Some(After::Continue);
            self.reason = "the changed pipeline starts at the end of the interrupted report".to_owned();
        }
    }

    /// The process has ended. `random` is from 0 to 1.
    pub(crate) fn ended(&mut self, ending: Ending, clock: Clock, random: f64) -> Vec<Action> {
        let Some(run) = self.run.take() else { return Vec::new() };
        let mut after = self.after.take();
        let is_changed = self.apply_pending(clock);
        if let Some(Job::Active(then)) = self.job.take_if(|job| matches!(job, Job::Active(_))) {
            return self.job_ended(then, after, is_changed, clock);
        }
        if is_changed && after == Some(After::Continue) {
            after = Some(After::Again);
        }
        let code = if run.is_hung { Some(70) } else { ending.code };
        if code == Some(75) && !ending.has_begun && self.trigger == Trigger::Schedule {
            self.skipped.blocked += 1;
        }
        self.is_interrupted = !matches!(code, Some(0 | 65 | 66));
        let is_continuous = self.schedule().is_some_and(Schedule::is_continuous);
        match (after, code) {
            (Some(After::Removal), _) => return vec![Action::Forget],
            (Some(After::Pause), _) => self.enter(State::Paused, "paused by an operator".to_owned()),
            (Some(After::Stop), Some(130) | None) => {
                self.enter(State::Paused, "stopped by an operator".to_owned());
            }
            (Some(After::Again), Some(130 | 64 | 77 | 78) | None) => self.queue(Trigger::Reload, clock),
            (Some(After::Again), Some(0 | 65 | 66)) if is_continuous => self.queue(Trigger::Reload, clock),
            (Some(After::Continue), Some(130)) => self.queue(Trigger::Resume, clock),
            (Some(After::Continue), Some(0 | 65 | 66)) if is_continuous => self.queue(Trigger::Resume, clock),
            (_, Some(0 | 65 | 66)) if run.is_choice && self.continues && !self.has_choice => {
                self.continues = false;
                self.queue(Trigger::Resume, clock);
            }
            (_, Some(0 | 65 | 66)) => self.rest_after_run(clock, code),
            (_, Some(64 | 77 | 78)) => self.hold(describe(code, &ending.reason)),
            _ => self.fail(
                code,
                &ending.reason,
                clock.steady.saturating_sub(run.started.steady),
                clock,
                random,
            ),
        }
        self.begin_wanted_job(clock);
        Vec::new()
    }

    /// Applies the change that waits. Returns whether there was one.
    fn apply_pending(&mut self, clock: Clock) -> bool {
        let Some(pending) = self.pending.take() else { return false };
        self.settings = Some(pending);
        self.due = self.first(clock, Stored { started: Some(clock.wall), next: None });
        true
    }

    /// A run ended with everything or a part delivered.
    fn rest_after_run(&mut self, clock: Clock, code: Option<u8>) {
        (self.failures, self.bugs) = (0, 0);
        let is_continuous = self.schedule().is_some_and(Schedule::is_continuous);
        let state =
            if self.schedule().is_some_and(Schedule::is_manual) { State::Manual } else { State::Waiting };
        if is_continuous {
            let initial = self.settings.as_ref().map_or(0, |settings| settings.restart.initial_secs);
            self.due = Due::Steady(clock.steady + Duration::from_secs(initial));
        }
        self.enter(
            state,
            if code == Some(0) { String::new() } else { "the last run was partial".to_owned() },
        );
    }

    fn fail(&mut self, code: Option<u8>, reason: &str, ran: Duration, clock: Clock, random: f64) {
        if ran >= STABLE {
            (self.failures, self.bugs) = (0, 0);
        }
        self.failures += 1;
        self.bugs = if code == Some(70) { self.bugs + 1 } else { 0 };
        let restart = self.settings.as_ref().map(|settings| settings.restart.clone()).unwrap_or_default();
        let reason = describe(code, reason);
        if self.bugs >= BUGS || (restart.give_up_after > 0 && self.failures >= restart.give_up_after) {
            self.hold(format!("{reason} ({} times in a row)", self.failures));
            return;
        }
        let doubled =
            u32::try_from(self.failures - 1).ok().and_then(|times| 1_u64.checked_shl(times.min(62)));
        let pause = restart.initial_secs.saturating_mul(doubled.unwrap_or(u64::MAX));
        let pause = Duration::from_secs(pause.min(restart.max_secs.max(restart.initial_secs)));
        self.retry_at = clock.steady + pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        if self.schedule().is_some_and(Schedule::is_continuous) {
            self.due = Due::Never;
        }
        self.enter(if code == Some(75) { State::Blocked } else { State::Retrying }, reason);
    }

    fn rest(&mut self, clock: Clock, stored: Stored) {
        self.due = self.first(clock, stored);
        let is_manual = self.schedule().is_none_or(Schedule::is_manual);
        self.enter(if is_manual { State::Manual } else { State::Waiting }, String::new());
    }

    fn queue(&mut self, trigger: Trigger, clock: Clock) {
        self.trigger = trigger;
        self.queued_at = clock.steady;
        self.enter(State::Queued, String::new());
        if self.schedule().is_some_and(Schedule::is_continuous) {
            self.due = Due::Never;
        }
    }

    fn hold(&mut self, reason: String) {
        self.due = Due::Never;
        self.enter(State::Held, reason);
    }

    fn enter(&mut self, state: State, reason: String) {
        if matches!(state, State::Paused) {
            self.due = Due::Never;
        }
        (self.state, self.reason) = (state, reason);
    }

    fn first(&self, clock: Clock, stored: Stored) -> Due {
        self.schedule().map_or(Due::Never, |schedule| schedule.first(clock, stored))
    }

    /// The next regular start. A continuous pipeline has none while it runs.
    fn following(&self, clock: Clock) -> Due {
        match self.schedule() {
            Some(schedule) if !schedule.is_continuous() => schedule.following(clock),
            _ => Due::Never,
        }
    }
}

fn describe(code: Option<u8>, reason: &str) -> String {
    let how = code.map_or("ended by a signal".to_owned(), |code| format!("exit code {code}"));
    if reason.is_empty() { how } else { format!("{reason} ({how})") }
}
