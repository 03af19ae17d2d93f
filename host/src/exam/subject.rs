//! What all checks need: the plugin under test, directories, child processes, and what was seen in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scanbridge_plugin_api::{Descriptor, Fips, LocalCheck, PluginKind, Purpose, ReportKey};
use serde_json::{Map, Value};

use super::job::{Call, Instance, Job, Kill, Step};
use super::peer::Peer;
use super::process::{self, Ended, Trace};
use super::report::{Checked, Finding, not_examined};
use super::sinks::{self, Sinks};
use crate::config::ExamPlugin;

/// What is examined.
#[derive(Debug)]
pub(crate) struct Request {
    /// The library.
    pub(crate) library: PathBuf,
    /// The exam file.
    pub(crate) config: Option<PathBuf>,
    /// The only check, if one is named.
    pub(crate) only: Option<String>,
    /// Whether libraries that other users can replace are loaded.
    pub(crate) allow_world_writable: bool,
    /// The FIPS mode of the examined plugin.
    pub(crate) fips: Fips,
}

/// The exam of one library.
pub(super) struct Exam<'a> {
    pub(super) request: &'a Request,
    library: PathBuf,
    scratch: Scratch,
    sinks: Sinks,
    peer: Peer,
    /// Number of directories so far.
    spaces: usize,
    started: Instant,
}

/// Time after which no further check is begun.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// One plugin that is examined.
pub(super) struct Subject<'a> {
    pub(super) kind: PluginKind,
    pub(super) descriptor: &'a Descriptor,
    pub(super) exam: &'a ExamPlugin,
    pub(super) seen: Seen,
}

impl Subject<'_> {
    /// Whether the host calls `check` of an instance that is opened for `check`.
    pub(super) fn checks_locally(&self) -> bool {
        let local_check = match self.kind {
            PluginKind::Input => self.descriptor.input_capabilities().local_check,
            PluginKind::Output => self.descriptor.output_capabilities().local_check,
        };
        local_check == LocalCheck::Yes
    }
}

/// What was seen in any child of a plugin.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) printed: Option<String>,
    pub(super) leaked: Option<String>,
    pub(super) crashed: Option<String>,
    pub(super) hung: Option<String>,
}

/// A fresh directory for one run or for a run and those that resume it.
#[derive(Debug)]
pub(super) struct Space {
    root: PathBuf,
    jobs: std::cell::Cell<usize>,
}

impl Space {
    /// The directory `{dir}` of an instance.
    pub(super) fn dir(&self, instance: usize) -> PathBuf {
        self.root.join(if instance == 0 { "dir".to_owned() } else { format!("dir{instance}") })
    }

    /// The state directory of an instance.
    pub(super) fn state(&self, instance: usize) -> PathBuf {
        self.root.join(format!("state{instance}"))
    }

    /// A path of [`tree`](super::checks::general::tree).
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn next_job(&self) -> PathBuf {
        self.jobs.set(self.jobs.get() + 1);
        self.root.join(format!("job{}", self.jobs.get()))
    }
}

impl<'a> Exam<'a> {
    /// # Errors
    /// When a directory or a sink cannot be made.
    pub(super) fn new(request: &'a Request, library: PathBuf) -> io::Result<Self> {
        let (scratch, sinks) = (Scratch::create()?, Sinks::start()?);
        let peer = Peer::new(&scratch.0)?;
        Ok(Self { request, library, scratch, sinks, peer, spaces: 0, started: Instant::now() })
    }

    /// The text of an exam file with the placeholders replaced; `{dir}` by a marker.
    pub(super) fn in_text(&self, text: &str) -> String {
        let text = text.replace("{dir}", sinks::DIR).replace("{tcp}", &self.sinks.tcp());
        self.peer.in_text(&text.replace("{http}", &self.sinks.http()))
    }

    /// What the listeners and the peer have received since the last fresh directory, when all connections are closed.
    pub(super) fn received(&self) -> Vec<String> {
        let mut received = self.sinks.lines();
        received.extend(self.peer.received());
        received
    }

    /// Whether the plugin has sent anything. Requests of an input to its peer do not count.
    pub(super) fn has_sent(&self, subject: &Subject<'_>) -> bool {
        !self.sinks.is_silent() || subject.kind == PluginKind::Output && !self.peer.received().is_empty()
    }

    /// Ends the peer of the last plugin.
    pub(super) fn end_peer(&mut self) {
        self.peer.stop();
    }

