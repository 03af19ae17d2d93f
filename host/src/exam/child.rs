//! A child process of the exam: makes the calls of a job and writes a journal of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::{API, InputHandle, InputTable2, OutputHandle, OutputTable2};
use scanbridge_plugin_api::batch::{Columns, DefinitionTable, RawBatch2, Selection, ValidBatch};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, ErrorKind, Event, InputCapabilities, OpenFrame, Outcome,
    OutputCapabilities, PluginError, PluginKind, Position, Receipt, ReportKey, Stored, StoredReport, Written,
};

use super::job::{
    Answer, Call, CallError, Description, Entry, Instance, Job, Kill, Place, ReadBatch, ReadEvent, ReadStep,
    Resume, Returned, Step,
};
use super::material;
use super::sinks;
use crate::pipeline::{Stop, check_rows};
use crate::plugins::context::Context;
use crate::plugins::guard::Caller;
use crate::plugins::instance_thread::{CallLimits, InstanceThread};
use crate::plugins::{FilePermissionCheck, Library};
use crate::state::InstanceKeys;
use crate::telemetry;

/// Time without progress after which a call counts as hanging.
const HANG: Duration = Duration::from_secs(8);

/// Runs the job in this file. Exit code 0 if all calls were made, whatever they returned.
pub(crate) fn serve(path: &Path) -> u8 {
    let job = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Job>(&text).ok());
    let Some(job) = job else { return 64 };
    let files = File::create(&job.journal).and_then(|journal| Ok((journal, File::create(&job.log)?)));
    let Ok((journal, log)) = files else { return 73 };
    telemetry::start_into(tracing::Level::DEBUG, Mutex::new(log), None::<fn() -> io::Sink>);
    let journal = Arc::new(Journal(Mutex::new(journal)));
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

struct Journal(Mutex<File>);

impl Journal {
    /// Adds a line with one system call: it survives SIGKILL.
    fn add(&self, entry: &Entry) {
        let mut line = serde_json::to_vec(entry).expect("an entry can be serialized");
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line).expect("the journal can be written");
    }
}

fn load(job: &Job) -> Result<(Library, Description), String> {
    let check =
        if job.allow_world_writable { FilePermissionCheck::Disabled } else { FilePermissionCheck::OwnerOnly };
    let library =
        Library::read(job.library.clone(), &job.library, check).map_err(|error| error.to_string())?;
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
            let instances = job.instances.iter().map(|spec| InputUnderTest::new(table, spec, journal));
            run(job, instances.collect(), journal)
        }),
        PluginKind::Output => library.output_table(name).is_ok_and(|table| {
            let instances = job.instances.iter().map(|spec| OutputUnderTest::new(table, spec));
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
                instances[*instance].stop().raise(*level);
                Ok(Answer::default())
            }
            step => instances[*instance].call(index, step),
        };
        let hung = instances[*instance].is_hung();
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

/// An instance of a plugin, with the host's side of it.
trait UnderTest {
    fn stop(&self) -> &Arc<Stop>;
    fn is_hung(&self) -> bool;
    fn call(&mut self, index: usize, step: &Step) -> Result<Answer, PluginError>;
}

/// The host's side of an instance.
struct Side<H> {
    frame: Arc<OpenFrame>,
    stop: Arc<Stop>,
    context: &'static Context,
    limits: CallLimits,
    thread: Option<InstanceThread<H>>,
}

