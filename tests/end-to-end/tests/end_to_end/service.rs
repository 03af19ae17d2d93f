//! A running service with its control commands, as an operator uses them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// `scanbridge serve` in the directory of a sandbox, with the pipelines of its directory `pipelines`.
pub(crate) struct Service {
    process: Child,
}

/// Nothing in these tests takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Service {
    /// Starts the service and waits until it answers.
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        Self::start_with(sandbox, |_| {})
    }

    pub(crate) fn start_with(sandbox: &Sandbox, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = serve(sandbox, &[]);
        prepare(&mut command);
        let mut service = Self { process: command.stdout(Stdio::null()).spawn().unwrap() };
        let started = Instant::now();
        while control(sandbox, &["status"]).code == Some(69) {
            let ended = service.process.try_wait().unwrap();
            assert!(ended.is_none(), "the service ended: {ended:?}\n{}", log(sandbox));
            assert!(started.elapsed() < PATIENCE, "the service does not answer\n{}", log(sandbox));
            sleep(Duration::from_millis(20));
        }
        service
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends the service in order and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.process.wait().unwrap().code()
    }

    /// Kills the service at once.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A failed test must not leave processes behind: the runs end with the service.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `scanbridge serve pipelines`, with the plugin `Rogue` and a log file.
pub(crate) fn serve(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.host_with_rogue(&["serve", "pipelines", "--log-file", "service.log"]);
    command.args(arguments).env_remove("NOTIFY_SOCKET").env_remove("RUNTIME_DIRECTORY");
    command
}

/// The result of `scanbridge service …`.
pub(crate) fn control(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let mut all = vec!["service"];
    all.extend(arguments);
    let mut command = sandbox.program(installation::host(), &all);
    command.args(["--state-dir", "state"]).env_remove("RUNTIME_DIRECTORY");
    Outcome::of(command.output().unwrap())
}

/// A pipeline as `service status` shows it; null if there is none.
pub(crate) fn view(sandbox: &Sandbox, name: &str) -> Value {
    let outcome = control(sandbox, &["status", name, "--format", "json"]);
    let status: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    status["pipelines"][0].clone()
}

/// Waits until the pipeline looks like this.
#[track_caller]
pub(crate) fn wait_for(sandbox: &Sandbox, name: &str, is_reached: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let view = view(sandbox, name);
        if is_reached(&view) {
            return view;
        }
        assert!(started.elapsed() < PATIENCE, "{name} stays {view:#}\n{}", log(sandbox));
        sleep(Duration::from_millis(20));
    }
}

/// Waits until the pipeline has this state.
#[track_caller]
pub(crate) fn wait_for_state(sandbox: &Sandbox, name: &str, state: &str) -> Value {
    wait_for(sandbox, name, |view| view["state"] == state)
}

/// Writes a file of the directory `pipelines`, in one step.
pub(crate) fn write_pipeline(sandbox: &Sandbox, name: &str, text: &str) {
    std::fs::create_dir_all(sandbox.path("pipelines")).unwrap();
    let part = sandbox.write(&format!("pipelines/.{name}.part"), text);
    std::fs::rename(part, sandbox.path(&format!("pipelines/{name}.yaml"))).unwrap();
}

/// A pipeline that reads `scan.xml` and writes `NAME.csv`, with these further keys.
pub(crate) fn simple(name: &str, keys: &str) -> String {
    with_input(name, "{ path: scan.xml, settle_secs: 0 }", "", keys)
}

/// A pipeline with this input; `limit` are keys of its CSV output.
pub(crate) fn with_input(name: &str, input: &str, limit: &str, keys: &str) -> String {
    format!(
        "version: 1\n{keys}\ninputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {input} }}\n\
         outputs:\n  - {{ id: sheet, plugin: CSV, {limit} with: {{ path: {name}.csv }} }}\n"
    )
}

/// A sandbox with the smallest report, `scan.xml`.
pub(crate) fn sandbox_with_report() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::copy(installation::project_file("examples/reports/scan.xml"), sandbox.path("scan.xml")).unwrap();
    sandbox
}

pub(crate) fn log(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("service.log")).unwrap_or_default()
}

/// Status and body of the response to one request over the socket, with this body if there is one.
pub(crate) fn http(sandbox: &Sandbox, request: &str, body: &str) -> (String, String) {
    let mut stream = UnixStream::connect(sandbox.path("state/control.sock")).unwrap();
    let content = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    let text = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{content}\r\n{body}");
    stream.write_all(text.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}
