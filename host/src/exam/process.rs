//! Starts child processes of the exam and reads their journals.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::job::{Description, Entry, Job, Place, ReadStep, Returned, Step};
use crate::fips;

/// Time limit of one child. A call that hangs ends it much earlier.
const LIMIT: Duration = Duration::from_secs(90);

/// Stands for the directory of a run in what its child did.
pub(super) const DIR_IN_JOURNALS: &str = "{dir}";

/// What a child did.
#[derive(Debug)]
pub(super) struct Trace {
    steps: Vec<Step>,
    entries: Vec<Entry>,
    pub(super) ended: Ended,
    /// What the process has written to standard output and standard error.
    pub(super) printed: String,
    /// Log lines of the plugin.
    pub(super) log: String,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// All calls were made and the process has ended by itself.
    Completed,
    /// By its own SIGKILL.
    Killed,
    /// A call did not return.
    Hung(String),
    /// The process was ended, or crashed: where, and how.
    Crashed(String),
    /// The library cannot be loaded.
    Refused(String),
}

/// Runs a job in a child of this executable. `file` is where the job is written.
///
/// # Errors
/// When the process cannot be started.
pub(super) fn run(job: &Job, file: &Path) -> io::Result<Trace> {
    fs::write(file, serde_json::to_vec(job)?)?;
    let printed = file.with_extension("printed");
    let output = File::create(&printed)?;
    let mut command = Command::new(executable()?);
    fips::pass_on(&mut command, job.fips);
    let mut child = command
        .args(["plugin", "examine"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let since = Instant::now();
    let mut pause = Duration::from_micros(500);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if since.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let mut text = fs::read_to_string(&job.journal).unwrap_or_default();
    // The directories of two runs have different names; what a plugin says about them must be comparable.
    for dir in job.dirs() {
        text = text.replace(&dir.display().to_string(), DIR_IN_JOURNALS);
    }
    // A process that was killed while it wrote leaves a part of a line.
    let entries: Vec<Entry> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
    let steps: Vec<Step> = job.calls.iter().map(|call| call.step.clone()).collect();
    let ended = ended(status, &steps, &entries);
    let printed = fs::read(&printed).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let log = fs::read(&job.log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    Ok(Trace { steps, entries, ended, printed, log })
}

fn executable() -> io::Result<PathBuf> {
    std::env::current_exe()
}

fn ended(status: Option<ExitStatus>, steps: &[Step], entries: &[Entry]) -> Ended {
    let call = |index: usize| steps.get(index).map_or("the run", Step::name);
    let hung = entries.iter().find_map(|entry| match entry {
        Entry::Returned(returned) if returned.hung => Some(call(returned.call)),
        _ => None,
    });
    if let Some(call) = hung {
        return Ended::Hung(call.to_owned());
    }
    let last = match entries.last() {
        Some(Entry::End) => "its end, after the last call",
        Some(Entry::Begun(index) | Entry::Read(index, _)) => call(*index),
        Some(Entry::Returned(returned)) => call(returned.call),
        Some(Entry::Refused(reason)) => return Ended::Refused(reason.clone()),
        Some(Entry::Loaded(_)) => "the start, after the library was loaded",
        None => "the start, while the library was loaded",
    };
    let Some(status) = status else { return Ended::Hung(last.to_owned()) };
    match (status.code(), status.signal()) {
        (Some(0), _) if matches!(entries.last(), Some(Entry::End)) => Ended::Completed,
        (_, Some(libc::SIGKILL)) => Ended::Killed,
        (Some(code), _) => Ended::Crashed(format!("the process was ended in {last} (exit code {code})")),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Ended::Crashed(format!("the process crashed in {last} (signal {signal})"))
        }
    }
}

impl Trace {
    /// What the library says about itself.
    pub(super) fn description(&self) -> Option<&Description> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Loaded(description) => Some(description),
            _ => None,
        })
    }

    /// The calls that have returned, with what was called.
    pub(super) fn returned(&self) -> impl Iterator<Item = (&Step, &Returned)> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Returned(returned) => Some((self.steps.get(returned.call)?, &**returned)),
            _ => None,
        })
    }

    /// The first call that has failed, in words.
    pub(super) fn first_error(&self) -> Option<String> {
        self.returned().find_map(|(step, returned)| {
            let error = returned.error.as_ref()?;
            Some(format!("`{}` failed: {}", step.name(), error.message))
        })
    }

    /// The last receipt that a transaction has stored, and where a run continues with it.
    pub(super) fn last_transaction(&self) -> Option<(Option<Vec<u8>>, Place)> {
        let stored = self.returned().filter_map(|(_, returned)| {
            returned.value.place.map(|place| (returned.value.receipt.clone(), place))
        });
        stored.last()
    }

    /// The steps of an input, in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = &ReadStep> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Read(_, step) => Some(step),
            _ => None,
        })
    }

    /// All texts that came from the plugin: errors, hints, reasons, probe steps, log lines, receipts and positions.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts = vec![self.printed.clone(), self.log.clone()];
        for (_, returned) in self.returned() {
            if let Some(error) = &returned.error {
                texts.push(error.message.clone());
                texts.extend(error.hint.clone());
            }
            texts.extend(returned.value.steps.iter().chain(&returned.value.reasons).cloned());
            let receipt = returned.value.receipt.as_deref();
            texts.extend(receipt.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        }
        let positions = self.steps().filter_map(|step| step.position.as_deref());
        texts.extend(positions.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        texts
    }
}
