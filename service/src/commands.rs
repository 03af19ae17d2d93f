//! `scanbridge service …`: sends requests to the service and prints its responses.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use hyper::Method;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use scanbridge_observe::{printable_lines, without_controls};
use serde_json::Value;

use crate::accepted::problem_in_words;
use crate::cli::{Common, ServiceCommand, TokenCommand};
use crate::client::{ClientError, LIMIT, Response, request, request_within, stream};
use crate::http::{NewToken, encoded};
use crate::install::install;
use crate::request::TapQuery;
use crate::serve::{find_socket, is_json};
use crate::table::{status_table, token_table};
use crate::terminal::{print, print_error};
use crate::uninstall::uninstall;

/// Executes a command and returns the exit code.
pub(crate) fn execute(command: ServiceCommand, common: &Common) -> u8 {
    let command = match command {
        ServiceCommand::Install(options) => return install(&options),
        ServiceCommand::Uninstall(options) => return uninstall(&options),
        command => command,
    };
    let socket = match find_socket(common) {
        Ok(socket) => socket,
        Err(refusal) => return refusal.print(),
    };
    let client = Client { socket, is_json: is_json(common) };
    client.execute(command).unwrap_or_else(|error| {
        print_error(&error.message);
        error.exit_code
    })
}

/// Shows samples of what a running pipeline writes. Returns the exit code.
pub(crate) fn tap(pipeline: &str, query: &TapQuery, common: &Common) -> u8 {
    let socket = match find_socket(common) {
        Ok(socket) => socket,
        Err(refusal) => return refusal.print(),
    };
    let client = Client { socket, is_json: is_json(common) };
    match client.tap(pipeline, query) {
        Ok(()) => 0,
        Err(error) => {
            print_error(&error.message);
            error.exit_code
        }
    }
}

struct Client {
    socket: PathBuf,
    is_json: bool,
}

/// Pause between two looks at the state.
const POLL: Duration = Duration::from_millis(250);
const WATCH: Duration = Duration::from_secs(2);
const FAILED: u8 = 65;
const PENDING: u8 = 75;
const REJECTED: u8 = 78;

impl Client {
    fn execute(&self, command: ServiceCommand) -> Result<u8, ClientError> {
        match command {
            ServiceCommand::Status { name, watch } => self.status(name.as_deref(), watch),
            ServiceCommand::Run { name, wait } => self.run(&name, wait),
            ServiceCommand::Pause { name } => self.act(&name, "pause"),
            ServiceCommand::Resume { name } => self.act(&name, "resume"),
            ServiceCommand::Stop { name } => self.act(&name, "stop"),
            ServiceCommand::Cancel { job } => {
                let route = format!("/api/v1/jobs/{}", encoded(&job));
                let cancelled = checked(request(&self.socket, &Method::DELETE, &route)?)?.body;
                self.print(&cancelled, || format!("job {job} is cancelled\n"));
                Ok(0)
            }
            ServiceCommand::Reload { all_or_nothing, now, wait } => self.reload(all_or_nothing, now, wait),
            ServiceCommand::Statistics => {
                let lines = self.post("/api/v1/statistics")?.body;
                self.print(&lines, || lines_of(&lines, |line| line.as_str().unwrap_or_default().to_owned()));
                Ok(0)
            }
            ServiceCommand::Log { name, lines, follow } => self.log(&name, lines, follow),
            ServiceCommand::Token(command) => self.token(command),
            ServiceCommand::LoginLink => self.login_link(),
            ServiceCommand::Install(_) | ServiceCommand::Uninstall(_) => Ok(0),
        }
    }

    fn status(&self, name: Option<&str>, watch: bool) -> Result<u8, ClientError> {
        loop {
            let service = self.get("/api/v1/service")?.body;
            let pipelines = match name {
                Some(name) => Value::Array(vec![self.get(&path(name, ""))?.body]),
                None => self.get("/api/v1/pipelines")?.body,
            };
            let both = serde_json::json!({ "service": service, "pipelines": pipelines });
            self.print(&both, || status_table(&both, &Zoned::now()));
            if !watch {
                let is_failed = |pipeline: &Value| {
                    let is_bad = matches!(pipeline["state"].as_str(), Some("held" | "invalid"));
                    is_bad || (pipeline["run"].is_null() && pipeline["last_run"]["status"] == "failed")
                };
                let is_any_failed = pipelines.as_array().is_some_and(|all| all.iter().any(is_failed));
                return Ok(if is_any_failed { FAILED } else { 0 });
            }
            thread::sleep(WATCH);
        }
    }

