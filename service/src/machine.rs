//! The state of one pipeline: (state, event, time) → (state, actions). Pure; the supervisor carries the actions out.

use std::time::Duration;

use scanbridge_observe::{RestartKeys, StopAt};
use serde::{Deserialize, Serialize};

use crate::schedule::{Clock, Due, Schedule, Stored};

/// What a pipeline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Until its next regular start.
    Waiting,
    /// Due, but `max_running` or its group has no place.
    Queued,
    /// The process was started and has not reported yet.
    Starting,
    Running,
    /// The run was asked to stop.
    Stopping,
    /// Its run failed and is repeated later.
    Retrying,
    /// Another process runs it; the start is repeated later.
    Blocked,
    /// A person must act.
    Held,
    /// By a person; kept over restarts.
    Paused,
    /// It has no schedule and runs on request.
    Manual,
    /// No version of its file was ever valid.
    Invalid,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Retrying => "retrying",
            Self::Blocked => "blocked",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Manual => "manual",
            Self::Invalid => "invalid",
        }
    }

    /// Whether a process of this pipeline exists.
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

/// What the accepted version of a pipeline says about its runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) schedule: Schedule,
    pub(crate) restart: RestartKeys,
    pub(crate) group: Option<String>,
    /// A run that reports nothing for this long, and a minute more, hangs.
    pub(crate) hang: Duration,
}

/// Why a run is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trigger {
    Schedule,
    Manual,
    Retry,
    Reload,
    /// An earlier run was interrupted.
    Resume,
}

/// What a person can ask of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Run,
    Pause,
    Resume,
    Stop,
}

/// What the supervisor must do with the process of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start {
        trigger: Trigger,
        restart: bool,
    },
    Stop(StopAt),
    Terminate,
    Kill,
    /// The pipeline was removed, and its process has ended.
    Forget,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Exit code; `None` if a signal ended it, or it could not be started.
    pub(crate) code: Option<u8>,
    /// The message of the run's failure, or of the failed start.
    pub(crate) reason: String,
}

/// What follows when the run has stopped as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It was stopped by a person.
    Stop,
    Pause,
    /// A changed pipeline starts again.
    Again,
    Removal,
    /// The service ends.
    Drain,
}

#[derive(Debug, Clone)]
struct Run {
    started: Clock,
    /// When it last reported.
    sign: Duration,
    stop: Option<(StopAt, Duration)>,
    terminated: Option<Duration>,
    is_killed: bool,
    is_hung: bool,
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
    is_interrupted: bool,
    starts_fresh: bool,
    failures: u64,
    bugs: u64,
    pub(crate) skipped: u64,
}

