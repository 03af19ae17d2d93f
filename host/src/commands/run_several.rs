//! `scanbridge run FILE FILE…`: each pipeline runs in a process of its own, as in the service, so that a plugin that crashes
//! or hangs ends one of them only.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write, stderr, stdout};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, thread};

use command_fds::{CommandFdExt, FdMapping};
use scanbridge_observe::{ServiceRequest, StopAt, write_line};

use super::run::{Follow, on_signal};
use super::summary::{print_failures, summary_only};
use super::terminal::print_error;
use crate::cli::SummaryFormat;
use crate::config::default_name;
use crate::exit_code::{INTERRUPTED, USAGE, worst};
use crate::pipeline::{ABORT, Asked, Failure, Head, Summary, Trigger};
use crate::telemetry;

/// `EX_SOFTWARE`: of a process that a signal ended.
const BUG: u8 = 70;
/// Pipelines that run at the same time, unless `--jobs` says otherwise.
const MAX_JOBS: usize = 4;
/// The file descriptor of the channel in the child.
const CHANNEL: i32 = 3;
/// Longer output of a run is not kept together: an output writes to standard output.
const MAX_GROUPED: usize = 256 << 10;
/// Longer log lines are split.
const MAX_LINE: u64 = 64 << 10;

/// What all runs share.
#[derive(Debug, Default)]
struct Shared {
    /// The last stop request.
    stop: Option<StopAt>,
    /// The channels to the runs in progress.
    channels: Vec<(usize, UnixStream)>,
}

type Locked = Arc<Mutex<Shared>>;

/// Runs the pipelines, at most `jobs` at the same time. Returns the exit code of the worst.
pub(super) fn run(files: &[PathBuf], jobs: Option<usize>, options: &Several<'_>) -> u8 {
    let follow = options.follow;
    if follow.report.is_some() || follow.metrics.is_some() || follow.supervised.is_some() {
        print_error("error: `--report` and `--metrics-file` are possible with a single FILE only\n");
        return USAGE;
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.unwrap_or(processors.min(MAX_JOBS));
    let shared = Locked::default();
    forward_signals(&shared);
    let (sender, ended) = channel();
    let mut waiting = files.iter().enumerate();
    let mut codes = Vec::with_capacity(files.len());
    let mut running = 0;
    loop {
        while running < jobs {
            let Some((number, file)) = waiting.next() else { break };
            // From this thread, which lives as long as the runs: they end when the thread that started them ends.
            match start(number, file, options, &shared, &sender) {
                Ok(()) => running += 1,
                Err(reason) => codes.push(not_run(file, reason, options)),
            }
        }
        if running == 0 {
            return worst(codes);
        }
        let (number, status): (usize, ExitStatus) = ended.recv().expect("this function has a sender");
        running -= 1;
        lock(&shared).channels.retain(|(known, _)| *known != number);
        codes.push(match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => code,
            None => {
                let how = status
                    .signal()
                    .map_or("an unknown reason".to_owned(), |signal| format!("signal {signal}"));
                let message = format!("the process of this pipeline was ended by {how}");
                not_run(&files[number], (message, BUG), options)
            }
        });
    }
}

/// The options of several runs.
#[derive(Debug)]
pub(super) struct Several<'a> {
    /// Those for each run.
    pub(super) arguments: Vec<OsString>,
    pub(super) summary: SummaryFormat,
    /// Whether the runs deliver nothing.
    pub(super) dry_run: bool,
    pub(super) follow: Follow<'a>,
}

