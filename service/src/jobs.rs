//! Jobs: a replay or purge of dead letters, or marks of reports, in a process of its own between two runs of the pipeline. A
//! client that waits for its job and goes away ends it.

use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use crate::api::unknown;
use crate::fleet::Refusal;
use crate::job::{Job, JobView};
use crate::job_request::JobRequest;
use crate::log_sink::Level;
use crate::machine::Ending;
use crate::request::Reply;
use crate::skip_request::SkipRequest;
use crate::store::replace;
use crate::supervisor::Supervisor;

/// How soon a client that has gone away is noticed.
const LOOK: Duration = Duration::from_millis(200);
/// Exit code of a process that a signal ended.
const BUG: u8 = 70;
/// Exit code of a job that was not started.
const NOT_STARTED: u8 = 75;
/// Jobs that clients can ask for after their end.
const KEPT: usize = 200;

/// An ID that no other job has.
pub(crate) fn new_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

impl Supervisor {
    /// Queues a job. If the client waits, the reply follows when it has ended, else at once.
    pub(crate) fn begin_job(
        &mut self,
        name: &str,
        request: JobRequest,
        (reply, waits): (oneshot::Sender<Reply>, bool),
    ) {
        let clock = self.clock();
        let begun = match &request {
            _ if self.fleet.is_draining() => Err(Refusal::Conflict("the service is stopping".to_owned())),
            JobRequest::Skip(skip) => match self.refusal_of_skip(name, skip) {
                Some(refused) => {
                    let _ = reply.send(refused);
                    return;
                }
                None => self.fleet.begin_job(name, clock),
            },
            JobRequest::DeadLetters(_) => self.fleet.begin_job(name, clock),
        };
        let refused = match (begun, self.entries.get_mut(name)) {
            (Ok(tasks), Some(entry)) => {
                let (id, what, since) = (new_id(), request.what(), self.log.last_number());
                self.jobs.push_front(JobView::queued(&id, name, request.kind()));
                self.jobs.truncate(KEPT);
                let accepted = Reply { status: 202, body: json!({ "job": id }) };
                let reply = if waits {
                    Some(reply)
                } else {
                    let _ = reply.send(accepted);
                    None
                };
                entry.job = Some(Job { id, request, reply, since, is_abandoned: false });
                self.log.about(name, Level::Info, &format!("an operator requested: {what}"));
                return self.carry_out(tasks);
            }
            (Err(Refusal::Conflict(why)), _) => {
                let what = format!("cannot {} of pipeline `{name}`", request.verb());
                Reply::problem(409, &what, &why)
            }
            _ => unknown(name),
        };
        // The client may have gone.
        let _ = reply.send(refused);
    }

    /// Why reports cannot be marked now: a run that sends them would take them for reports that it has sent.
    fn refusal_of_skip(&self, name: &str, skip: &SkipRequest) -> Option<Reply> {
        let Some(entry) = self.entries.get(name) else { return Some(unknown(name)) };
        let title = format!("cannot mark reports of pipeline `{name}`");
        if let Some(fault) = skip.fault() {
            return Some(Reply::problem(400, &title, fault));
        }
        let input = match entry.choosing_input(skip.input.as_deref()) {
            Ok(input) => input,
            Err(refused) => return Some(refused),
        };
        let after = |job: &str| {
            format!(
                "repeat this when the job {job} has ended, or cancel that with `scanbridge service cancel {job}`"
            )
        };
        if let Some((job, id)) = entry.chosen(&input, &skip.ids) {
            let detail = format!("report {id} is chosen and not sent yet; {}", after(job));
            return Some(Reply::problem(409, &title, &detail));
        }
        let waiting =
            entry.record.choices.iter().find(|choice| choice.ended.is_none() && choice.input == input);
        let waiting = waiting.filter(|_| skip.ids.is_empty())?;
        let detail = format!("chosen reports are not sent yet; {}", after(&waiting.id));
        Some(Reply::problem(409, &title, &detail))
    }

    /// The arguments of the process of a job.
    fn command_of_job(&self, name: &str, request: &JobRequest) -> Result<Vec<std::ffi::OsString>, String> {
        match request {
            JobRequest::DeadLetters(request) => Ok(request.arguments()),
            JobRequest::Skip(skip) => {
                let entry = self.entries.get(name).ok_or("the pipeline was removed")?;
                let input = entry.choosing_input(skip.input.as_deref());
                let input = input.map_err(|_| "the pipeline has no such input any more")?;
                let file = self.store.request(name);
                let lines: String = skip.ids.iter().map(|id| format!("{}\n", json!({ "id": id }))).collect();
                replace(&file, lines.as_bytes())
                    .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
                Ok(skip.arguments(&input, &file))
            }
        }
    }