    fn run(&self, name: &str, wait: bool) -> Result<u8, ClientError> {
        let before = self.get(&path(name, ""))?.body["last_run"]["started"].clone();
        let view = self.post(&path(name, "run"))?.body;
        if !wait {
            self.print_state(&view);
            return Ok(0);
        }
        loop {
            let view = self.get(&path(name, ""))?.body;
            let last = &view["last_run"];
            if last["started"] != before && !last["ended"].is_null() {
                self.print_state(&view);
                // A process that a signal ended has no exit code; that counts as a bug.
                return Ok(last["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(70));
            }
            if matches!(view["state"].as_str(), Some("paused" | "held" | "invalid")) {
                self.print_state(&view);
                return Ok(PENDING);
            }
            thread::sleep(POLL);
        }
    }

    fn act(&self, name: &str, action: &str) -> Result<u8, ClientError> {
        let view = self.post(&path(name, action))?.body;
        self.print_state(&view);
        Ok(0)
    }

    fn reload(&self, all_or_nothing: bool, now: bool, wait: bool) -> Result<u8, ClientError> {
        let route = format!("/api/v1/reload?all_or_nothing={all_or_nothing}&now={now}");
        let report = self.post(&route)?.body;
        self.print(&report, || reload_in_words(&report));
        if report["rejected"].as_array().is_some_and(|list| !list.is_empty()) {
            return Ok(REJECTED);
        }
        if report["needs_restart"].as_array().is_some_and(|keys| !keys.is_empty()) {
            return Ok(PENDING);
        }
        loop {
            let pipelines = self.get("/api/v1/pipelines")?.body;
            let is_pending =
                pipelines.as_array().is_some_and(|all| all.iter().any(|one| one["pending"] == true));
            if !is_pending {
                return Ok(0);
            }
            if !wait {
                return Ok(PENDING);
            }
            thread::sleep(POLL);
        }
    }

    fn login_link(&self) -> Result<u8, ClientError> {
        let listener = self.get("/api/v1/service")?.body["listener"].take();
        let Some(url) = listener["url"].as_str() else {
            let message =
                "the service has no TCP listener; set `console.listen` in the service file".to_owned();
            return Err(ClientError { message, exit_code: 69, is_absent: false });
        };
        let link = self.post("/api/v1/login-links")?.body;
        let link = format!("{url}/login?link={}", link["link"].as_str().unwrap_or_default());
        self.print(&serde_json::json!({ "url": link }), || format!("{link}\n"));
        Ok(0)
    }

    fn token(&self, command: TokenCommand) -> Result<u8, ClientError> {
        match command {
            TokenCommand::Add { name, role, expires } => {
                let expires = expires.and_then(|lifetime| Timestamp::now().checked_add(lifetime).ok());
                let body = serde_json::json!(NewToken { name, role, expires }).to_string();
                let made = request_within(LIMIT, &self.socket, &Method::POST, ("/api/v1/tokens", body));
                let made = checked(made?)?.body;
                self.print(&made, || format!("{}\n", made["token"].as_str().unwrap_or_default()));
            }
            TokenCommand::List => {
                let tokens = self.get("/api/v1/tokens")?.body;
                self.print(&tokens, || token_table(&tokens, &Zoned::now()));
            }
            TokenCommand::Revoke { name } => {
                let route = format!("/api/v1/tokens/{}", encoded(&name));
                let revoked = checked(request(&self.socket, &Method::DELETE, &route)?)?.body;
                self.print(&revoked, || format!("the token `{name}` is revoked\n"));
            }
        }
        Ok(0)
    }

    fn log(&self, name: &str, lines: usize, follow: bool) -> Result<u8, ClientError> {
        let route = |since: u64| format!("/api/v1/log?pipeline={}&since={since}", encoded(name));
        let mut since = 0;
        let skip = |all: &[Value]| all.len().saturating_sub(lines);
        loop {
            let kept = self.get(&route(since))?.body;
            let all = kept.as_array().map_or(&[][..], Vec::as_slice);
            let first = if since == 0 { skip(all) } else { 0 };
            let shown = Value::Array(all[first..].to_vec());
            since = all.last().and_then(|line| line["number"].as_u64()).unwrap_or(since);
            if self.is_json {
                print(&lines_of(&shown, ToString::to_string));
            } else {
                print(&lines_of(&shown, log_line));
            }
            if !follow {
                return Ok(0);
            }
            thread::sleep(POLL);
        }
    }

    fn tap(&self, pipeline: &str, query: &TapQuery) -> Result<(), ClientError> {
        let name = self.name_of(pipeline)?;
        let TapQuery { output, count, seconds } = query;
        let output = output.as_ref().map(|id| format!("&output={}", encoded(id))).unwrap_or_default();
        let route = format!("{}?count={count}&seconds={seconds}{output}", path(&name, "tap"));
        let problem = stream(&self.socket, &route, |line| {
            print(&if self.is_json { format!("{line}\n") } else { tapped_in_words(line) });
        })?;
        problem.map_or(Ok(()), |response| checked(response).map(drop))
    }

    /// The name of a pipeline that is given by its name or its file.
    fn name_of(&self, pipeline: &str) -> Result<String, ClientError> {
        let Ok(file) = std::fs::canonicalize(pipeline) else { return Ok(pipeline.to_owned()) };
        let pipelines = self.get("/api/v1/pipelines")?.body;
        let is_of_file = |one: &&Value| {
            std::fs::canonicalize(one["file"].as_str().unwrap_or_default()).is_ok_and(|path| path == file)
        };
        let found = pipelines.as_array().into_iter().flatten().find(is_of_file);
        Ok(found.and_then(|one| one["name"].as_str()).unwrap_or(pipeline).to_owned())
    }

    fn get(&self, path: &str) -> Result<Response, ClientError> {
        checked(request(&self.socket, &Method::GET, path)?)
    }

    fn post(&self, path: &str) -> Result<Response, ClientError> {
        checked(request(&self.socket, &Method::POST, path)?)
    }

    fn print(&self, json: &Value, text: impl FnOnce() -> String) {
        print(&if self.is_json { format!("{json}\n") } else { text() });
    }

    fn print_state(&self, view: &Value) {
        self.print(view, || {
            let text = |name: &str| without_controls(view[name].as_str().unwrap_or_default());
            let reason = text("reason");
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            format!("{}: {}{reason}\n", text("name"), text("state"))
        });
    }
}

/// The response, or its error (RFC 9457).
pub(crate) fn checked(response: Response) -> Result<Response, ClientError> {
    if response.status < 400 {
        return Ok(response);
    }
    let text = |name: &str| printable_lines(response.body[name].as_str().unwrap_or_default());
    let detail = text("detail");
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let exit_code =
        response.body["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(69);
    Err(ClientError { message: format!("{}{detail}", text("title")), exit_code, is_absent: false })
}

pub(crate) fn path(name: &str, action: &str) -> String {
    let name = encoded(name);
    if action.is_empty() {
        format!("/api/v1/pipelines/{name}")
    } else {
        format!("/api/v1/pipelines/{name}/{action}")
    }
}

/// Percent encoding of all bytes that names of pipelines do not have.
fn reload_in_words(report: &Value) -> String {
    let mut text = String::new();
    for what in ["added", "changed", "removed", "unchanged"] {
        let names: Vec<&str> =
            report[what].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            text.push_str(&format!("{what}: {}\n", names.join(", ")));
        }
    }
    for key in report["needs_restart"].as_array().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        text.push_str(&format!("not applied: {key}\n"));
    }
    for pending in report["pending"].as_array().into_iter().flatten() {
        let field = |name: &str| pending[name].as_str().unwrap_or_default();
        text.push_str(&format!("pending: {} ({})\n", field("pipeline"), field("reason")));
    }
    for rejected in report["rejected"].as_array().into_iter().flatten() {
        text.push_str(&format!("rejected: {}\n", rejected["file"].as_str().unwrap_or_default()));
        for problem in rejected["problems"].as_array().into_iter().flatten() {
            let lines = printable_lines(&problem_in_words(problem)).replace('\n', "\n  ");
            text.push_str(&format!("  {lines}\n"));
        }
    }
    if text.is_empty() { "nothing to reload\n".to_owned() } else { text }
}

/// A record, each of its lines after the `id` of the output.
fn tapped_in_words(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    let output = without_controls(text("output"));
    if !text("omitted").is_empty() {
        return format!("{output}: (no record: {})\n", without_controls(text("omitted")));
    }
    text("rendered").lines().map(|line| format!("{output}: {}\n", without_controls(line))).collect()
}

pub(crate) fn log_line(line: &Value) -> String {
    let text = |name: &str| without_controls(line[name].as_str().unwrap_or_default());
    let instance = text("instance");
    let instance = if instance.is_empty() { String::new() } else { format!("{instance}: ") };
    let run = line["run"].as_u64().map(|run| format!("#{run}")).unwrap_or_default();
    let level = text("level").to_uppercase();
    format!("{} {level:>5} {}{run} {instance}{}", local(&text("time")), text("pipeline"), text("message"))
}

/// The time by the clock of the machine.
fn local(time: &str) -> String {
    let shown = |time: Timestamp| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    time.parse().map_or_else(|_| time.to_owned(), shown)
}

pub(crate) fn lines_of(list: &Value, line: impl Fn(&Value) -> String) -> String {
    list.as_array().into_iter().flatten().map(|entry| line(entry) + "\n").collect()
}
