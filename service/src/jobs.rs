//! Jobs: a replay or purge of dead letters, in a process of its own between two runs of the pipeline. A client that goes
//! away ends its job.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;

use crate::api::unknown;
use crate::dead_letter_request::DeadLetterRequest;
use crate::fleet::Refusal;
use crate::job::Job;
use crate::log_sink::{KeptLine, Level};
use crate::machine::Ending;
use crate::request::Reply;
use crate::supervisor::Supervisor;

/// The result of a job.
#[derive(Debug, Serialize)]
struct Outcome {
    exit_code: u8,
    output: String,
    /// The warnings and errors of the pipeline since the request.
    log: Vec<KeptLine>,
}

/// How soon a client that has gone away is noticed.
const LOOK: Duration = Duration::from_millis(200);
/// Exit code of a process that a signal ended.
const BUG: u8 = 70;

impl Supervisor {
    /// Queues a job. The reply follows when it has ended.
    pub(crate) fn begin_job(
        &mut self,
        name: &str,
        request: DeadLetterRequest,
        reply: oneshot::Sender<Reply>,
    ) {
        let clock = self.clock();
        let begun = if self.fleet.is_draining() {
            Err(Refusal::Conflict("the service is stopping".to_owned()))
        } else {
            self.fleet.begin_job(name, clock)
        };
        let refused = match (begun, self.entries.get_mut(name)) {
            (Ok(tasks), Some(entry)) => {
                let (word, since) = (request.word(), self.log.last_number());
                entry.job = Some(Job { request, reply, since, is_abandoned: false });
                self.log.about(name, Level::Info, &format!("an operator requested: {word} of dead letters"));
                return self.carry_out(tasks);
            }
            (Err(Refusal::Conflict(why)), _) => {
                let what = format!("cannot {} dead letters of pipeline `{name}`", request.word());
                Reply::problem(409, &what, &why)
            }
            _ => unknown(name),
        };
        // The client may have gone.
        let _ = reply.send(refused);
    }

    pub(crate) fn start_job(&mut self, name: &str) {
        let Some(job) = self.entries.get(name).and_then(|entry| entry.job.as_ref()) else {
            return self.conclude_job(name, (Some(0), String::new()));
        };
        let mut command = job.request.arguments();
        command.extend(["--bundle".into(), self.store.accepted(name).into_os_string()]);
        self.log.about(name, Level::Debug, &format!("starting the {} of dead letters", job.request.word()));
        match self.start_process(name, command, true) {
            Ok(process) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.process = Some(process);
                }
            }
            Err(error) => self.conclude_job(name, (None, format!("cannot start the process: {error}"))),
        }
    }

    pub(crate) fn conclude_job(&mut self, name: &str, (code, how): (Option<u8>, String)) {
        let clock = self.clock();
        let Some(entry) = self.entries.get_mut(name) else { return };
        let output = entry.process.take().map(|process| process.run.output()).unwrap_or_default();
        if let Some(Job { request, reply, since, .. }) = entry.job.take() {
            let level = if code.is_some() { Level::Info } else { Level::Error };
            let result = code.map_or(how.clone(), |code| format!("exit code {code}"));
            self.log.about(name, level, &format!("{} of dead letters ended: {result}", request.word()));
            let log = self.log.kept(Some(name), Level::Warn, since);
            let outcome = Outcome { exit_code: code.unwrap_or(BUG), output, log };
            let _ = reply.send(Reply::ok(json!(outcome)));
        }
        let tasks = self.fleet.ended(name, Ending { code, has_begun: true, reason: how }, clock, 0.0);
        self.carry_out(tasks);
    }

    /// Ends the jobs whose clients have gone away. Returns how long the caller may sleep.
    pub(crate) fn end_abandoned_jobs(&mut self) -> Duration {
        let mut sleep = Duration::MAX;
        let mut abandoned = Vec::new();
        for (name, entry) in &mut self.entries {
            let Some(job) = entry.job.as_mut().filter(|job| !job.is_abandoned) else { continue };
            if job.reply.is_closed() {
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
            if let Some(entry) = self.entries.get_mut(&name).filter(|_| is_over) {
                entry.job = None;
            }
        }
        sleep
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn values_of_a_request_cannot_be_options() {
        let request: DeadLetterRequest = serde_json::from_value(json!({
            "command": "replay", "output": "--state-dir", "reason": "a b", "older_than_secs": 90, "format": "json",
            "definition": null,
        }))
        .unwrap();
        let expected = [
            "dead-letters",
            "replay",
            "--summary=json",
            "--output=--state-dir",
            "--reason=a b",
            "--older-than=90s",
        ];
        assert_eq!(request.arguments(), expected.map(OsString::from));
        for refused in [json!({}), json!({ "command": "list" }), json!({ "command": "purge", "file": "x" })] {
            assert!(serde_json::from_value::<DeadLetterRequest>(refused).is_err());
        }
    }
}