impl<H: Send + 'static> Side<H> {
    fn new(spec: &Instance) -> Self {
        let mut frame = OpenFrame::default();
        API.clone_into(&mut frame.api);
        frame.host = format!("Scanbridge {}", env!("CARGO_PKG_VERSION"));
        "exam".clone_into(&mut frame.pipeline);
        "exam".clone_into(&mut frame.instance);
        frame.run = 1;
        frame.purpose = spec.purpose;
        frame.options.clone_from(&spec.options);
        frame.state_folder.clone_from(&spec.state_folder);
        frame.limits.hang_ms = u64::try_from(HANG.as_millis()).unwrap_or(u64::MAX);
        if let Some(bytes) = spec.batch_bytes {
            frame.limits.batch_bytes = bytes;
        }
        let stop = Arc::new(Stop::default());
        let keys = InstanceKeys::new("exam", None, spec.purpose);
        let caller = Caller::new("the examined plugin".to_owned(), None);
        let context = Context::leaked(keys, caller, &stop);
        Self { frame: Arc::new(frame), stop, context, limits: CallLimits::of(HANG), thread: None }
    }

    fn call<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Option<H>) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let (context, limits) = (self.context, self.limits);
        self.thread.get_or_insert_with(|| InstanceThread::start("exam", context)).call(name, limits, work)
    }

    /// Stores the keys of the instance together with this position or receipt, as the ledger does.
    fn save_keys(&self, at: &[u8]) -> Result<(), PluginError> {
        let keys = self.context.keys();
        let mut stored = BTreeMap::new();
        for name in keys.list("")? {
            stored.insert(name.clone(), keys.get(&name)?);
        }
        let json = serde_json::to_vec(&stored).expect("keys can be serialized");
        fs::write(self.keys_at(at), json).map_err(|error| io_error(&error))
    }

    /// Restores the keys that were stored together with this position or receipt.
    fn restore_keys(&self, at: &[u8]) -> Result<(), PluginError> {
        let path = self.keys_at(at);
        if !path.exists() {
            return Ok(());
        }
        let json = fs::read(path).map_err(|error| io_error(&error))?;
        let stored: BTreeMap<String, Option<Vec<u8>>> =
            serde_json::from_slice(&json).map_err(|error| PluginError::bug(error.to_string()))?;
        let keys = self.context.keys();
        for name in keys.list("")? {
            keys.change(&name, None)?;
        }
        stored.iter().try_for_each(|(name, value)| keys.change(name, value.as_deref()))
    }

    fn keys_at(&self, at: &[u8]) -> PathBuf {
        let folder = self.frame.state_folder.parent().unwrap_or(Path::new("."));
        folder.join(format!(".keys-{:032x}", xxhash_rust::xxh3::xxh3_128(at)))
    }

    fn is_hung(&self) -> bool {
        self.thread.as_ref().is_some_and(InstanceThread::is_hung)
    }
}

fn io_error(error: &io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("cannot store the keys: {error}"))
}

fn not_open() -> PluginError {
    PluginError::config("the exam called a function of an instance that is not open")
}

struct OutputUnderTest {
    table: OutputTable2,
    side: Side<OutputHandle>,
    /// The last receipt, and the last one that a transaction has stored.
    committed: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
    batches: u64,
}

impl OutputUnderTest {
    fn new(table: OutputTable2, spec: &Instance) -> Self {
        Self { table, side: Side::new(spec), committed: None, stored: None, batches: 0 }
    }

    fn with<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut OutputHandle) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        self.side.call(name, move |handle| work(handle.as_mut().ok_or_else(not_open)?))
    }

    fn open(&mut self, resume: &Resume) -> Result<Answer, PluginError> {
        let receipt = match resume {
            Resume::Fresh => None,
            Resume::Last => self.stored.clone(),
            Resume::From(bytes) => Some(bytes.clone()),
        };
        self.stored.clone_from(&receipt);
        if let Some(receipt) = &receipt {
            self.side.restore_keys(receipt)?;
        }
        let (table, frame, host) = (self.table, Arc::clone(&self.side.frame), self.side.context.table());
        let receipt = receipt.map(Receipt);
        let output = self.side.call("open", move |handle| {
            let opened = OutputHandle::open(table, &frame, receipt.as_ref(), host)?;
            let capabilities = opened.capabilities();
            *handle = Some(opened);
            Ok(capabilities)
        })?;
        Ok(Answer { output, ..Answer::default() })
    }
}