const HANG_GRACE: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(60);
const KILL_GRACE: Duration = Duration::from_secs(10);
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
            is_interrupted: false,
            starts_fresh: false,
            failures: 0,
            bugs: 0,
            skipped: 0,
        }
    }

    /// A pipeline that was loaded. `interrupted`: its last run did not end by itself.
    pub(crate) fn loaded(
        settings: Settings,
        clock: Clock,
        stored: Stored,
        paused: bool,
        interrupted: bool,
    ) -> Self {
        let mut machine = Self::invalid(String::new());
        machine.is_interrupted = interrupted;
        machine.settings = Some(settings);
        if paused {
            machine.enter(State::Paused, "paused by an operator".to_owned());
        } else if interrupted {
            machine.queue(Trigger::Resume, clock);
            machine.due = machine.first(clock, stored);
        } else {
            machine.rest(clock, stored);
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
        self.pending.is_some()
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
            match self.state {
                State::Waiting | State::Retrying | State::Blocked if !is_late => {
                    self.queue(Trigger::Schedule, clock);
                }
                State::Queued | State::Starting | State::Running | State::Stopping => self.skipped += 1,
                _ => {}
            }
        }
        if matches!(self.state, State::Retrying | State::Blocked) && self.retry_at <= clock.steady {
            self.queue(Trigger::Retry, clock);
        }
        self.watch(clock)
    }

    /// Ends a run that hangs, or does not stop.
    fn watch(&mut self, clock: Clock) -> Vec<Action> {
        let Some(run) = &self.run else { return Vec::new() };
        if self.next_deadline(run) > clock.steady {
            return Vec::new();
        }
        let hang = self.hang();
        let Some(run) = &mut self.run else { return Vec::new() };
        match (run.terminated, run.stop) {
            (Some(_), _) if run.is_killed => Vec::new(),
            (Some(_), _) => {
                run.is_killed = true;
                vec![Action::Kill]
            }
            (None, Some((StopAt::Asset, asked))) if asked + STOP_GRACE <= clock.steady => {
                run.stop = Some((StopAt::Now, clock.steady));
                vec![Action::Stop(StopAt::Now)]
            }
            _ => {
                if run.sign + hang + HANG_GRACE <= clock.steady {
                    run.is_hung = true;
                }
                run.terminated = Some(clock.steady);
                vec![Action::Terminate]
            }
        }
    }

    /// When [`watch`](Self::watch) must look at the run.
    fn next_deadline(&self, run: &Run) -> Duration {
        if run.is_killed {
            return Duration::MAX;
        }
        if let Some(terminated) = run.terminated {
            return terminated + KILL_GRACE;
        }
        let hang = run.sign + self.hang() + HANG_GRACE;
        match run.stop {
            Some((StopAt::Asset | StopAt::Now, asked)) => hang.min(asked + STOP_GRACE),
            _ => hang,
        }
    }

    /// The fleet has a place for it.
    pub(crate) fn start(&mut self, clock: Clock) -> Action {
        self.enter(State::Starting, String::new());
        // An interval counts from here. The times of a cron pattern stay as they are.
        let is_cron = matches!(self.due, Due::Wall(_));
        if !is_cron {
            self.due = self.following(clock);
        }
        self.run = Some(Run {
            started: clock,
            sign: clock.steady,
            stop: None,
            terminated: None,
            is_killed: false,
            is_hung: false,
        });
        self.after = None;
        self.is_interrupted = false;
        Action::Start { trigger: self.trigger, restart: std::mem::take(&mut self.starts_fresh) }
    }

    /// The run reported something.
    pub(crate) fn sign(&mut self, clock: Clock) {
        if let Some(run) = &mut self.run {
            run.sign = clock.steady;
        }
        if self.state == State::Starting {
            self.enter(State::Running, String::new());
        }
    }

    /// The process has ended. `random` is from 0 to 1.
    pub(crate) fn ended(&mut self, ending: Ending, clock: Clock, random: f64) -> Vec<Action> {
        let Some(run) = self.run.take() else { return Vec::new() };
        let after = self.after.take();
        if let Some(pending) = self.pending.take() {
            self.settings = Some(pending);
            self.due = self.first(clock, Stored { started: Some(clock.wall), next: None });
        }
        let code = if run.is_hung { Some(70) } else { ending.code };
        self.is_interrupted = !matches!(code, Some(0 | 65 | 66));
        match (after, code) {
            (Some(After::Removal), _) => return vec![Action::Forget],
            (Some(After::Pause), _) => self.enter(State::Paused, "paused by an operator".to_owned()),
            (Some(After::Stop), Some(130) | None) => {
                self.enter(State::Paused, "stopped by an operator".to_owned());
            }
            (Some(After::Again), Some(130 | 64 | 77 | 78) | None) => self.queue(Trigger::Reload, clock),
            (Some(After::Again), Some(0 | 65 | 66))
                if self.schedule().is_some_and(Schedule::is_continuous) =>
            {
                self.queue(Trigger::Reload, clock);
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
        Vec::new()
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

    /// Carries a request out, or says why it makes no sense now.
    pub(crate) fn request(&mut self, request: Request, clock: Clock) -> Result<Vec<Action>, String> {
        let state = self.state;
        match (request, state) {
            (_, State::Invalid) => Err(format!("it is invalid: {}", self.reason)),
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

    fn stop(&mut self, at: StopAt, after: After, clock: Clock) -> Vec<Action> {
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

    fn hang(&self) -> Duration {
        self.settings.as_ref().map_or(Duration::from_secs(600), |settings| settings.hang)
    }
}

fn rank(at: StopAt) -> u8 {
    match at {
        StopAt::Report => 0,
        StopAt::Now => 2,
        _ => 1,
    }
}

fn describe(code: Option<u8>, reason: &str) -> String {
    let how = code.map_or("ended by a signal".to_owned(), |code| format!("exit code {code}"));
    if reason.is_empty() { how } else { format!("{reason} ({how})") }
}
