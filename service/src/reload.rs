//! Applies the configuration of the disk: at the start, and at each reload. A file with errors keeps its accepted version.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use scanbridge_observe::{Bundle, BundleResult, ConsoleKeys, ScheduleKeys, is_name};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::accepted::{Loaded, problem_in_words};
use crate::history::LastRun;
use crate::log_sink::Level;
use crate::machine::{Before, Settings};
use crate::message::Message;
use crate::request::{ReloadMode, Reply};
use crate::schedule::{Schedule, Stored};
use crate::supervisor::{Entry, Supervisor};

/// The result of a reload.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ReloadReport {
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) unchanged: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) needs_restart: Vec<String>,
}

impl ReloadReport {
    /// `1 changed, 2 unchanged`.
    fn in_numbers(&self) -> String {
        let counts = [
            ("added", self.added.len()),
            ("changed", self.changed.len()),
            ("pending", self.pending.len()),
            ("removed", self.removed.len()),
            ("rejected", self.rejected.len()),
            ("unchanged", self.unchanged.len()),
            ("not applied", self.needs_restart.len()),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {word}")).collect();
        if counts.is_empty() { "no pipeline files found".to_owned() } else { counts.join(", ") }
    }
}

/// An accepted change that waits.
#[derive(Debug, Serialize)]
pub(crate) struct Pending {
    pipeline: String,
    reason: String,
}

/// A file that was not accepted.
#[derive(Debug, Serialize)]
pub(crate) struct Rejected {
    pipeline: String,
    file: String,
    problems: Vec<Value>,
}

impl Supervisor {
    /// Reads all files in another thread; [`Message::Loaded`] follows.
    pub(crate) fn begin_reload(&mut self, mode: ReloadMode, reply: Option<oneshot::Sender<Reply>>) {
        if self.reload.is_none() {
            return self.start_reload(mode, reply.into_iter().collect());
        }
        // The reload in progress may have read the files before they were changed, so another one follows.
        match (&mut self.next_reload, reply) {
            (Some((known, _)), Some(reply)) if *known != mode => {
                let hint = "try again when it has ended";
                let _ = reply.send(Reply::problem(409, "a reload is in progress", hint));
            }
            (next, reply) => next.get_or_insert_with(|| (mode, Vec::new())).1.extend(reply),
        }
    }

    fn start_reload(&mut self, mode: ReloadMode, waiting: Vec<oneshot::Sender<Reply>>) {
        self.notify.reloading();
        self.log.service(Level::Info, "reloading");
        self.reload = Some((mode, waiting));
        let (sources, sender) = (self.settings.sources.clone(), self.sender.clone());
        let load = move || {
            let _ = sender.send(Message::Loaded(sources.load()));
        };
        if let Err(error) = thread::Builder::new().name("reload".to_owned()).spawn(load) {
            self.finish_reload(Err(format!("cannot start a thread: {error}")));
        }
    }

    pub(crate) fn finish_reload(&mut self, loaded: Result<Loaded, String>) {
        let Some((mode, waiting)) = self.reload.take() else { return };
        let result = loaded.map(|loaded| self.apply(loaded, mode));
        let is_ok = result.as_ref().is_ok_and(|report| report.rejected.is_empty());
        let now = jiff::Timestamp::now();
        self.last_reload = Some((now, is_ok));
        self.last_success = Some(now).filter(|_| is_ok).or(self.last_success);
        let reply = match &result {
            Ok(report) => {
                self.log.service(Level::Info, &format!("reloaded: {}", report.in_numbers()));
                Reply { status: 200, body: json!(report) }
            }
            Err(error) => {
                let message = format!("the reload failed, nothing was changed: {error}");
                message.lines().for_each(|line| self.log.service(Level::Error, line));
                Reply::problem(422, "the reload failed, nothing was changed", error)
            }
        };
        for sender in waiting {
            let _ = sender.send(reply.clone());
        }
        self.notify.ready();
        if let Some((mode, waiting)) = self.next_reload.take() {
            self.start_reload(mode, waiting);
        }
    }