impl UnderTest for OutputUnderTest {
    fn stop(&self) -> &Arc<Stop> {
        &self.side.stop
    }

    fn is_hung(&self) -> bool {
        self.side.is_hung()
    }

    fn call(&mut self, _: usize, step: &Step) -> Result<Answer, PluginError> {
        match *step {
            Step::Open(ref resume) => self.open(resume),
            Step::Check => self.with("check", OutputHandle::check).map(|report| checked(&report)),
            Step::Begin { report, continued, partial, has_gap } => {
                let how = if partial { Begin::PARTIAL } else { Begin::NEW };
                let how = how.with_continued(continued).with_gap(has_gap);
                self.with("begin", move |output| output.begin(&material::start(report), how))?;
                Ok(Answer::default())
            }
            Step::Write { report, from, to } => {
                self.batches += 1;
                let (number, batch) = (self.batches, material::batch(report, from, to));
                let written =
                    self.with("write", move |output| output.write(&batch, Selection::default(), number))?;
                Ok(Answer { rows: u64::from(to - from), ..accounted(written) })
            }
            Step::End { complete, deliver } => {
                let reason = if complete { String::new() } else { "truncated by the exam".to_owned() };
                let end = ReportEnd { complete, deliver, reason, ..ReportEnd::default() };
                self.with("end", move |output| output.end(&end)).map(accounted)
            }
            Step::Commit { between_reports } => {
                let at = if between_reports { CommitPoint::BetweenReports } else { CommitPoint::InReport };
                let committed = self.with("commit", move |output| output.commit(at))?;
                self.committed = committed.receipt.map(|receipt| receipt.0);
                let late = committed.late_rejected.iter().map(|(row, _)| row.row).collect();
                Ok(Answer {
                    rejected: late,
                    retry: committed.late_retry.iter().map(|row| row.row).collect(),
                    reasons: committed.late_rejected.into_iter().map(|(_, reason)| reason).collect(),
                    receipt: self.committed.clone(),
                    derived: committed.derived,
                    bytes: committed.bytes,
                    ..Answer::default()
                })
            }
            Step::Transaction(place) => {
                self.stored.clone_from(&self.committed);
                if let Some(receipt) = &self.stored {
                    self.side.save_keys(receipt)?;
                }
                Ok(Answer { receipt: self.stored.clone(), place: Some(place), ..Answer::default() })
            }
            Step::Publish => {
                let receipt = Receipt(self.stored.clone().unwrap_or_default());
                self.with("stored", move |output| output.stored(&receipt))?;
                Ok(Answer::default())
            }
            Step::Close => {
                self.side.call("close", |handle| handle.take().map_or(Ok(()), OutputHandle::close))?;
                self.side.thread = None;
                Ok(Answer::default())
            }
            _ => Err(not_open()),
        }
    }
}

fn accounted(written: Written) -> Answer {
    Answer {
        rejected: written.rejected.iter().map(|rejection| rejection.row).collect(),
        reasons: written.rejected.into_iter().map(|rejection| rejection.reason).collect(),
        retry: written.retry,
        left_out: written.left_out,
        derived: written.derived,
        bytes: written.bytes,
        ..Answer::default()
    }
}

fn checked(report: &CheckReport) -> Answer {
    let steps = report.steps.iter().map(|step| format!("{}: {:?}: {}", step.name, step.verdict, step.detail));
    Answer { steps: steps.collect(), ..Answer::default() }
}

struct InputUnderTest {
    table: InputTable2,
    side: Side<InputHandle>,
    journal: Arc<Journal>,
    columns: Arc<Columns>,
    definitions: DefinitionTable,
    recycled: RawBatch2,
    report: Option<ReportKey>,
    position: Option<Vec<u8>>,
    /// Reports that have ended since the last call of `stored`.
    ended: Vec<ReportKey>,
}

