//! One run as a child process: its socket on file descriptor 3, and its standard error.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use std::{io, thread};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::process::{Pid, Signal, kill_process};
use scanbridge_observe::{LineError, LineReader, RunEvent, ServiceRequest, write_line};

use crate::log_sink::{Level, Log, Origin};
use crate::message::Message;

/// A run that is in progress.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    requests: UnixStream,
    /// Number of the run, once it has reported it.
    number: Arc<AtomicU64>,
    /// Processor time, once the process has ended.
    cpu_micros: u64,
}

/// What the service gives to each run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [std::ffi::OsString],
    pub(crate) bundle: &'a Path,
    pub(crate) pipeline: &'a str,
    /// Number of this process among all that the service has started.
    pub(crate) process: u64,
    /// Whether it ends when its inputs have nothing to read.
    pub(crate) once: bool,
    /// What starts it.
    pub(crate) trigger: &'a str,
    pub(crate) restart: bool,
}

/// The file descriptor of the socket in the child.
const CHANNEL: i32 = 3;
/// A run that does not read its requests must not block the service.
const WRITE_LIMIT: Duration = Duration::from_millis(500);
/// Longer log lines are truncated.
const MAX_LOG_LINE: u64 = 64 * 1024;
/// The default of 2 MiB is reserved for each thread only, but shows in the size of the process.
const STACK: usize = 256 * 1024;

impl Run {
    /// Starts a run. Must be called from the thread that lives as long as the service: the run ends when the thread that
    /// started it ends.
    ///
    /// # Errors
    /// When the process or its threads cannot be started.
    pub(crate) fn start(
        start: Start<'_>,
        log: &Arc<Log>,
        messages: &SyncSender<Message>,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(WRITE_LIMIT))?;
        let mut command = Command::new(start.program);
        command
            .arg("run")
            .arg("--bundle")
            .arg(start.bundle)
            .args(["--supervised", &CHANNEL.to_string(), "--no-progress", "--log-format", "json"])
            .args(start.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.args(["--trigger", start.trigger]);
        if start.once {
            command.arg("--once");
        }
        if start.restart {
            command.arg("--restart");
        }
        // They are for the service alone.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"] {
            command.env_remove(name);
        }
        let mapping = FdMapping { parent_fd: OwnedFd::from(theirs), child_fd: CHANNEL };
        command.fd_mappings(vec![mapping]).map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        // Closes our copy of the child's end, so that its end of file is seen.
        drop(command);
        let number = Arc::new(AtomicU64::new(0));
        let stderr = child.stderr.take();
        let (requests, number_of_run) = (ours.try_clone()?, Arc::clone(&number));
        let run = Self { child, requests, number: number_of_run, cpu_micros: 0 };
        if let Some(stderr) = stderr {
            let (log, pipeline) = (Arc::clone(log), start.pipeline.to_owned());
            let read = move || copy_log(stderr, &log, &pipeline, &number);
            thread::Builder::new().name("log of a run".to_owned()).stack_size(STACK).spawn(read)?;
        }
        let (log, pipeline, messages) = (Arc::clone(log), start.pipeline.to_owned(), messages.clone());
        let process = start.process;
        let read = move || read_events(ours, process, &pipeline, &log, &messages);
        thread::Builder::new().name("events of a run".to_owned()).stack_size(STACK).spawn(read)?;
        Ok(run)
    }

    pub(crate) fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Sends a request. A run that cannot be reached is ended by the limit for its progress reports.
    pub(crate) fn send(&mut self, request: &ServiceRequest) {
        let _ = write_line(&mut self.requests, request);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The process is not reaped before `ended` is called, so its ID belongs to it.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// How the process ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let before = cpu_of_children();
        let ended = self.child.try_wait().ok().flatten();
        if ended.is_some() {
            self.cpu_micros = cpu_of_children().saturating_sub(before);
        }
        ended
    }

    /// Processor time in microseconds, once the process has ended.
    pub(crate) fn cpu_micros(&self) -> u64 {
        self.cpu_micros
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Processor time of all children that were waited for, in microseconds. `/proc` counts in hundredths of a second, and many
/// runs are shorter.
fn cpu_of_children() -> u64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return 0 };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    u64::try_from(micros).unwrap_or_default()
}

/// The exit code, or `None` and the signal in words.
pub(crate) fn ending(status: ExitStatus) -> (Option<u8>, String) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (u8::try_from(code).ok(), String::new()),
        (None, Some(signal)) => (None, format!("killed by signal {signal}")),
        (None, None) => (None, "ended for an unknown reason".to_owned()),
    }
}

fn read_events(stream: UnixStream, process: u64, pipeline: &str, log: &Log, messages: &SyncSender<Message>) {
    let mut reader = LineReader::new(BufReader::new(stream));
    let mut is_reported = false;
    loop {
        match reader.next::<RunEvent>() {
            Ok(Some(event)) => {
                let message = Message::Event { pipeline: pipeline.to_owned(), process, event };
                if messages.send(message).is_err() {
                    return;
                }
            }
            Ok(None) | Err(LineError::Io(_)) => break,
            Err(error) => {
                if !std::mem::replace(&mut is_reported, true) {
                    log.about(pipeline, Level::Warn, &format!("the run sends invalid events: {error}"));
                }
            }
        }
    }
    let _ = messages.send(Message::Closed { pipeline: pipeline.to_owned(), process });
}

fn copy_log(stream: impl Read, log: &Log, pipeline: &str, number: &AtomicU64) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(MAX_LOG_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let is_cut = line.last() != Some(&b'\n') && line.len() as u64 == MAX_LOG_LINE;
        while line.last().is_some_and(u8::is_ascii_whitespace) {
            line.pop();
        }
        if line.is_empty() {
            continue;
        }
        let run = Some(number.load(Ordering::Relaxed)).filter(|number| *number > 0);
        log.of_run(Origin { pipeline, run }, &line);
        if is_cut && reader.skip_until(b'\n').is_err() {
            return;
        }
    }
}