    /// Applies what was read.
    pub(crate) fn apply(&mut self, loaded: Loaded, mode: ReloadMode) -> ReloadReport {
        let mut report = ReloadReport::default();
        let is_faulty = loaded.results.iter().any(|result| matches!(result, BundleResult::Rejected { .. }));
        let is_refused = mode.all_or_nothing && is_faulty;
        if !is_refused {
            self.fleet.limits(loaded.service.max_running, loaded.service.groups.clone());
            if let Err(error) = self.log.change(&loaded.service.log) {
                let message = format!("cannot open the log file, the earlier log stays in use: {error}");
                self.log.service(Level::Error, &message);
            }
            for line in loaded.warnings.lines() {
                self.log.service(Level::Warn, line);
            }
            report.needs_restart = self.change_console(loaded.service.console.clone());
            if self.change_fips(&loaded) {
                report.needs_restart.push("fips (restart the service)".to_owned());
            }
        }
        let mut present = BTreeSet::new();
        // Valid files first: a faulty copy of a file must not take the name of the original.
        let (accepted, rejected): (Vec<_>, Vec<_>) =
            loaded.results.into_iter().partition(|result| matches!(result, BundleResult::Accepted(_)));
        for result in accepted.into_iter().chain(rejected) {
            match result {
                BundleResult::Accepted(_) if is_refused => {}
                BundleResult::Accepted(bundle)
                    if present.contains(&bundle.name) || !is_name(&bundle.name) =>
                {
                    let (message, hint) = if is_name(&bundle.name) {
                        (
                            format!("another file has the pipeline name `{}`", bundle.name),
                            "set another `name:`",
                        )
                    } else {
                        let message = format!("the service cannot use the pipeline name `{}`", bundle.name);
                        (message, "set `name:` with at most 64 characters: letters, digits, `-`, `_` and `.`")
                    };
                    let file = bundle.pipeline.path;
                    let problems = vec![json!({ "file": file, "message": message, "hint": hint })];
                    report.rejected.push(Rejected { pipeline: bundle.name, file, problems });
                }
                BundleResult::Accepted(bundle) => {
                    let (name, file) = (bundle.name.clone(), bundle.pipeline.path.clone());
                    match self.accept(bundle, mode.now, &mut report) {
                        Ok(()) => {
                            present.insert(name);
                        }
                        Err(message) => {
                            let problems = vec![json!({ "file": file, "message": message })];
                            present.extend(self.reject(&name, &file, &problems));
                            report.rejected.push(Rejected { pipeline: name, file, problems });
                        }
                    }
                }
                BundleResult::Rejected { file, name, problems } => {
                    let known = if is_refused { Vec::new() } else { self.reject(&name, &file, &problems) };
                    let pipeline = known.first().cloned().unwrap_or(name);
                    present.insert(pipeline.clone());
                    present.extend(known);
                    report.rejected.push(Rejected { pipeline, file, problems });
                }
            }
        }
        for rejected in &report.rejected {
            for problem in rejected.problems.iter().filter(|problem| problem["severity"] != "warning") {
                self.log.about(
                    &rejected.pipeline,
                    Level::Error,
                    &format!("rejected: {}", problem_in_words(problem)),
                );
            }
        }
        if !is_refused {
            self.remove_all_but(&present, &mut report);
        }
        report
    }

    /// Applies what can change while the service runs, and reads the certificates again. Returns what was not
    /// applied.
    /// A stricter FIPS mode applies to new runs at once, and to the listener after a restart; a weaker one only after a
    /// restart. Returns whether a restart is needed.
    fn change_fips(&mut self, loaded: &Loaded) -> bool {
        let sources = &mut self.settings.sources;
        let before = sources.host.fips;
        sources.host.fips = before.max(loaded.fips);
        let own = loaded.service.fips.parse().unwrap_or_default();
        sources.minimum.max(own) != before
    }

    fn change_console(&self, console: Option<ConsoleKeys>) -> Vec<String> {
        let web = &self.settings.web;
        let mut not_applied = Vec::new();
        if let Some(listener) = &web.listener
            && let Err(error) = listener.reload()
        {
            let message = format!("{error}; the earlier certificate stays in use");
            self.log.service(Level::Error, &message);
            not_applied.push("certificate (see the log)".to_owned());
        }
        let fixed = |console: &Option<ConsoleKeys>| {
            let keys = console.as_ref();
            (keys.map(|keys| keys.listen.clone()), keys.and_then(|keys| keys.tls.clone()))
        };
        let (before, now) = (fixed(&web.console), fixed(&console));
        let changes = [("console.listen", before.0 != now.0), ("console.tls", before.1 != now.1)];
        web.access.change(console.unwrap_or_default());
        let changed = changes.into_iter().filter(|(_, is_changed)| *is_changed);
        not_applied.extend(changed.map(|(key, _)| format!("{key} (restart the service)")));
        not_applied
    }

    fn accept(&mut self, bundle: Bundle, is_now: bool, report: &mut ReloadReport) -> Result<(), String> {
        let name = bundle.name.clone();
        let settings = self.settings_of(&bundle)?;
        let is_leaving = self.fleet.get(&name).is_some_and(|machine| machine.is_leaving());
        if let Some(entry) = self.entries.get_mut(&name)
            && !is_leaving
            && entry.digest == bundle.digest
            && entry.file == bundle.pipeline.path
        {
            entry.rejected.clear();
            entry.choosing = bundle.choosing;
            report.unchanged.push(name);
            return Ok(());
        }
        self.store.accept(&bundle).map_err(|error| format!("cannot store the accepted version: {error}"))?;
        for warning in &bundle.warnings {
            self.log.about(&name, Level::Warn, &problem_in_words(warning));
        }
        if bundle.service.schedule == ScheduleKeys::Manual {
            self.log.about(&name, Level::Info, "the pipeline has no schedule; it runs only on request");
        }
        let clock = self.clock();
        if self.fleet.get(&name).is_some() {
            let tasks = self.fleet.change(&name, settings, is_now, clock);
            self.carry_out(tasks);
            if self.fleet.get(&name).is_some_and(|machine| machine.is_pending()) {
                let reason = if is_now { "until the run has stopped" } else { "until the end of the report" };
                report.pending.push(Pending { pipeline: name.clone(), reason: reason.to_owned() });
            } else {
                report.changed.push(name.clone());
            }
        } else {
            self.load(&bundle, settings);
            report.added.push(name.clone());
        }
        let entry = self.entries.entry(name.clone()).or_default();
        if entry.record == Default::default() {
            entry.restore(&name, &self.records);
        }
        entry.file = bundle.pipeline.path;
        entry.instance = bundle.instance;
        entry.digest = bundle.digest;
        entry.keys = bundle.service;
        entry.choosing = bundle.choosing;
        entry.rejected.clear();
        let has_choice = entry.has_choice();
        self.fleet.set_choice(&name, has_choice);
        Ok(())
    }