impl InputUnderTest {
    fn new(table: InputTable2, spec: &Instance, journal: &Arc<Journal>) -> Self {
        Self {
            table,
            side: Side::new(spec),
            journal: Arc::clone(journal),
            columns: Arc::new(Columns::of(Default::default())),
            definitions: DefinitionTable::default(),
            recycled: RawBatch2::default(),
            report: None,
            position: None,
            ended: Vec::new(),
        }
    }

    fn with<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut InputHandle) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        self.side.call(name, move |handle| work(handle.as_mut().ok_or_else(not_open)?))
    }

    fn open(&mut self, resume: &Resume) -> Result<Answer, PluginError> {
        let position = match resume {
            Resume::Fresh => None,
            Resume::Last => self.position.clone(),
            Resume::From(bytes) => Some(bytes.clone()),
        };
        if let Some(position) = &position {
            self.side.restore_keys(position)?;
        }
        let (table, frame, host) = (self.table, Arc::clone(&self.side.frame), self.side.context.table());
        let position = position.map(Position);
        let (input, schema) = self.side.call("open", move |handle| {
            let opened = InputHandle::open(table, &frame, position.as_ref(), host)?;
            let answer = (opened.capabilities(), opened.schema().clone());
            *handle = Some(opened);
            Ok(answer)
        })?;
        self.columns = Arc::new(Columns::of(schema));
        self.definitions = DefinitionTable::default();
        Ok(Answer { input, ..Answer::default() })
    }

    /// Reads until this number of positions has come, or the input has nothing more.
    fn read(&mut self, index: usize, positions: Option<usize>) -> Result<Answer, PluginError> {
        let mut seen = 0;
        while positions.is_none_or(|positions| seen < positions) {
            let recycled = std::mem::take(&mut self.recycled);
            let step = self.with("next", move |input| input.next(recycled))?;
            let position = step.position.map(|position| position.0);
            seen += usize::from(position.is_some());
            if let Some(position) = &position {
                self.side.save_keys(position)?;
                self.position = Some(position.clone());
            }
            let event = self.event(step.event);
            let is_last = matches!(event, ReadEvent::Idle | ReadEvent::Finished);
            let finished = matches!(event, ReadEvent::Finished);
            self.journal.add(&Entry::Read(index, ReadStep { position, event }));
            if is_last {
                return Ok(Answer { finished, ..Answer::default() });
            }
        }
        Ok(Answer::default())
    }

    fn event(&mut self, event: Event) -> ReadEvent {
        match event {
            Event::ReportStart { start, continued } => {
                let ReportStart { id, path, time, revision, .. } = &*start;
                let (id, path, time, revision) = (id.clone(), path.clone(), time.clone(), revision.clone());
                self.report = Some(ReportKey { input: "exam".to_owned(), id, path, time, revision });
                self.columns = Arc::new(Columns::of_report(&ReportStart {
                    schema: self.columns.schema().clone(),
                    ..(*start).clone()
                }));
                let fault = start.source.fault().map(|fault| format!("a report without {fault}"));
                let mut report = serde_json::to_value(&*start).expect("a report can be serialized");
                report.as_object_mut().map(|report| report.remove("schema"));
                ReadEvent::Start { report, continued, fault }
            }
            Event::Batch(batch) => ReadEvent::Batch(self.batch(batch)),
            Event::ReportEnd(end) => {
                self.ended.extend(self.report.take());
                ReadEvent::End { complete: end.complete, reason: end.reason, deliver: end.deliver }
            }
            Event::Refused(refusal) => {
                ReadEvent::Refused { path: refusal.path, message: refusal.error.to_string() }
            }
            Event::Mark => ReadEvent::Mark,
            Event::Idle(_) => ReadEvent::Idle,
            _ => ReadEvent::Finished,
        }
    }

    fn batch(&mut self, mut raw: RawBatch2) -> ReadBatch {
        let bytes = 4 * (raw.assets.len() + raw.findings.len());
        let mut read = ReadBatch { bytes: raw.text.len().max(bytes) as u64, ..ReadBatch::default() };
        let valid = self
            .definitions
            .resolve(&mut raw, self.columns.schema())
            .and_then(|definitions| ValidBatch::new(raw, definitions, Arc::clone(&self.columns)));
        let batch = match valid {
            Ok(batch) => batch,
            Err(error) => return ReadBatch { invalid: Some(error.to_string()), ..read },
        };
        let report = check_rows(&batch, |_| {});
        if report.invalid.total() > 0 {
            read.faults.push(report.invalid.to_string());
        }
        if report.odd_cells.total() > 0 {
            read.faults.push(format!("not of the form of their column: {}", report.odd_cells));
        }
        let schema = self.columns.schema();
        batch.read(|view| {
            for asset in view.assets() {
                let cells: Vec<&str> =
                    (0..schema.assets.len()).map(|column| asset.column(Some(column))).collect();
                read.assets.push((cells.join("\t"), asset.is_continued()));
            }
            let rows = view.findings().map(|finding| finding.asset().row());
            read.in_order = rows.is_sorted();
            let mut scratch = String::new();
            for finding in view.findings() {
                let (asset, definition) = (finding.asset(), finding.definition());
                let mut cells = vec![format!("{} {}", asset.address(), definition.id())];
                cells.extend(
                    view.columns()
                        .finding_columns()
                        .into_iter()
                        .map(|(name, column)| format!("{name}={}", finding.printed(column, &mut scratch))),
                );
                let assets = schema.assets.iter().enumerate();
                cells.extend(
                    assets.map(|(column, of)| format!("asset.{}={}", of.name, asset.column(Some(column)))),
                );
                let definitions = schema.definitions.iter().enumerate();
                cells.extend(definitions.map(|(column, of)| {
                    format!("definition.{}={}", of.name, definition.column(Some(column)))
                }));
                cells.retain(|cell| !cell.ends_with('='));
                read.findings.push(cells.join(" | "));
            }
        });
        self.recycled = batch.into_raw();
        read
    }
}