/// Starts a run, and the threads that pass on its output and wait for its end.
fn start(
    number: usize,
    file: &Path,
    options: &Several<'_>,
    shared: &Locked,
    ended: &Sender<(usize, ExitStatus)>,
) -> Result<(), NotRun> {
    let cannot = |error: io::Error| (format!("cannot start a process for this pipeline: {error}"), BUG);
    let mut all = lock(shared);
    if all.stop.is_some() {
        return Err(("not started, because a stop was requested".to_owned(), INTERRUPTED));
    }
    let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
    let mut command = Command::new(env::current_exe().map_err(cannot)?);
    command
        .arg("run")
        .args(&options.arguments)
        .args(options.dry_run.then_some("--dry-run"))
        .args(["--no-progress", "--supervised", &CHANNEL.to_string(), "--"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Signals of the terminal reach this process only, which passes them on.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mapping = FdMapping { parent_fd: OwnedFd::from(theirs), child_fd: CHANNEL };
    command.fd_mappings(vec![mapping]).map_err(|error| cannot(io::Error::other(error)))?;
    let child = command.spawn().map_err(cannot)?;
    // Closes our copy of the child's end, so that its end of file is seen.
    drop(command);
    let events = ours.try_clone().map_err(cannot)?;
    all.channels.push((number, ours));
    drop(all);
    let (file, is_text, ended) = (file.to_owned(), options.summary == SummaryFormat::Text, ended.clone());
    thread::spawn(move || {
        let status = follow(child, events, &file, is_text);
        let _ = ended.send((number, status));
    });
    Ok(())
}

/// Passes on what a run prints. Returns how it ended.
fn follow(mut child: Child, mut events: UnixStream, file: &Path, is_text: bool) -> ExitStatus {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let name = default_name(file);
    let events = thread::spawn(move || io::copy(&mut events, &mut io::sink()));
    let log = thread::spawn(move || stderr.map(|stderr| copy_log(stderr, &name)));
    if let Some(stdout) = stdout {
        let heading = if is_text { format!("pipeline {}:\n", file.display()) } else { String::new() };
        copy_output(stdout, &heading);
    }
    let _ = (log.join(), events.join());
    // The process cannot have been waited for before.
    child.wait().unwrap_or_else(|_| ExitStatus::from_raw(i32::from(BUG) << 8))
}

/// Prints the output of one run together. Standard output has whole lines also if an output writes a lot to it.
fn copy_output(mut from: impl Read, heading: &str) {
    let mut kept = heading.as_bytes().to_vec();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => kept.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if kept.len() > MAX_GROUPED
            && let Some(end) = kept.iter().rposition(|byte| *byte == b'\n')
        {
            print(&kept[..=end]);
            kept.drain(..=end);
        }
    }
    if kept != heading.as_bytes() {
        print(&kept);
    }
}

fn print(bytes: &[u8]) {
    let mut stdout = stdout().lock();
    // A closed pipe ends no run.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Prints the log of a run line by line, in text with the name of the pipeline.
fn copy_log(from: impl Read, name: &str) {
    let prefix = if telemetry::is_json() { String::new() } else { format!("{name}: ") };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        line.extend_from_slice(prefix.as_bytes());
        match from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        let _ = stderr().lock().write_all(&line);
    }
}

/// Stops all runs with the first signal, and cancels their calls with the second.
fn forward_signals(shared: &Locked) {
    let shared = Arc::clone(shared);
    on_signal("; the next runs resume there", move |asked| {
        let mut all = lock(&shared);
        let request = match asked {
            Asked::Stop(ABORT) => ServiceRequest::Stop { at: StopAt::Now },
            Asked::Stop(_) => ServiceRequest::Stop { at: StopAt::Asset },
            Asked::StopAtReport => ServiceRequest::Stop { at: StopAt::Report },
            Asked::Statistics => ServiceRequest::Statistics {},
        };
        if let ServiceRequest::Stop { at } = request {
            all.stop = Some(at);
        }
        for (_, channel) in &mut all.channels {
            // A run that has ended needs no request.
            let _ = write_line(channel, &request);
        }
    });
}

/// Why a run printed no summary, and its exit code.
type NotRun = (String, u8);

/// Prints the summary of a pipeline whose run printed none. Returns its exit code.
fn not_run(file: &Path, (message, code): NotRun, options: &Several<'_>) -> u8 {
    let failure = Failure::of_command("run", &format!("{}: {message}", file.display()), None, code);
    let head = Head { dry_run: options.dry_run, ..Head::starting(file, Trigger::Command) };
    let summary = Summary::without_instances(head, vec![failure]);
    print_failures(&summary.failures, "");
    summary_only(&summary, options.summary)
}

fn lock(shared: &Locked) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