    /// Starts the peer again, if the plugin has one.
    pub(super) fn restart_peer(&mut self, subject: &Subject<'_>, space: &Space) -> Checked {
        match &subject.exam.peer {
            Some(command) => self.peer.start(command, &space.dir(0)).map_err(Finding::NotExamined),
            None => Ok(()),
        }
    }

    /// Describes the plugins of the library in a child process.
    pub(super) fn describe(&mut self) -> io::Result<Trace> {
        let space = self.space()?;
        let job = Job {
            library: self.library.clone(),
            allow_world_writable: self.request.allow_world_writable,
            fips: self.request.fips,
            plugin: None,
            instances: Vec::new(),
            calls: Vec::new(),
            kill: None,
            journal: space.root.join("journal"),
            log: space.root.join("log"),
            delivered: None,
        };
        process::run(&job, &space.next_job())
    }

    pub(super) fn is_wanted(&self, id: &str) -> bool {
        self.request.only.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(id))
    }

    pub(super) fn time_left(&self, subject: &Subject<'_>) -> Checked {
        if let Some(hung) = &subject.seen.hung {
            return not_examined(format!("a call is too slow or did not return (G5): {hung}"));
        }
        if self.started.elapsed() > TIME_LIMIT {
            return not_examined(format!("the exam took more than {} s", TIME_LIMIT.as_secs()));
        }
        Ok(())
    }

    fn space(&mut self) -> io::Result<Space> {
        self.spaces += 1;
        let space = Space { root: self.scratch.0.join(self.spaces.to_string()), jobs: 0.into() };
        fs::create_dir_all(space.dir(0))?;
        fs::create_dir_all(space.dir(1))?;
        Ok(space)
    }

    /// A fresh directory. For an input, it contains the samples.
    pub(super) fn fresh(&mut self, subject: &Subject<'_>) -> Result<Space, Finding> {
        self.fresh_with(subject, subject.exam.samples.as_deref())
    }

    /// A fresh directory with these samples, under the name of the exam's samples.
    pub(super) fn fresh_with(
        &mut self,
        subject: &Subject<'_>,
        source: Option<&Path>,
    ) -> Result<Space, Finding> {
        let space = self.space().map_err(io_failed)?;
        for instance in [0, 1] {
            self.copy_samples(subject, source, &space, instance)?;
        }
        self.sinks.reset(&space.dir(0));
        self.restart_peer(subject, &space)?;
        Ok(space)
    }

    /// Copies samples to the place of the exam's samples, and removes what is there.
    pub(super) fn copy_samples(
        &self,
        subject: &Subject<'_>,
        source: Option<&Path>,
        space: &Space,
        instance: usize,
    ) -> Checked {
        let (Some(source), Some(samples)) = (source, &subject.exam.samples) else { return Ok(()) };
        let target = space.dir(instance).join(samples.file_name().unwrap_or_default());
        let copied = if target.is_dir() {
            fs::remove_dir_all(&target).and_then(|()| copy(source, &target, samples.is_dir()))
        } else {
            copy(source, &target, samples.is_dir())
        };
        copied.map_err(|error| {
            Finding::NotExamined(format!("the samples {} cannot be copied: {error}", source.display()))
        })
    }

    /// The options for an instance in this directory.
    pub(super) fn options(subject: &Subject<'_>, dir: &Path) -> Map<String, Value> {
        let replace = |value: &Value| in_dir(value, dir);
        subject.exam.options.iter().map(|(name, value)| (name.clone(), replace(value))).collect()
    }

    /// A path in this text that is in the exam's directory, but in none of a run.
    pub(super) fn foreign_path<'t>(&self, text: &'t str) -> Option<&'t str> {
        let root = format!("{}/", self.scratch.0.display());
        let rest = text.split(&root).skip(1).find(|rest| {
            let inside = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            !inside.starts_with("/dir") && !inside.starts_with("/state")
        })?;
        Some(rest.split(['"', '\n', ' ']).next().unwrap_or(rest))
    }

    /// Makes these calls in a child process. Instances other than 0 have their own directory.
    ///
    /// # Errors
    /// When the process ended or hung where it must not. That is recorded for G3, G4 and G5.
    pub(super) fn run(
        &self,
        subject: &mut Subject<'_>,
        space: &Space,
        calls: Vec<Call>,
        setup: Setup,
    ) -> Result<Trace, Finding> {
        self.time_left(subject)?;
        let instances = calls.iter().map(|call| call.instance + 1).max().unwrap_or(1);
        let instances = (0..instances).map(|instance| Instance {
            options: setup.options.clone().unwrap_or_else(|| Self::options(subject, &space.dir(instance))),
            state_folder: space.state(instance),
            purpose: setup.purpose,
            batch_bytes: (subject.kind == PluginKind::Input).then_some(SMALL_BATCH),
            reports: setup.reports.clone(),
        });
        let file = space.next_job();
        let job = Job {
            library: self.library.clone(),
            allow_world_writable: self.request.allow_world_writable,
            fips: self.request.fips,
            plugin: Some((subject.kind, subject.descriptor.name.clone())),
            instances: instances.collect(),
            calls,
            kill: setup.kill,
            journal: space.root.join(format!("{}.journal", file.display())),
            log: space.root.join(format!("{}.log", file.display())),
            delivered: subject.exam.delivered.clone(),
        };
        let trace = process::run(&job, &file).map_err(io_failed)?;
        subject.seen.look_at(&trace, &subject.exam.secrets);
        match &trace.ended {
            Ended::Completed => Ok(trace),
            Ended::Killed if setup.kill.is_some() => Ok(trace),
            Ended::Killed if job.calls.iter().any(|call| call.step == Step::Die) => Ok(trace),
            Ended::Killed => not_examined("the process was killed by the system"),
            Ended::Hung(call) => not_examined(format!("`{call}` did not return in time (G5)")),
            Ended::Crashed(how) => not_examined(format!("{how} (G4)")),
            Ended::Refused(reason) => not_examined(reason.clone()),
        }
    }
}

