//! The main loop: one thread that owns all state and starts all runs.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use scanbridge_observe::{ScheduleKeys, ServiceRequest, StopAt};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGUSR1};

use crate::log_sink::Level;
use crate::machine::State;
use crate::message::Message;
use crate::request::ReloadMode;
use crate::supervisor::Supervisor;

/// Messages that are handled before time is looked at again.
const BURST: usize = 256;
/// How long a stop of the service may take at most; systemd gets this limit.
const DRAIN: Duration = Duration::from_secs(85);

impl Supervisor {
    /// Runs until the service is asked to stop and all runs have ended.
    pub(crate) fn run(&mut self) {
        self.notify.ready();
        loop {
            let clock = self.clock();
            let tasks = self.fleet.tick(clock);
            self.carry_out(tasks);
            let settle = self.settle().min(self.end_abandoned_jobs());
            self.save();
            self.notify.status(self.status_line());
            if self.fleet.is_draining() && self.fleet.running() == 0 {
                return;
            }
            let clock = self.clock();
            let sleep = self.fleet.sleep(clock).min(self.notify.feed(clock.steady)).min(settle);
            match self.receiver.recv_timeout(sleep.max(Duration::from_millis(1))) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => continue,
            }
            for _ in 0..BURST {
                let Ok(message) = self.receiver.try_recv() else { break };
                self.handle(message);
            }
        }
    }

    fn handle(&mut self, message: Message) {
        if !matches!(&message, Message::Api(request, _) if request.only_reads()) {
            self.settings.web.changed.send_replace(());
        }
        match message {
            Message::Event { pipeline, process, event } => self.event(&pipeline, process, event),
            Message::Closed { pipeline, process } => self.closed(&pipeline, process),
            Message::Signal(SIGCHLD) => {}
            Message::Signal(SIGHUP) => {
                if let Err(error) = self.log.reopen() {
                    self.log.service(Level::Error, &format!("cannot open the log file again: {error}"));
                }
                self.begin_reload(ReloadMode::default(), None);
            }
            Message::Signal(SIGUSR1) => {
                self.statistics();
            }
            Message::Signal(_) => self.stop(),
            Message::Api(request, reply) => self.answer(request, reply),
            Message::Loaded(loaded) => self.finish_reload(loaded),
        }
    }

    /// SIGTERM or SIGINT: the first drains, the second stops at once.
    fn stop(&mut self) {
        let at = if self.fleet.is_draining() { StopAt::Now } else { StopAt::Asset };
        if at == StopAt::Asset {
            self.notify.stopping();
            self.notify.extend(DRAIN);
            let running = self.fleet.running();
            self.log.service(Level::Info, &format!("stopping the service; runs to stop: {running}"));
        } else {
            self.log.service(Level::Warn, "stopping all runs at once");
        }
        let clock = self.clock();
        let tasks = self.fleet.drain(at, clock);
        self.carry_out(tasks);
    }

    /// One line for each pipeline, and one from each run.
    pub(crate) fn statistics(&mut self) -> Vec<String> {
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            let line = self.statistics_line(&name);
            self.log.about(&name, Level::Info, &line);
            if let Some(process) = self.entries.get_mut(&name).and_then(|entry| entry.process.as_mut()) {
                process.run.send(&ServiceRequest::Statistics {});
            }
        }
        self.entries.keys().map(|name| format!("{name}: {}", self.statistics_line(name))).collect()
    }

    /// Stores what must survive a restart.
    pub(crate) fn save(&mut self) {
        let clock = self.clock();
        for (name, entry) in &mut self.entries {
            let Some(machine) = self.fleet.get(name) else { continue };
            if let Some(schedule) = machine.schedule() {
                let (state, reason) = machine.lasting();
                entry.record.paused = state == State::Paused;
                entry.record.held = (state == State::Held).then(|| reason.to_owned());
                entry.record.digest.clone_from(&entry.digest);
                let is_cron = matches!(schedule.keys(), ScheduleKeys::Cron { .. });
                entry.record.next = machine.planned(clock).filter(|_| is_cron);
                entry.record.schedule = Some(schedule.keys().clone());
            }
            if self.records.get(name) != Some(&entry.record) {
                self.records.insert(name.clone(), entry.record.clone());
                self.is_stored = false;
            }
        }
        if self.is_stored {
            return;
        }
        match self.store.save(&self.records) {
            Ok(()) => (self.is_stored, self.is_store_faulty) = (true, false),
            // Reported once: the service can run without it, but a restart would forget.
            Err(error) if !std::mem::replace(&mut self.is_store_faulty, true) => {
                self.log.service(Level::Error, &format!("cannot store the state of the service: {error}"));
            }
            Err(_) => {}
        }
    }
}
