//! Starts runs, follows them, and draws the conclusions from their end.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use jiff::tz::TimeZone;
use rustix::process::Signal;
use scanbridge_observe::{InputState, InputTick, RunEvent, RunSummary, ServiceRequest, without_controls};
use serde::Deserialize;

use crate::child::{Run, Start, ending};
use crate::fleet::Task;
use crate::history::LastRun;
use crate::log_sink::Level;
use crate::machine::{Action, Ending, Machine, State, Trigger};
use crate::process::{Live, Process};
use crate::schedule::{Clock, Schedule};
use crate::supervisor::{Entry, Supervisor};

/// A process that a plugin has left behind may keep the channel open; the end of the run does not wait for it.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Exit code of a run that had nothing to do.
const NOTHING_SENT: u8 = 66;

impl Supervisor {
    pub(crate) fn carry_out(&mut self, tasks: Vec<Task>) {
        for (name, action) in tasks {
            match action {
                Action::Start { trigger, restart } => {
                    self.log.about(&name, Level::Debug, &format!("starting a run (trigger: {trigger:?})"));
                    self.start_run(&name, trigger, restart);
                }
                Action::StartJob => self.start_job(&name),
                Action::Stop(at) => self.with_run(&name, |run| run.send(&ServiceRequest::Stop { at })),
                Action::Terminate => {
                    self.log.about(&name, Level::Error, "the run does not respond; sending SIGTERM");
                    self.with_run(&name, |run| run.signal(Signal::TERM));
                }
                Action::Kill => {
                    self.log.about(&name, Level::Error, "the run does not end after SIGTERM; killing it");
                    self.with_run(&name, |run| run.signal(Signal::KILL));
                }
                Action::Forget => self.forget(&name),
            }
        }
    }

    fn with_run(&mut self, name: &str, act: impl FnOnce(&mut Run)) {
        if let Some(process) = self.entries.get_mut(name).and_then(|entry| entry.process.as_mut()) {
            act(&mut process.run);
        }
    }

    /// A removed pipeline. Its state stays.
    fn forget(&mut self, name: &str) {
        let entry = self.entries.remove(name);
        let unsent = entry.as_ref().map_or(0, Entry::unsent_reports);
        if unsent > 0 {
            let message =
                format!("chosen reports that were not sent, because the file was removed: {unsent}");
            self.log.about(name, Level::Warn, &message);
        }
        if let Some(job) = entry.and_then(|entry| entry.job) {
            self.drop_job(job, &format!("pipeline `{name}` was removed"));
        }
        self.records.remove(name);
        self.is_stored = false;
        self.store.forget(name);
        self.log.forget(name);
    }

    fn start_run(&mut self, name: &str, trigger: Trigger, restart: bool) {
        let mut command = vec!["run".into(), "--bundle".into(), self.store.accepted(name).into_os_string()];
        command.extend(["--no-progress", "--trigger", trigger.word()].map(OsString::from));
        let earlier = self.store.earlier(name);
        if earlier.exists() {
            command.extend(["--earlier".into(), earlier.into_os_string()]);
        }
        if self.fleet.get(name).and_then(Machine::schedule).is_some_and(Schedule::has_times) {
            command.push("--once".into());
        }
        if restart {
            command.push("--restart".into());
        }
        let written = self.write_choice(name);
        let choice = written.as_ref().ok().and_then(Option::as_ref).map(|(id, _)| id.clone());
        let started = written.and_then(|choice| {
            command
                .extend(choice.into_iter().flat_map(|(_, file)| ["--choice".into(), file.into_os_string()]));
            self.start_process(name, command, false).map_err(|error| error.to_string())
        });
        let clock = self.clock();
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.live = Live { choice: choice.unwrap_or_default(), ..Live::default() };
        entry.record.restarts += u64::from(trigger == Trigger::Retry);
        entry.record.last_run = Some(LastRun { started: clock.wall, ..LastRun::default() });
        match started {
            Ok(process) => entry.process = Some(process),
            Err(error) => {
                let reason = format!("cannot start the run: {error}");
                self.conclude(name, (None, reason), clock);
            }
        }
    }

    /// Starts the host with a command that it supervises, and the options that every run gets.
    pub(crate) fn start_process(
        &mut self,
        pipeline: &str,
        mut command: Vec<OsString>,
        is_job: bool,
    ) -> io::Result<Process> {
        self.processes += 1;
        command.extend(self.settings.run_arguments.iter().cloned());
        let start = Start {
            program: &self.settings.sources.host.program,
            command: &command,
            pipeline,
            process: self.processes,
            has_output: is_job,
            fips: self.settings.sources.host.fips,
        };
        let run = Run::start(start, &self.log, &self.sender)?;
        Ok(Process { run, number: self.processes, is_job, exited: None, is_closed: false })
    }

