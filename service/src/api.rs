//! Answers requests of the control socket, and shows the state of the pipelines.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use scanbridge_tls_policy::module_in_words;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::fleet::Refusal;
use crate::log_sink::Level;
use crate::machine::{Machine, Request, State};
use crate::request::{Api, Reply};
use crate::supervisor::{Entry, Supervisor};

impl Supervisor {
    pub(crate) fn answer(&mut self, request: Api, reply: oneshot::Sender<Reply>) {
        let answer = match request {
            Api::Live => Reply::ok(json!({ "status": "ok" })),
            Api::Ready => self.ready(),
            Api::Service => Reply::ok(self.service_view()),
            Api::Pipelines => Reply::ok(self.entries.keys().map(|name| self.view(name)).collect()),
            Api::Overview => Reply::ok(self.entries.keys().map(|name| self.brief_view(name)).collect()),
            Api::Pipeline(name) if self.entries.contains_key(&name) => Reply::ok(self.view(&name)),
            Api::Pipeline(name) => unknown(&name),
            Api::Act(name, request) => self.act(&name, request),
            Api::Begin(name, request, waits) => return self.begin_job(&name, request, (reply, waits)),
            Api::Send(name, request) => self.send_reports(&name, request),
            Api::Job(id) => self.job(&id),
            Api::Cancel(id) => self.cancel(&id),
            Api::Tap(name, query, lines) => self.tap(&name, query, lines),
            Api::Reload(mode) => return self.begin_reload(mode, Some(reply)),
            Api::Metrics(format) => Reply::ok(json!(self.metrics(format))),
            Api::Statistics => Reply::ok(json!(self.statistics())),
            Api::Log { pipeline: Some(name), .. } if !self.entries.contains_key(&name) => unknown(&name),
            Api::Log { pipeline, level, since } => {
                Reply::ok(json!(self.log.kept(pipeline.as_deref(), level, since)))
            }
        };
        // The client may have gone.
        let _ = reply.send(answer);
    }

    fn act(&mut self, name: &str, request: Request) -> Reply {
        let clock = self.clock();
        if self.fleet.is_draining() {
            return Reply::problem(409, "the service is stopping", "");
        }
        match self.fleet.request(name, request, clock) {
            Ok(tasks) => {
                self.log.about(name, Level::Info, &format!("an operator requested: {}", request.word()));
                self.carry_out(tasks);
                // A run that was asked for starts now, if there is a place.
                let tasks = self.fleet.tick(clock);
                self.carry_out(tasks);
                Reply { status: 202, body: self.view(name) }
            }
            Err(Refusal::Unknown) => unknown(name),
            Err(Refusal::Conflict(why)) => {
                Reply::problem(409, &format!("cannot {} pipeline `{name}`", request.word()), &why)
            }
        }
    }