    fn load(&mut self, bundle: &Bundle, settings: Settings) {
        let name = bundle.name.as_str();
        let record = self.records.get(name).cloned().unwrap_or_default();
        let is_same = record.schedule.as_ref() == Some(settings.schedule.keys());
        let stored = Stored {
            started: record.last_run.as_ref().map(|last| last.started),
            next: record.next.filter(|_| is_same),
        };
        let is_interrupted = record.last_run.as_ref().is_some_and(LastRun::is_unfinished);
        let before = match record.held {
            _ if record.paused => Before::Paused { is_interrupted },
            Some(reason) if record.digest == bundle.digest => Before::Held(reason),
            None if is_interrupted => Before::Interrupted,
            _ => Before::Rest,
        };
        let clock = self.clock();
        self.fleet.load(name, settings, clock, (stored, before));
    }

    fn settings_of(&self, bundle: &Bundle) -> Result<Settings, String> {
        let schedule = Schedule::new(&bundle.service.schedule, &self.settings.machine, &bundle.name);
        Ok(Settings {
            schedule: schedule.map_err(|error| error.to_string())?,
            restart: bundle.service.restart.clone(),
            group: bundle.service.group.clone(),
            hang: Duration::from_secs(bundle.service.hang_secs.max(1)),
        })
    }

    /// A faulty file. Returns the pipelines that it belongs to, one for each instance: by its file, else by its name.
    fn reject(&mut self, name: &str, file: &str, problems: &[Value]) -> Vec<String> {
        let mut known = Vec::new();
        for (name, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.file == file) {
            entry.rejected = problems.to_vec();
            known.push(name.clone());
        }
        if !known.is_empty() {
            return known;
        }
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = [Some(name.to_owned()), stem].into_iter().flatten().find(|name| is_name(name));
        let Some(name) = name else { return Vec::new() };
        // After a restart of the service: the version that was accepted before, for each of its instances.
        let instances = (1_u32..).map(|number| format!("{name}.{number}"));
        let instances: Vec<String> =
            instances.take_while(|name| self.accepted_for(name, file).is_some()).collect();
        let names = if instances.is_empty() { vec![name] } else { instances };
        let unknown: Vec<String> =
            names.into_iter().filter(|name| !self.entries.contains_key(name)).collect();
        unknown.iter().for_each(|name| self.load_faulty(name, file, problems));
        unknown
    }

    /// The version of a pipeline that was accepted before, from this file.
    fn accepted_for(&self, name: &str, file: &str) -> Option<Bundle> {
        self.store.read_accepted(name).filter(|bundle| bundle.pipeline.path == file)
    }

    /// Loads a pipeline whose file has errors, with the version that was accepted before, if there is one.
    fn load_faulty(&mut self, name: &str, file: &str, problems: &[Value]) {
        let accepted = self.accepted_for(name, file);
        let settings = accepted.as_ref().and_then(|bundle| self.settings_of(bundle).ok());
        let mut entry = Entry { file: file.to_owned(), rejected: problems.to_vec(), ..Entry::default() };
        entry.restore(name, &self.records);
        match (accepted, settings) {
            (Some(bundle), Some(settings)) => {
                self.log.about(
                    name,
                    Level::Warn,
                    "the file has errors; the version that was accepted before is used",
                );
                self.load(&bundle, settings);
                (entry.digest, entry.keys, entry.instance) = (bundle.digest, bundle.service, bundle.instance);
                entry.choosing = bundle.choosing;
                self.fleet.set_choice(name, entry.has_choice());
            }
            _ => {
                let first =
                    problems.iter().find(|problem| problem["severity"] != "warning").or(problems.first());
                self.fleet.invalid(name, first.map(problem_in_words).unwrap_or_default());
            }
        }
        self.entries.insert(name.to_owned(), entry);
    }

    fn remove_all_but(&mut self, present: &BTreeSet<String>, report: &mut ReloadReport) {
        let gone: Vec<String> =
            self.entries.keys().filter(|name| !present.contains(*name)).cloned().collect();
        for name in gone {
            self.log.about(
                &name,
                Level::Info,
                "the file was removed; the pipeline stops, and its state stays",
            );
            let clock = self.clock();
            let tasks = self.fleet.remove(&name, clock);
            self.carry_out(tasks);
            report.removed.push(name);
        }
    }
}