impl UnderTest for InputUnderTest {
    fn stop(&self) -> &Arc<Stop> {
        &self.side.stop
    }

    fn is_hung(&self) -> bool {
        self.side.is_hung()
    }

    fn call(&mut self, index: usize, step: &Step) -> Result<Answer, PluginError> {
        match step {
            Step::Open(resume) => self.open(resume),
            Step::Check => self.with("check", InputHandle::check).map(|report| checked(&report)),
            Step::Read { positions } => self.read(index, *positions),
            Step::Confirm { outcome } => {
                let outcome: Outcome =
                    serde_json::from_value(outcome.as_str().into()).expect("an outcome is a word");
                let reports = std::mem::take(&mut self.ended);
                let reports =
                    reports.into_iter().map(|key| StoredReport { key, outcome, dead_letters: 0 }).collect();
                let position = Position(self.position.clone().unwrap_or_default());
                let stored = Stored { position, reports };
                self.with("stored", move |input| input.stored(&stored))?;
                Ok(Answer::default())
            }
            Step::Close => {
                self.side.call("close", |handle| handle.take().map_or(Ok(()), InputHandle::close))?;
                self.side.thread = None;
                Ok(Answer::default())
            }
            _ => Err(not_open()),
        }
    }
}

/// The place after a whole report.
pub(super) fn after(report: u32) -> Place {
    Place { report: report + 1, finding: 0 }
}

/// What an instance can do: its answer, at most what its plugin has declared.
pub(super) fn output_capabilities(answer: &Answer, declared: OutputCapabilities) -> OutputCapabilities {
    answer.output.map_or(declared, |answer| answer.at_most(declared))
}

/// As [`output_capabilities`], for an input.
pub(super) fn input_capabilities(answer: &Answer, declared: InputCapabilities) -> InputCapabilities {
    answer.input.map_or(declared, |answer| answer.at_most(declared))
}
