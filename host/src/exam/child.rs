//! A child process of the exam: makes the calls of a job and writes a journal of them.

mod input;
mod journal;
mod output;
mod side;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::PluginKind;

use self::input::InputUnderTest;
use self::journal::Journal;
use self::output::OutputUnderTest;
use self::side::UnderTest;
use super::job::{Answer, Call, CallError, Description, Entry, Job, Kill, Returned, Step};
use super::sinks;
use crate::plugins::{FilePermissionCheck, Library};
use crate::telemetry::{self, LogFile};

/// Runs the job in this file. Exit code 0 if all calls were made, whatever they returned.
pub(crate) fn serve(path: &Path) -> u8 {
    let job = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Job>(&text).ok());
    let Some(job) = job else { return 64 };
    let files =
        File::create(&job.journal).and_then(|journal| Ok((journal, LogFile::open(&job.log, "scanbridge")?)));
    let Ok((journal, log)) = files else { return 73 };
    telemetry::start_into(tracing::Level::DEBUG, Box::new(log), None);
    let journal = Arc::new(Journal::new(journal));
    match load(&job) {
        Ok((library, description)) => {
            journal.add(&Entry::Loaded(description));
            if make_calls(&job, &library, &journal) {
                journal.add(&Entry::End);
            }
        }
        Err(reason) => journal.add(&Entry::Refused(reason)),
    }
    0
}

fn load(job: &Job) -> Result<(Library, Description), String> {
    let check =
        if job.allow_world_writable { FilePermissionCheck::Disabled } else { FilePermissionCheck::OwnerOnly };
    let library =
        Library::read(job.library.clone(), &job.library, check).map_err(|error| error.to_string())?;
    let library = library.in_mode(job.fips);
    let mut description = Description { descriptors: Vec::new(), faults: Vec::new() };
    for plugin in &library.identity().plugins {
        let fault = match (library.descriptor(plugin.kind, &plugin.name), plugin.kind) {
            (Ok(descriptor), kind) => {
                let json = serde_json::to_value(descriptor).expect("a descriptor can be serialized");
                description.descriptors.push(json);
                match kind {
                    PluginKind::Input => library.input_table(&plugin.name).err(),
                    PluginKind::Output => library.output_table(&plugin.name).err(),
                }
            }
            (Err(error), _) => Some(error),
        };
        description.faults.extend(fault.map(|error| (plugin.name.clone(), error.to_string())));
    }
    Ok((library, description))
}

/// Makes all calls. Returns false if a call hung; then no further call is made.
fn make_calls(job: &Job, library: &Library, journal: &Arc<Journal>) -> bool {
    let Some((kind, name)) = &job.plugin else { return true };
    match kind {
        PluginKind::Input => library.input_table(name).is_ok_and(|table| {
            let reports = library.reports_table(name).ok().flatten();
            let tables = (table, reports);
            let instances = job.instances.iter().map(|spec| InputUnderTest::new(tables, spec, journal));
            run(job, instances.collect(), journal)
        }),
        PluginKind::Output => library.output_table(name).is_ok_and(|table| {
            let render = library.render_table(name).ok().flatten();
            let instances = job.instances.iter().map(|spec| OutputUnderTest::new((table, render), spec));
            run(job, instances.collect(), journal)
        }),
    }
}

fn run<T: UnderTest>(job: &Job, mut instances: Vec<T>, journal: &Journal) -> bool {
    for (index, Call { instance, step }) in job.calls.iter().enumerate() {
        journal.add(&Entry::Begun(index));
        match job.kill.filter(|kill| kill.call == index) {
            Some(Kill { after: None, .. }) => die(),
            Some(Kill { after: Some(micros), .. }) => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_micros(micros));
                    die();
                });
            }
            None => {}
        }
        let started = Instant::now();
        let outcome = match step {
            Step::Die => die(),
            Step::Measure => Ok(Answer { usage: Some(settled_usage()), ..Answer::default() }),
            Step::Snapshot => Ok(snapshot(job)),
            Step::Level(level) => {
                instances[*instance].side().stop.raise(*level);
                Ok(Answer::default())
            }
            step => instances[*instance].call(index, step),
        };
        let hung = instances[*instance].side().is_hung();
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (value, error) = match outcome {
            Ok(value) => (value, None),
            Err(error) => (Answer::default(), Some(error)),
        };
        let error =
            error.map(|error| CallError { kind: error.kind, message: error.message, hint: error.hint });
        journal.add(&Entry::Returned(Box::new(Returned { call: index, micros, error, hung, value })));
        if job.kill.is_some_and(|kill| kill.call == index) {
            die();
        }
        if hung {
            return false;
        }
    }
    true
}

/// Ends this process as a power failure or the memory limit of the system would.
fn die() -> ! {
    let own = rustix::process::getpid();
    // The signal cannot be caught; the loop waits for it.
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    loop {
        thread::park();
    }
}

/// The smallest use of a short time: threads of closed instances are just ending.
fn settled_usage() -> (u64, u64, u64) {
    let sample = |_| {
        thread::sleep(Duration::from_millis(20));
        usage()
    };
    let samples: Vec<(u64, u64, u64)> = (0..25).map(sample).collect();
    let least = |of: fn(&(u64, u64, u64)) -> u64| samples.iter().map(of).min().unwrap_or_default();
    (least(|sample| sample.0), least(|sample| sample.1), least(|sample| sample.2))
}

/// Threads, open files and resident memory in KiB of this process; zero where the system does not tell.
fn usage() -> (u64, u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let files = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    (number("Threads:"), files, number("RssAnon:"))
}

fn snapshot(job: &Job) -> Answer {
    let [_, dir] = job.dirs();
    let records = job.delivered.as_ref().map(|records| sinks::delivered(records, &dir, &[]));
    Answer { records: records.and_then(Result::ok).unwrap_or_default(), ..Answer::default() }
}