    fn ready(&self) -> Reply {
        let counts = self.counts();
        let is_failed = |(name, machine): (&String, &Machine)| {
            let last = self.entries.get(name).and_then(|entry| entry.record.last_run.as_ref());
            let is_bad = matches!(machine.state(), State::Held | State::Invalid);
            is_bad || last.is_some_and(|last| last.status == "failed" && !machine.state().is_active())
        };
        let is_degraded = self.fleet.iter().any(is_failed) || self.entries.is_empty();
        let status = if is_degraded { 503 } else { 200 };
        let word = if is_degraded { "degraded" } else { "ok" };
        Reply { status, body: json!({ "status": word, "pipelines": counts }) }
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, machine) in self.fleet.iter() {
            *counts.entry(machine.state().word()).or_insert(0) += 1;
        }
        counts
    }

    /// For `systemctl status`: `12 pipelines: 9 waiting, 2 running, 1 held (weekly: login rejected)`.
    pub(crate) fn status_line(&self) -> String {
        let counts = self.counts();
        let parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let troubled: Vec<String> = self
            .fleet
            .iter()
            .filter(|(_, machine)| matches!(machine.state(), State::Held | State::Invalid))
            .take(3)
            .map(|(name, machine)| {
                let reason: String = machine.reason().chars().take(80).collect();
                format!("{name}: {reason}")
            })
            .collect();
        let troubled =
            if troubled.is_empty() { String::new() } else { format!(" ({})", troubled.join("; ")) };
        format!("{} pipelines: {}{troubled}", self.entries.len(), parts.join(", ")).replace('\n', " ")
    }

    fn service_view(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started": self.started,
            "state_dir": self.settings.state,
            "socket": self.settings.socket,
            "listener": self.settings.web.listener.as_ref().map(|listener| listener.view()),
            "log": self.log.place(),
            "pipelines": self.counts(),
            "fips": self.settings.sources.host.fips.word(),
            "crypto": module_in_words(),
            "reload": self.last_reload.map(|(at, ok)| json!({ "at": at, "ok": ok })),
        })
    }

    /// Where operators find the service, in the log.
    pub(crate) fn log_listener(&self) {
        let Some(listener) = &self.settings.web.listener else { return };
        let (url, view) = (listener.url(), listener.view());
        let certificate = view["certificate"]["sha256"].as_str();
        let certificate = certificate.map(|sha256| format!(", certificate SHA-256 {sha256}"));
        self.log.service(Level::Info, &format!("listening on {url}{}", certificate.unwrap_or_default()));
    }

    fn view(&self, name: &str) -> Value {
        let mut view = self.brief_view(name);
        if let Some(entry) = self.entries.get(name).filter(|_| view.is_object()) {
            view["recent_runs"] = json!(entry.record.history.runs);
        }
        view
    }

    fn brief_view(&self, name: &str) -> Value {
        let (Some(entry), Some(machine)) = (self.entries.get(name), self.fleet.get(name)) else {
            return Value::Null;
        };
        let clock = self.clock();
        let today = clock.wall.to_zoned(TimeZone::system()).date();
        let days = entry.record.history.days(today).into_iter();
        let days: Vec<Value> = days.map(|(date, day)| json!({ "date": date, "runs": day })).collect();
        json!({
            "name": name,
            "file": entry.file,
            "instance": entry.instance,
            "state": machine.state(),
            "reason": machine.reason(),
            "schedule": machine.schedule().map(ToString::to_string),
            "group": machine.group(),
            "next_run": machine.next(clock).wall(clock),
            "skipped": machine.skipped.total(),
            "pending": machine.is_pending(),
            "digest": entry.digest,
            "rejected": entry.rejected,
            "last_run": entry.record.last_run,
            "days": days,
            "run": run_view(entry),
            "choosing": entry.choosing,
            "choices": self.waiting_choices(entry, name),
        })
    }

    pub(crate) fn statistics_line(&self, name: &str) -> String {
        let view = self.brief_view(name);
        let run = &view["run"];
        let state = view["state"].as_str().unwrap_or_default();
        if run.is_null() {
            let last = &view["last_run"];
            let status = last["status"].as_str().filter(|status| !status.is_empty());
            return match status {
                Some(status) => format!("{state}; last run: {status}, {} findings", last["findings"]),
                None => state.to_owned(),
            };
        }
        let delivered: Vec<String> = delivered(entry_outputs(run)).collect();
        format!("{state}; run {}: {} findings → {}", run["run"], run["findings"], delivered.join(", "))
    }
}

fn entry_outputs(run: &Value) -> impl Iterator<Item = (&str, u64)> {
    run["outputs"].as_array().into_iter().flatten().map(|output| {
        (output["id"].as_str().unwrap_or_default(), output["counts"]["records"].as_u64().unwrap_or(0))
    })
}

fn delivered<'a>(outputs: impl Iterator<Item = (&'a str, u64)>) -> impl Iterator<Item = String> {
    outputs.map(|(id, records)| format!("{id} {records}"))
}

/// The run that is in progress; null without one.
fn run_view(entry: &Entry) -> Value {
    let Some(process) = entry.process.as_ref().filter(|process| !process.is_job) else { return Value::Null };
    let (last, current) = (entry.record.last_run.as_ref(), entry.view.current.as_ref());
    let inputs = current.map_or(&[][..], |current| &current.inputs);
    let findings: u64 = inputs
        .iter()
        .filter_map(|input| input.counts.get("findings"))
        .fold(0, |sum, n| sum.saturating_add(*n));
    json!({
        "run": last.map(|last| last.run).filter(|run| *run > 0),
        "pid": process.run.id(),
        "started": last.map(|last| last.started),
        "findings": findings,
        "reports": entry.live.reports,
        "inputs": inputs,
        "outputs": current.map_or(&[][..], |current| &current.outputs),
    })
}

pub(crate) fn unknown(name: &str) -> Reply {
    Reply::problem(404, &format!("no pipeline `{name}`"), "`scanbridge service status` lists them")
}