    pub(crate) fn event(&mut self, name: &str, process: u64, event: RunEvent) {
        let clock = self.clock();
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(current) = entry.process.as_mut().filter(|current| current.number == process) else {
            return;
        };
        // A job is not a run: of its events, only those about the pipeline count.
        if !current.is_job || matches!(event, RunEvent::Gauge { .. }) {
            entry.view.apply(&event, clock.wall.as_duration().as_secs_f64());
        }
        match event {
            _ if current.is_job => {}
            RunEvent::Hello(hello) => {
                current.run.set_number(hello.run);
                if hello.digest == entry.digest {
                    self.store.forget_earlier(name);
                } else {
                    self.fleet.runs_earlier_version(name, clock);
                }
                // A run that was started for a choice may have to finish an interrupted run first.
                if entry.live.choice != hello.choice {
                    entry.live.choice = String::new();
                    self.fleet.finishes_first(name, clock);
                }
                if let Some(last) = &mut entry.record.last_run {
                    last.run = hello.run;
                }
            }
            RunEvent::Tick(tick) => {
                let waits = |input: &InputTick| matches!(input.state, InputState::Idle | InputState::Ended);
                self.fleet.set_idle(name, tick.inputs.iter().all(waits));
            }
            RunEvent::Report(_) => entry.live.reports += 1,
            // The first failure is the cause of the others.
            RunEvent::Failure(failure) => {
                entry.live.failure.get_or_insert(failure);
            }
            RunEvent::Summary { summary } => entry.live.summary = Some(summary),
            RunEvent::Tapped { output, rendered, omitted, remaining } => {
                entry.listeners.pass_on(&output, &rendered, &omitted, remaining);
            }
            _ => {}
        }
        self.fleet.sign(name, clock);
    }

    pub(crate) fn closed(&mut self, name: &str, process: u64) {
        let current = self.entries.get_mut(name).and_then(|entry| entry.process.as_mut());
        if let Some(current) = current.filter(|current| current.number == process) {
            current.is_closed = true;
        }
    }

    /// Concludes the runs that have ended. Returns how long the caller may sleep.
    pub(crate) fn settle(&mut self) -> Duration {
        let clock = self.clock();
        let mut ended = Vec::new();
        let mut sleep = Duration::MAX;
        for (name, entry) in &mut self.entries {
            let Some(process) = &mut entry.process else { continue };
            if process.exited.is_none() {
                process.exited = process.run.ended().map(|status| (status, clock.steady));
            }
            let Some((status, at)) = process.exited else {
                if process.is_closed {
                    // It ends now: SIGCHLD follows, but may have been merged with that of another process.
                    sleep = sleep.min(Duration::from_millis(50));
                }
                continue;
            };
            if process.is_closed || at + CLOSE_LIMIT <= clock.steady {
                ended.push((name.clone(), status));
            } else {
                sleep = sleep.min(Duration::from_millis(100));
            }
        }
        for (name, status) in &ended {
            let is_job = self
                .entries
                .get(name)
                .is_some_and(|entry| entry.process.as_ref().is_some_and(|process| process.is_job));
            if is_job {
                self.conclude_job(name, ending(*status));
            } else {
                self.conclude(name, ending(*status), clock);
            }
        }
        if ended.is_empty() { sleep } else { Duration::ZERO }
    }

    fn conclude(&mut self, name: &str, (code, how): (Option<u8>, String), clock: Clock) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let cpu_micros = entry.process.take().map_or(0, |process| process.run.cpu_micros());
        entry.record.cpu_micros = entry.record.cpu_micros.saturating_add(cpu_micros);
        entry.listeners.clear();
        entry.view.process_ended(code.unwrap_or(u8::MAX), clock.wall.as_duration().as_secs_f64());
        entry.record.totals.clone_from(&entry.view.totals);
        let summary = entry.live.summary.take();
        let read =
            summary.as_ref().and_then(|summary| RunSummary::deserialize(summary).ok()).unwrap_or_default();
        let failure = entry.live.failure.take();
        let reason = failure.map_or(how, |failure| format!("{}: {}", failure.instance, failure.message));
        let reason: String = without_controls(&reason).chars().take(300).collect();
        let mut last = entry.record.last_run.take().unwrap_or_default();
        // The number comes with the first event of a run that has locked the pipeline.
        let has_begun = last.run > 0;
        last.ended = Some(clock.wall);
        last.exit_code = code;
        last.status = match code {
            Some(0) => "ok",
            Some(65 | 66) => "partial",
            Some(130) => "interrupted",
            _ => "failed",
        }
        .to_owned();
        last.reason.clone_from(&reason);
        last.findings = read.findings();
        last.outputs = read.outputs.into_iter().map(|output| (output.id, output.records)).collect();
        // A run that reported its summary has logged its end itself.
        let level = match code {
            _ if summary.is_some() => Level::Debug,
            Some(0 | 130) => Level::Info,
            Some(65 | 66) => Level::Warn,
            _ => Level::Error,
        };
        let code_in_words = code.map_or(String::new(), |code| format!(", exit code {code}"));
        let why = if code == Some(0) || reason.is_empty() { String::new() } else { format!(": {reason}") };
        let line = format!(
            "run {} ended: {}{code_in_words}, {} findings{why}",
            last.run, last.status, last.findings
        );
        entry.record.history.add(&last, clock.wall.to_zoned(TimeZone::system()).date());
        entry.record.last_run = Some(last);
        self.log.about(name, level, &line);
        // A choice that is refused says nothing about other runs.
        let is_refused = self.choice_ended(name, code, summary.as_ref());
        let code = if is_refused { Some(NOTHING_SENT) } else { code };
        let tasks = self.fleet.ended(name, Ending { code, has_begun, reason }, clock, fastrand::f64());
        if let Some(machine) = self.fleet.get(name)
            && machine.state() == State::Held
        {
            let hint = format!(
                "held: {}; correct the cause, then `scanbridge service resume {name}`",
                machine.reason()
            );
            self.log.about(name, Level::Error, &hint);
        }
        self.carry_out(tasks);
    }
}
