//! One run as a child process: its socket on file descriptor 3, and its standard error.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use std::{io, thread};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::process::{Pid, Signal, kill_process};
use scanbridge_observe::{FIPS_VARIABLE, LineError, LineReader, RunEvent, ServiceRequest, write_line};
use scanbridge_tls_policy::Policy;

use crate::log_sink::{Level, Log, Origin};
use crate::message::Message;

/// A run or a job that is in progress.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    requests: UnixStream,
    /// Number of the run, once it has reported it.
    number: Arc<AtomicU64>,
    /// Processor time, once the process has ended.
    cpu_micros: u64,
    /// Gets the standard output of a job when it has ended.
    output: Option<Receiver<Vec<u8>>>,
}

/// What the service starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    /// The command, with its options.
    pub(crate) command: &'a [OsString],
    pub(crate) pipeline: &'a str,
    /// Number of this process among all that the service has started.
    pub(crate) process: u64,
    /// Whether its standard output is kept.
    pub(crate) has_output: bool,
    /// The FIPS mode that it has at least.
    pub(crate) fips: Policy,
}

/// The file descriptor of the socket in the child.
const CHANNEL: i32 = 3;
/// A run that does not read its requests must not block the service.
const WRITE_LIMIT: Duration = Duration::from_millis(500);
/// Longer standard output of a job is truncated.
const MAX_OUTPUT: usize = 8 << 20;
/// A process that a plugin has left behind may keep standard output open; the end of a job does not wait for it.
const OUTPUT_LIMIT: Duration = Duration::from_millis(500);
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
            .args(start.command)
            .args(["--supervised", &CHANNEL.to_string(), "--log-format", "json"])
            .env(FIPS_VARIABLE, start.fips.word())
            .stdin(Stdio::null())
            .stdout(if start.has_output { Stdio::piped() } else { Stdio::null() })
            .stderr(Stdio::piped());
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
        let output = child.stdout.take().map(collect).transpose()?;
        let (requests, number_of_run) = (ours.try_clone()?, Arc::clone(&number));
        let run = Self { child, requests, number: number_of_run, cpu_micros: 0, output };
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

    /// The standard output of a job that has ended.
    pub(crate) fn output(&self) -> String {
        let bytes = self.output.as_ref().and_then(|output| output.recv_timeout(OUTPUT_LIMIT).ok());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

/// Reads a stream to its end in a thread.
fn collect(mut stream: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut bytes = Vec::new();
        let _ = stream.by_ref().take(MAX_OUTPUT as u64).read_to_end(&mut bytes);
        let cut = io::copy(&mut stream, &mut io::sink()).unwrap_or(0);
        if cut > 0 {
            bytes.extend(format!("\n… {cut} bytes more\n").into_bytes());
        }
        let _ = sender.send(bytes);
    };
    thread::Builder::new().name("output of a job".to_owned()).stack_size(STACK).spawn(read)?;
    Ok(receiver)
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