    pub(crate) fn start_job(&mut self, name: &str) {
        let Some(job) = self.entries.get(name).and_then(|entry| entry.job.as_ref()) else {
            return self.conclude_job(name, (Some(0), String::new()));
        };
        let (id, request) = (job.id.clone(), job.request.clone());
        self.log.about(name, Level::Debug, &format!("starting the {}", request.what()));
        let started = self.command_of_job(name, &request).and_then(|mut command| {
            command.extend(["--bundle".into(), self.store.accepted(name).into_os_string()]);
            self.start_process(name, command, true)
                .map_err(|error| format!("cannot start the process: {error}"))
        });
        match started {
            Ok(process) => {
                self.change_job(&id, JobView::start);
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.process = Some(process);
                }
            }
            Err(why) => self.conclude_job(name, (None, why)),
        }
    }

    pub(crate) fn conclude_job(&mut self, name: &str, (code, how): (Option<u8>, String)) {
        let clock = self.clock();
        let Some(entry) = self.entries.get_mut(name) else { return };
        let output = entry.process.take().map(|process| process.run.output()).unwrap_or_default();
        if let Some(Job { id, request, reply, since, .. }) = entry.job.take() {
            let level = if code.is_some() { Level::Info } else { Level::Error };
            let result = code.map_or(how.clone(), |code| format!("exit code {code}"));
            self.log.about(name, level, &format!("{} ended: {result}", request.what()));
            let log = json!(self.log.kept(Some(name), Level::Warn, since));
            self.change_job(&id, |job| {
                job.end(code.unwrap_or(BUG), &how);
                (job.output, job.log) = (output, log);
            });
            if let (Some(reply), Some(job)) = (reply, self.jobs.iter().find(|job| job.id == id)) {
                let _ = reply.send(Reply::ok(json!(job)));
            }
        }
        let tasks = self.fleet.ended(name, Ending { code, has_begun: true, reason: how }, clock, 0.0);
        self.carry_out(tasks);
    }

    fn change_job(&mut self, id: &str, change: impl FnOnce(&mut JobView)) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            change(job);
        }
    }

    /// The pipeline of a job was removed, or its client has gone, before the job began.
    pub(crate) fn drop_job(&mut self, job: Job, why: &str) {
        self.change_job(&job.id, |view| view.end(NOT_STARTED, why));
        if let Some(reply) = job.reply {
            let _ = reply.send(Reply::problem(409, why, ""));
        }
    }

    /// A job, or a choice of reports.
    pub(crate) fn job(&self, id: &str) -> Reply {
        let job = self.jobs.iter().find(|job| job.id == id).cloned();
        job.or_else(|| self.choice_view(id)).map_or_else(|| unknown_job(id), |job| Reply::ok(json!(job)))
    }

    /// Cancels a choice of reports that is not being sent.
    pub(crate) fn cancel(&mut self, id: &str) -> Reply {
        if self.jobs.iter().any(|job| job.id == id) {
            let detail = "only reports that are chosen and not sent yet can be cancelled; `scanbridge service stop` \
                          stops what is in progress";
            return Reply::problem(409, &format!("cannot cancel the job {id}"), detail);
        }
        self.cancel_choice(id).unwrap_or_else(|| unknown_job(id))
    }

    /// Ends the jobs whose clients have gone away. Returns how long the caller may sleep.
    pub(crate) fn end_abandoned_jobs(&mut self) -> Duration {
        let mut sleep = Duration::MAX;
        let mut abandoned = Vec::new();
        for (name, entry) in &mut self.entries {
            let Some(job) = entry.job.as_mut().filter(|job| !job.is_abandoned) else { continue };
            let Some(reply) = &job.reply else { continue };
            if reply.is_closed() {
                job.is_abandoned = true;
                abandoned.push(name.clone());
            } else {
                sleep = LOOK;
            }
        }
        let clock = self.clock();
        for name in abandoned {
            self.log.about(&name, Level::Info, "the client of the replay or purge of dead letters has gone");
            let tasks = self.fleet.cancel_job(&name, clock);
            self.carry_out(tasks);
            let is_over = self.fleet.get(&name).is_none_or(|machine| !machine.has_job());
            let job = self.entries.get_mut(&name).filter(|_| is_over).and_then(|entry| entry.job.take());
            if let Some(job) = job {
                self.drop_job(job, "the client has gone");
            }
        }
        sleep
    }
}

fn unknown_job(id: &str) -> Reply {
    let detail = "the service keeps jobs until it ends, and chosen reports until 20 later choices have ended";
    Reply::problem(404, &format!("no job `{id}`"), detail)
}
