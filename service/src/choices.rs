//! Reports that operators have chosen: stored until a run has sent them, so that neither a restart of the service nor of the
//! machine loses or repeats one.

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::unknown;
use crate::job::JobView;
use crate::jobs::new_id;
use crate::log_sink::Level;
use crate::machine::State;
use crate::queued_choice::QueuedChoice;
use crate::request::Reply;
use crate::send_request::SendRequest;
use crate::store::replace;
use crate::supervisor::{Entry, Supervisor};

/// Choices of a pipeline that may wait.
const MAX_WAITING: usize = 100;
/// Choices that are kept after their end.
const KEPT: usize = 20;
/// Reports of one choice.
const MAX_REPORTS: usize = 10_000;
/// Characters of the ID of a report: as many as a path can have.
const MAX_ID: usize = 4096;

impl Entry {
    /// The choice that is delivered next, or now.
    pub(crate) fn next_choice(&mut self) -> Option<&mut QueuedChoice> {
        self.record.choices.iter_mut().find(|choice| choice.is_waiting())
    }

    pub(crate) fn has_choice(&self) -> bool {
        self.record.choices.iter().any(QueuedChoice::is_waiting)
    }

    /// Number of reports that are chosen and not sent.
    pub(crate) fn unsent_reports(&self) -> u64 {
        self.record.choices.iter().filter(|choice| choice.is_waiting()).map(|choice| choice.reports).sum()
    }

    /// Reports of an input that are chosen and not sent: the job, and the ID of the first of these.
    pub(crate) fn chosen(&self, input: &str, ids: &[String]) -> Option<(&str, String)> {
        let waiting =
            self.record.choices.iter().filter(|choice| choice.is_waiting() && choice.input == input);
        let mut found = waiting.filter_map(|choice| {
            let id = ids.iter().find(|id| choice.ids.contains(id))?;
            Some((choice.id.as_str(), id.clone()))
        });
        found.next()
    }

    /// The input with this `id`, else the only one that has stored reports.
    pub(crate) fn choosing_input(&self, input: Option<&str>) -> Result<String, Reply> {
        match (input.filter(|input| !input.is_empty()), self.choosing.as_slice()) {
            (Some(input), known) if known.iter().any(|id| id == input) => Ok(input.to_owned()),
            (None, [only]) => Ok(only.clone()),
            (_, []) => {
                let title = "the pipeline has no input with stored reports";
                Err(Reply::problem(
                    422,
                    title,
                    "only inputs whose plugin has the table `reports/1` have some",
                ))
            }
            (Some(input), known) => {
                let title = format!("the pipeline has no input `{input}` with stored reports");
                Err(Reply::problem(404, &title, &format!("it has {}", known.join(", "))))
            }
            (None, known) => {
                let detail = format!("name one of {} as `input`", known.join(", "));
                Err(Reply::problem(400, "several inputs have stored reports", &detail))
            }
        }
    }
}

impl Supervisor {
    /// Stores a choice. A run for it is started as soon as the pipeline can run.
    pub(crate) fn send_reports(&mut self, name: &str, request: SendRequest) -> Reply {
        match self.queue_choice(name, request) {
            Ok(reply) | Err(reply) => reply,
        }
    }

