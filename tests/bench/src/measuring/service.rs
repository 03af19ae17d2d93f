//! A running service for measurements: `scanbridge serve` with pipelines of its own, asked over its socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Stage, StageError};

/// A service in a directory of its own. It ends with the measurement.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) folder: PathBuf,
    process: Child,
}

/// What the operating system says about the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) resident_mib: f64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) cpu_secs: f64,
}

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

impl Service {
    /// Starts the service with pipelines, each a name and its text, and waits until it answers.
    pub(super) fn start(stage: &Stage, pipelines: &[(String, String)]) -> Result<Self, StageError> {
        Self::start_with(stage, pipelines, &[], |_| Ok(()))
    }

    /// Like [`start`](Self::start), with further arguments. `prepare` gets the directory with the pipelines before the start.
    pub(super) fn start_with(
        stage: &Stage,
        pipelines: &[(String, String)],
        arguments: &[&str],
        prepare: impl FnOnce(&Path) -> Result<(), StageError>,
    ) -> Result<Self, StageError> {
        let folder = stage.folder.join("service");
        let failed = |error: std::io::Error| StageError::new(folder.display(), error);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("pipelines")).map_err(failed)?;
        for (name, text) in pipelines {
            fs::write(folder.join(format!("pipelines/{name}.yaml")), text).map_err(failed)?;
        }
        prepare(&folder)?;
        let mut command = Command::new(stage.executables.join("scanbridge"));
        command
            .args(["serve", "pipelines", "--state-dir", "state", "--log-file", "service.log"])
            .args(arguments);
        command.current_dir(&folder).env_remove("RUNTIME_DIRECTORY").env_remove("NOTIFY_SOCKET");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(failed)?;
        let service = Self { folder, process };
        let started = Instant::now();
        while service.get("/health/live").is_err() {
            if started.elapsed() > PATIENCE {
                return Err(StageError::new("the service", "it does not answer"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    pub(super) fn get(&self, path: &str) -> Result<String, StageError> {
        self.ask("GET", path)
    }

    pub(super) fn post(&self, path: &str) -> Result<String, StageError> {
        self.ask("POST", path)
    }

    /// The pipelines as the service shows them.
    pub(super) fn pipelines(&self) -> Result<Vec<Value>, StageError> {
        let text = self.get("/api/v1/pipelines")?;
        serde_json::from_str(&text).map_err(|error| StageError::new("pipelines of the service", error))
    }

    /// Waits until the pipeline looks like this.
    pub(super) fn wait(&self, name: &str, is_reached: impl Fn(&Value) -> bool) -> Result<Value, StageError> {
        let started = Instant::now();
        loop {
            let text = self.get(&format!("/api/v1/pipelines/{name}"))?;
            let view: Value = serde_json::from_str(&text).unwrap_or_default();
            if is_reached(&view) {
                return Ok(view);
            }
            if started.elapsed() > PATIENCE * 5 {
                return Err(StageError::new(format!("pipeline {name}"), view));
            }
            sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn post_json(&self, path: &str, body: &Value) -> Result<String, StageError> {
        self.ask_with("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str) -> Result<String, StageError> {
        self.ask_with(method, path, "")
    }

    /// The body of the response.
    fn ask_with(&self, method: &str, path: &str, body: &str) -> Result<String, StageError> {
        let request = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.folder.join("state/control.sock"))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let length = body.len();
            let content = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{content}");
            stream.write_all(head.as_bytes())?;
            let mut response = String::new();
            stream.read_to_string(&mut response)?;
            Ok(response)
        };
        let response = request().map_err(|error| StageError::new(path, error))?;
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        if head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
            return Ok(body.to_owned());
        }
        Err(StageError::new(path, response))
    }

    pub(super) fn usage(&self) -> Result<Usage, StageError> {
        let folder = PathBuf::from(format!("/proc/{}", self.process.id()));
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).map_err(|error| StageError::new("the service", error))
        };
        let status = read("status")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        let descriptors = fs::read_dir(folder.join("fd")).map_or(0, |files| files.count() as u64);
        // Nanoseconds on a processor, of each thread.
        let threads =
            fs::read_dir(folder.join("task")).map_err(|error| StageError::new("the service", error))?;
        let nanoseconds: u64 = threads
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        Ok(Usage {
            resident_mib: number("VmRSS:") as f64 / 1024.0,
            descriptors,
            threads: number("Threads:"),
            cpu_secs: Duration::from_nanos(nanoseconds).as_secs_f64(),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // SIGTERM would wait for its runs, which end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A pipeline that reads a report and writes a CSV file, with these further keys.
pub(super) fn pipeline(name: &str, report: &str, keys: &str) -> (String, String) {
    let text = format!(
        "version: 1\n{keys}\ninputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {{ path: {report:?}, settle_secs: 0 }} }}\n\
         outputs:\n  - {{ id: sheet, plugin: CSV, with: {{ path: {name}.csv }} }}\n"
    );
    (name.to_owned(), text)
}