/// How the calls of [`Exam::run`] are made.
pub(super) struct Setup {
    pub(super) purpose: Purpose,
    pub(super) kill: Option<Kill>,
    /// Other options than those of the exam file.
    pub(super) options: Option<Map<String, Value>>,
    /// The only reports that an input reads.
    pub(super) reports: Option<Vec<ReportKey>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { purpose: Purpose::Exam, kill: None, options: None, reports: None }
    }
}

/// The batch size that is set for inputs: small samples then give several batches.
pub(super) const SMALL_BATCH: u64 = 4 << 10;

/// Calls of instance 0.
pub(super) fn calls(steps: impl IntoIterator<Item = Step>) -> Vec<Call> {
    steps.into_iter().map(|step| Call { instance: 0, step }).collect()
}

impl Seen {
    fn look_at(&mut self, trace: &Trace, secrets: &[String]) {
        match &trace.ended {
            Ended::Crashed(how) => {
                self.crashed.get_or_insert_with(|| how.clone());
            }
            Ended::Hung(call) => {
                self.hung.get_or_insert_with(|| format!("`{call}` did not return in time"));
            }
            // What a process that was ended or crashed prints last comes from the host.
            _ if !trace.printed.is_empty() && self.printed.is_none() => {
                let line = trace.printed.lines().next().unwrap_or_default();
                self.printed = Some(format!("the plugin printed `{line}`"));
            }
            _ => {}
        }
        for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
            let encoded = STANDARD.encode(secret);
            let leaked =
                trace.texts().into_iter().find(|text| text.contains(secret) || text.contains(&encoded));
            if let (Some(text), None) = (leaked, &self.leaked) {
                let line = text.lines().find(|line| line.contains(secret) || line.contains(&encoded));
                let line = line.unwrap_or(&text).replace(secret, "[secret]").replace(&encoded, "[secret]");
                self.leaked = Some(format!("the value of a secret option appears in `{line}`"));
            }
        }
    }

    /// What was seen against the promise of a check.
    pub(super) fn of(&self, id: &str) -> Option<String> {
        match id {
            "G3" => self.printed.clone().or_else(|| self.leaked.clone()),
            "G4" => self.crashed.clone(),
            "G5" => self.hung.clone(),
            _ => None,
        }
    }
}

fn in_dir(value: &Value, dir: &Path) -> Value {
    match value {
        Value::String(text) => Value::String(sinks::in_dir(text, dir)),
        Value::Array(items) => items.iter().map(|item| in_dir(item, dir)).collect(),
        other => other.clone(),
    }
}

fn io_failed(error: io::Error) -> Finding {
    Finding::NotExamined(format!("a directory or process could not be made: {error}"))
}

/// Copies a file or directory. With `into`, a file is put into the new directory `target`.
fn copy(source: &Path, target: &Path, into: bool) -> io::Result<()> {
    if source.is_dir() {
        fs::create_dir_all(target)?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            copy(&entry.path(), &target.join(entry.file_name()), false)?;
        }
        return Ok(());
    }
    let target = if into { target.join(source.file_name().unwrap_or_default()) } else { target.to_owned() };
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(source, target).map(drop)
}

/// A directory for everything that the exam writes; removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> io::Result<Self> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let path = std::env::temp_dir().join(format!("scanbridge-exam-{}-{since}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