    fn queue_choice(&mut self, name: &str, request: SendRequest) -> Result<Reply, Reply> {
        let SendRequest { input, ids, again } = request;
        let refuse =
            |detail: &str| Reply::problem(409, &format!("cannot send reports of pipeline `{name}`"), detail);
        if self.fleet.is_draining() {
            return Err(refuse("the service is stopping"));
        }
        let (Some(entry), Some(machine)) = (self.entries.get_mut(name), self.fleet.get(name)) else {
            return Err(unknown(name));
        };
        if machine.state() == State::Invalid {
            return Err(refuse(&format!("it is invalid: {}", machine.reason())));
        }
        if machine.is_leaving() {
            return Err(refuse("its file was removed"));
        }
        let input = entry.choosing_input(input.as_deref())?;
        let ids = checked_ids(ids)?;
        let waiting =
            || entry.record.choices.iter().filter(|choice| choice.is_waiting() && choice.input == input);
        let is_waiting = |id: &String| {
            waiting()
                .find(|choice| choice.ids.contains(id) && (choice.again || !again))
                .map(|choice| choice.id.clone())
        };
        let (known, new): (Vec<String>, Vec<String>) =
            ids.into_iter().partition(|id| is_waiting(id).is_some());
        let already = known.len();
        if let (true, Some(job)) = (new.is_empty(), known.first().and_then(is_waiting)) {
            return Ok(Reply { status: 202, body: self.answer_to_choice(name, &job, 0, already) });
        }
        if waiting().count() >= MAX_WAITING {
            return Err(refuse(&format!("{MAX_WAITING} choices wait already")));
        }
        let (id, reports) = (new_id(), new.len());
        let choice = QueuedChoice {
            id: id.clone(),
            input,
            ids: new,
            again,
            reports: reports as u64,
            asked: Timestamp::now(),
            ..QueuedChoice::default()
        };
        entry.record.choices.push(choice);
        // The client may rely on the answer: it is given only when the choice is on the disk.
        self.save();
        if !self.is_stored {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.record.choices.retain(|choice| choice.id != id);
            }
            return Err(Reply::problem(
                500,
                "cannot store the choice",
                "the log has the reason; nothing is sent",
            ));
        }
        self.fleet.set_choice(name, true);
        self.log.about(name, Level::Info, &format!("an operator has chosen {reports} reports (job {id})"));
        Ok(Reply { status: 202, body: self.answer_to_choice(name, &id, reports, already) })
    }

    fn answer_to_choice(&self, name: &str, job: &str, queued: usize, already: usize) -> Value {
        let state = self.fleet.get(name).map(|machine| machine.state().word());
        json!({ "job": job, "reports": queued, "already_queued": already, "pipeline_state": state })
    }

    /// Withdraws a choice that no run delivers now.
    pub(crate) fn cancel_choice(&mut self, id: &str) -> Option<Reply> {
        let (name, entry) = self
            .entries
            .iter_mut()
            .find(|(_, entry)| entry.record.choices.iter().any(|choice| choice.id == id))?;
        let is_running = entry.live.choice == id;
        let choice = entry.record.choices.iter_mut().find(|choice| choice.id == id)?;
        let refuse = |why: &str| Some(Reply::problem(409, &format!("cannot cancel the job {id}"), why));
        if choice.ended.is_some() {
            return refuse("it has ended");
        }
        if is_running {
            return refuse("a run sends the reports now; stop it first");
        }
        let has_begun = choice.run.is_some();
        choice.end(Some(75), "cancelled by an operator");
        let view = choice.view(name, false, None);
        let (name, has_choice) = (name.clone(), entry.has_choice());
        self.fleet.set_choice(&name, has_choice);
        let hint = "; its interrupted run continues unless it is discarded with `scanbridge state discard`";
        let hint = if has_begun { hint } else { "" };
        self.log.about(&name, Level::Info, &format!("an operator has cancelled the job {id}{hint}"));
        Some(Reply::ok(json!(view)))
    }

    /// Writes the choice that is next for the run that is started now. Returns its ID and the path.
    pub(crate) fn write_choice(&mut self, name: &str) -> Result<Option<(String, PathBuf)>, String> {
        let path = self.store.request(name);
        let Some(choice) = self.entries.get_mut(name).and_then(Entry::next_choice) else { return Ok(None) };
        let QueuedChoice { id, input, ids, again, .. } = &*choice;
        let content = json!({ "input": input, "ids": ids, "again": again, "request": id });
        replace(&path, content.to_string().as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        choice.started.get_or_insert(Timestamp::now());
        Ok(Some((choice.id.clone(), path)))
    }

    /// A run for a choice has ended. Returns whether it refused the choice before it began: no later run would accept it.
    pub(crate) fn choice_ended(&mut self, name: &str, code: Option<u8>, summary: Option<&Value>) -> bool {
        let Some(entry) = self.entries.get_mut(name) else { return false };
        let id = std::mem::take(&mut entry.live.choice);
        let (run, reason) =
            entry.record.last_run.as_ref().map(|last| (last.run, last.reason.clone())).unwrap_or_default();
        let Some(choice) =
            entry.record.choices.iter_mut().find(|choice| choice.id == id && choice.is_waiting())
        else {
            return false;
        };
        (choice.run, choice.exit_code, choice.reason) = (Some(run), code, reason.clone());
        // A run that has finished in the ledger leaves nothing to be continued, whatever its result is.
        let has_run = summary.is_some_and(|summary| summary["run"].is_u64());
        let is_finished = has_run && summary.is_some_and(|summary| summary["interrupted"] == false);
        let is_refused = !has_run && summary.is_some() && matches!(code, Some(64 | 78));
        if is_finished || is_refused {
            choice.end(code, &reason);
            if let Some(summary) = summary {
                self.summaries.push_front((id, summary.clone()));
                self.summaries.truncate(KEPT);
            }
            let ended = entry.record.choices.iter().filter(|choice| !choice.is_waiting()).count();
            let mut surplus = ended.saturating_sub(KEPT);
            entry.record.choices.retain(|choice| {
                let is_surplus = surplus > 0 && !choice.is_waiting();
                surplus -= usize::from(is_surplus);
                !is_surplus
            });
        }
        let has_choice = entry.has_choice();
        self.fleet.set_choice(name, has_choice);
        is_refused
    }

    /// The choice with this ID as a job.
    pub(crate) fn choice_view(&self, id: &str) -> Option<JobView> {
        self.entries.iter().find_map(|(name, entry)| {
            let choice = entry.record.choices.iter().find(|choice| choice.id == id)?;
            let summary = self.summaries.iter().find(|(of, _)| of == id).map(|(_, summary)| summary);
            Some(choice.view(name, entry.live.choice == id, summary))
        })
    }

    /// The choices of a pipeline that were not sent yet, oldest first.
    pub(crate) fn waiting_choices(&self, entry: &Entry, name: &str) -> Vec<JobView> {
        let waiting = entry.record.choices.iter().filter(|choice| choice.is_waiting());
        waiting.map(|choice| choice.view(name, entry.live.choice == choice.id, None)).collect()
    }
}

/// The IDs, each once.
fn checked_ids(ids: Vec<String>) -> Result<Vec<String>, Reply> {
    let mut seen = HashSet::new();
    let ids: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
    let refuse = |title: &str, detail: &str| Err(Reply::problem(400, title, detail));
    match ids.iter().find(|id| id.is_empty() || id.len() > MAX_ID || id.contains(char::is_control)) {
        Some(_) => refuse("invalid ID of a report", "`scanbridge reports list` shows the IDs"),
        None if ids.is_empty() => refuse("no report is selected", "`ids` must name at least one"),
        None if ids.len() > MAX_REPORTS => {
            refuse("too many reports", &format!("at most {MAX_REPORTS} can be sent at once"))
        }
        None => Ok(ids),
    }
}
