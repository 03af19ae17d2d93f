//! The writer that file outputs use.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, OutputCapabilities, PluginError, Receipt, Result, Verdict,
};

use crate::direct::{Direct, is_direct};
use crate::disk;
use crate::failure::{almost_full, cannot_create, folder_of, not_known_safe, refuse_existing};
use crate::leftover::{Disposition, Leftover};
use crate::lock::Lock;
use crate::name::{NameTemplate, name_of, piece_path};
use crate::publication::{highest_number, publish, remove_parts};
use crate::receipt::{FileState, Moment, Parts, Published, Record, Report, START_OVER, Stage, report_key};
use crate::series::{Series, last_existing};
use crate::target::{DateOf, IfExists, Target};

/// A file, or a series of pieces, to which reports are written one after the other.
///
/// Call order: `begin`, any number of `write` and `record_boundary`, `end`, `commit`, and, when the receipt is stored,
/// `stored`; `commit` also inside a report. Nothing is visible under a final name before `stored`.
///
/// Dropping the value removes its part files that are in no receipt. All others are kept for the value that is opened
/// with the receipt.
///
/// ```
/// # use scanbridge_plugin_api::model::ReportStart;
/// use scanbridge_durable_file::{ReportFile, StartMode, Target};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("out.csv");
/// let report = ReportStart::default();
/// let mut file = ReportFile::open(Target::new(&path), None)?;
/// if file.begin(&report, false)? == StartMode::Empty {
///     file.write(b"name,port\n")?;
/// }
/// file.write(b"www.example.com,443\n")?;
/// let receipt = file.commit(b"")?;
/// file.write(b"lost in a crash")?;
/// drop(file);
///
/// let mut file = ReportFile::open(Target::new(&path), Some(&receipt))?;
/// assert_eq!(file.begin(&report, true)?, StartMode::Continued(Vec::new()));
/// file.write(b"mail.example.com,25\n")?;
/// file.end(true)?;
/// let receipt = file.commit(b"")?;
/// assert!(!path.exists());
/// // The caller stores the receipt. Then:
/// file.stored()?;
/// let text = std::fs::read_to_string(&path).unwrap();
/// assert_eq!(text, "name,port\nwww.example.com,443\nmail.example.com,25\n");
/// # Ok::<(), scanbridge_plugin_api::PluginError>(())
/// ```
#[derive(Debug)]
pub struct ReportFile {
    target: Target,
    name: NameTemplate,
    /// What the run has done so far. Its stage is that of the last commit while a report is being written.
    record: Record,
    /// The caller's bytes in the receipt that this value was opened with.
    state: Vec<u8>,
    /// Identifies the current report.
    key: String,
    sink: Sink,
    direct: Option<Direct>,
    /// Whether the current report has a record.
    has_records: bool,
    /// Whether a report without a record is published: it makes a new file, or replaces one.
    publishes_empty: bool,
    /// What precedes the first record in a device or pipe, until there is one.
    head: Vec<u8>,
    /// One for each of the record's touched names. The last one is kept until another name is written.
    locks: Vec<Lock>,
    /// Parts with a higher number are named in no receipt.
    committed: u64,
    /// Whether the stage is in a receipt.
    is_stage_committed: bool,
    /// Whether an error has named the parts that stay.
    is_explained: bool,
}

/// The state of the file when a report begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartMode {
    /// A new, empty file, which needs its header.
    Empty,
    /// The end of an earlier report, in a file that has its header.
    Behind,
    /// The report's own beginning, as of the last commit, with the caller's bytes of that commit.
    Continued(Vec<u8>),
}

#[derive(Debug)]
enum Sink {
    /// Between two reports.
    Closed,
    Direct,
    Series(Box<Series>),
}

impl ReportFile {
    /// Checks the path and its directory. Without a receipt it changes no file. With the receipt of a report's end, it
    /// does what [`ReportFile::stored`] does. With the receipt of a report in progress, it locks the file; the report is
    /// resumed by [`ReportFile::begin`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid path, and for a receipt that is invalid or belongs to another path;
    /// [`ErrorKind::CannotCreate`] when the directory is missing or not writable, when the file must be new and
    /// exists, or when another process writes it; those of [`ReportFile::stored`].
    pub fn open(target: Target, receipt: Option<&Receipt>) -> Result<Self> {
        let (record, state) = match receipt {
            Some(receipt) => Record::read(receipt, &target)?,
            None => (Record::new(&target), Vec::new()),
        };
        let date = match target.date {
            DateOf::Run => Some(record.started.day().unwrap_or_default()),
            DateOf::Report => None,
        };
        let name = NameTemplate::parse(&target.path, date)?;
        let committed = record.number;
        let mut file = Self {
            target,
            name,
            record,
            state,
            key: String::new(),
            sink: Sink::Closed,
            direct: None,
            has_records: false,
            publishes_empty: false,
            head: Vec::new(),
            locks: Vec::new(),
            committed,
            is_stage_committed: true,
            is_explained: false,
        };
        for name in file.record.touched.clone() {
            file.lock(&name)?;
        }
        file.stored()?;
        file.check_place()?;
        Ok(file)
    }

    /// Begins a report. With `continued`, resumes the report in which the receipt was made that this value was opened
    /// with. A report that continues without such a receipt begins like any other, because nothing of it was committed
    /// here.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when a file cannot be created or another process writes it; [`ErrorKind::Io`] when
    /// copying the existing file fails, when another program has replaced it, or when the report cannot be resumed
    /// because the files that the receipt names no longer exist.
    pub fn begin(&mut self, report: &ReportStart, continued: bool) -> Result<StartMode> {
        if !matches!(self.sink, Sink::Closed) {
            return Err(PluginError::bug("plugin bug: a report started before the previous one ended"));
        }
        if matches!(self.record.stage, Stage::Sealed(_) | Stage::Withdrawn) {
            return Err(PluginError::bug(
                "plugin bug: a report started before the previous one was published",
            ));
        }
        let path = self.name.resolve(report);
        self.key = report_key(report);
        self.head.clear();
        self.has_records = false;
        self.publishes_empty = self.target.if_exists != IfExists::Append;
        if let Stage::Open(open) = &self.record.stage
            && continued
            && open.key == self.key
        {
            // The day in the name may be another one now.
            let path = self.name.beside(&open.name);
            self.sink = Sink::Series(Box::new(Series::resume(path, &open.parts, self.target.mode)?));
            self.has_records = true; // Perhaps; it is not in the receipt.
            return Ok(StartMode::Continued(std::mem::take(&mut self.state)));
        }
        if continued {
            warn!("cannot resume {}: the report continues, but no part of it was committed", path.display());
        }
        self.record.stage = Stage::Idle;
        if is_direct(&path) {
            return self.begin_direct(path);
        }
        refuse_folder(&path)?;
        let name = name_of(&path);
        self.lock(&name)?;
        self.record.touched.insert(name);
        self.locks.retain(|lock| self.record.touched.contains(lock.name()));
        self.record.number = self.record.number.saturating_add(1);
        let earlier = self.earlier(&path);
        let series = Series::begin(path, self.record.number, &self.target, earlier.as_ref())?;
        let mode = if series.is_empty() { StartMode::Empty } else { StartMode::Behind };
        self.publishes_empty &= mode == StartMode::Empty;
        self.sink = Sink::Series(Box::new(series));
        Ok(mode)
    }

    /// Appends complete records, buffered.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], for example when the disk is full. The report can then be resumed only from the last
    /// receipt.
    pub fn write(&mut self, records: &[u8]) -> Result<()> {
        self.has_records |= !records.is_empty();
        match (&mut self.sink, &mut self.direct) {
            (Sink::Series(series), _) => series.write(records),
            (Sink::Direct, Some(direct)) => {
                if !self.head.is_empty() && !records.is_empty() {
                    direct.write(&std::mem::take(&mut self.head))?;
                }
                direct.write(records)
            }
            _ => Err(no_report()),
        }
        .map_err(|error| self.explained(error))
    }

    /// Appends what precedes records, such as the names of the columns. A report that adds no record to a file adds none
    /// of this either.
    ///
    /// # Errors
    /// As in [`ReportFile::write`].
    pub fn write_head(&mut self, head: &[u8]) -> Result<()> {
        match &mut self.sink {
            Sink::Series(series) => series.write(head),
            Sink::Direct => {
                self.head.extend_from_slice(head);
                Ok(())
            }
            Sink::Closed => Err(no_report()),
        }
    }

    /// Between two records: begins the next piece when this one is full. Returns true when it began a new, empty
    /// piece.
    ///
    /// # Errors
    /// As in [`ReportFile::begin`] and [`ReportFile::write`].
    pub fn record_boundary(&mut self) -> Result<bool> {
        match &mut self.sink {
            Sink::Series(series) => series.rotate(&self.target),
            Sink::Direct => Ok(false),
            Sink::Closed => Err(no_report()),
        }
        .map_err(|error| self.explained(error))
    }

    /// Ends the report: synchronizes it to disk, or marks it for removal, also if it adds no record to a file. Both take
    /// effect in [`ReportFile::stored`], after a `commit`. A device or pipe has received everything when this returns.
    /// Returns whether it is published.
    ///
    /// # Errors
    /// As in [`ReportFile::write`].
    pub fn end(&mut self, deliver: bool) -> Result<bool> {
        self.is_stage_committed = false;
        let deliver = deliver && (self.has_records || self.publishes_empty);
        match std::mem::replace(&mut self.sink, Sink::Closed) {
            Sink::Closed => return Err(no_report()),
            Sink::Direct => {
                self.record.stage = Stage::Idle;
                if let Some(direct) = &mut self.direct {
                    if deliver {
                        direct.write(&self.head)?;
                    }
                    direct.flush()?;
                }
            }
            Sink::Series(series) if deliver => {
                let (key, path, parts) = (self.key.clone(), series.path().to_owned(), series.parts());
                let sealed = series.seal();
                let parts = sealed.map_err(|error| self.explain(error, &path, &parts))?;
                self.record.stage = Stage::Sealed(Report { key, name: name_of(&path), parts });
            }
            Sink::Series(_) => self.record.stage = Stage::Withdrawn,
        }
        Ok(deliver)
    }

    /// Synchronizes everything written so far to disk. Returns the receipt for a later [`ReportFile::open`], which
    /// restores this state. A few bytes of the caller are stored with it; [`StartMode::Continued`] returns them.
    ///
    /// # Errors
    /// As in [`ReportFile::write`].
    pub fn commit(&mut self, state: &[u8]) -> Result<Receipt> {
        let mut state = state;
        match (&mut self.sink, &mut self.direct) {
            (Sink::Series(series), _) => {
                let (key, name) = (self.key.clone(), name_of(series.path()));
                let committed = series.commit();
                let parts = committed.map_err(|error| self.explained(error))?;
                self.record.stage = Stage::Open(Report { key, name, parts });
            }
            (Sink::Direct, Some(direct)) => direct.flush()?,
            // The report of the receipt was not resumed yet, so it is as it was.
            _ if matches!(self.record.stage, Stage::Open(_)) => state = &self.state,
            _ => {}
        }
        let receipt = self.record.seal(state)?;
        self.committed = self.record.number;
        self.is_stage_committed = true;
        Ok(receipt)
    }

    /// The receipt of the last commit is stored: publishes the report that ended before it, and removes the part files
    /// of reports that are not delivered or were begun again. Does nothing after the receipt of a report in progress.
    /// It may be repeated, here or by [`ReportFile::open`] with the same receipt, whatever part of it was done.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when the file must be new and exists; [`ErrorKind::Io`] when another program has
    /// changed the file since the report began, or when the disk fails. The report then keeps its part files, and the
    /// call can be repeated.
    pub fn stored(&mut self) -> Result<()> {
        match &self.record.stage {
            Stage::Idle | Stage::Open(_) => return Ok(()),
            _ if !self.is_stage_committed => {
                return Err(PluginError::bug("plugin bug: a report was published before it was committed"));
            }
            Stage::Withdrawn => {}
            Stage::Sealed(Report { name, parts, .. }) => {
                let is_ours = self.record.published(name).is_some() || parts.copied.is_some();
                publish(&self.name.beside(name), parts, &self.target, is_ours)?;
            }
        }
        let folder = folder_of(&self.target.path);
        remove_parts(folder, &self.record.touched, 0)?;
        disk::sync_folder(folder).map_err(|error| not_known_safe(&self.target.path, folder, &error))?;
        self.record.touched.clear();
        if let Stage::Sealed(sealed) = std::mem::replace(&mut self.record.stage, Stage::Idle) {
            self.record.add_published(sealed);
        }
        Ok(())
    }

    /// The caller's bytes in the receipt cannot be read: the error to return after [`StartMode::Continued`].
    #[must_use]
    pub fn bad_state(&self, problem: &dyn fmt::Display) -> PluginError {
        let path = self.target.path.display();
        PluginError::config(format!("cannot resume: the saved receipt for {path} is corrupt: {problem}"))
            .with_hint(START_OVER)
    }

    /// What an output that writes this file can do.
    #[must_use]
    pub fn capabilities(&self) -> OutputCapabilities {
        self.target.capabilities()
    }

    /// The file that is being written, for messages; between two reports, the target as configured.
    #[must_use]
    pub fn path(&self) -> &Path {
        match (&self.sink, &self.direct) {
            (Sink::Series(series), _) => series.part(),
            (Sink::Direct, Some(direct)) => direct.path(),
            _ => &self.target.path,
        }
    }

    /// An error of the disk, with what was written so far.
    fn explained(&mut self, error: PluginError) -> PluginError {
        match &self.sink {
            Sink::Series(series) => {
                let (path, parts) = (series.path().to_owned(), series.parts());
                self.explain(error, &path, &parts)
            }
            Sink::Closed | Sink::Direct => error,
        }
    }

    fn explain(&mut self, error: PluginError, path: &Path, parts: &Parts) -> PluginError {
        let next = if parts.number > self.committed { Disposition::Removed } else { Disposition::Continued };
        self.is_explained = true;
        match Leftover::find(path, parts) {
            Some(leftover) => leftover.explain(error, next),
            None => error,
        }
    }

    /// The parts that stay for a later run.
    fn kept(&self) -> Option<(Leftover, Disposition)> {
        let (report, next) = match &self.record.stage {
            Stage::Open(report) => (report, Disposition::Continued),
            Stage::Sealed(report) if self.is_stage_committed => (report, Disposition::Published),
            Stage::Sealed(report) => (report, Disposition::Continued),
            Stage::Idle | Stage::Withdrawn => return None,
        };
        Some((Leftover::find(&self.name.beside(&report.name), &report.parts)?, next))
    }

    /// Whether a report could be written now, without writing anything: for [`Output::check`].
    ///
    /// [`Output::check`]: scanbridge_plugin_api::Output::check
    #[must_use]
    pub fn check(&self) -> CheckReport {
        let place = match self.target.path.to_str() {
            Some("-") => "standard output".to_owned(),
            _ => self.target.path.display().to_string(),
        };
        match self.check_place() {
            Ok(()) => {
                let report = CheckReport::default().step("file", Verdict::Ok, format!("{place} is writable"));
                if is_direct(&self.target.path) {
                    return report;
                }
                match almost_full(folder_of(&self.target.path)) {
                    Some(warning) => report.warning_step("free space", &warning.with_option("path")),
                    None => report,
                }
            }
            Err(error) => CheckReport::default().failed_step("file", &error.with_option("path")),
        }
    }

    fn begin_direct(&mut self, path: PathBuf) -> Result<StartMode> {
        let is_open = self.direct.as_ref().is_some_and(|direct| direct.path() == path);
        if !is_open {
            self.direct = Some(Direct::open(path)?);
        }
        self.sink = Sink::Direct;
        Ok(if is_open { StartMode::Behind } else { StartMode::Empty })
    }

    /// Locks the files of this name and takes a number above that of each part which exists.
    fn lock(&mut self, name: &str) -> Result<()> {
        if self.locks.iter().any(|lock| lock.name() == name) {
            return Ok(());
        }
        let folder = folder_of(&self.target.path);
        self.locks.push(Lock::take(folder, name)?);
        self.record.number = self.record.number.max(highest_number(folder, name)?);
        // What an interrupted run has left may be in a receipt.
        self.committed = self.committed.max(self.record.number);
        Ok(())
    }

    /// What this run has published at this path. If the record no longer contains it, its time tells.
    fn earlier(&self, path: &Path) -> Option<Published> {
        let name = name_of(path);
        if let Some(published) = self.record.published(&name) {
            return Some(published.clone());
        }
        if !self.record.forgot {
            return None;
        }
        let piece = last_existing(path, &self.target)?;
        let found = fs::symlink_metadata(piece_path(path, piece)).ok()?;
        let started = self.record.started;
        let file = FileState::of(&found);
        (Moment::from(found.modified().ok()?) >= started).then_some(Published { name, piece, file, started })
    }

    fn check_place(&self) -> Result<()> {
        let path = self.name.fixed();
        if path.as_deref().is_some_and(is_direct) {
            return Ok(());
        }
        let folder = folder_of(&self.target.path);
        rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| cannot_create(&self.target.path, &error.into()))?;
        let Some(path) = path else { return Ok(()) };
        refuse_folder(&path)?;
        match self.target.if_exists {
            IfExists::Fail if self.is_ours(&path) => Ok(()),
            IfExists::Fail => refuse_existing(&piece_path(&path, u32::from(self.target.rotate.is_on()))),
            IfExists::Replace | IfExists::Append => Ok(()),
        }
    }

    /// Whether this run has published a file under this name, or is about to.
    fn is_ours(&self, path: &Path) -> bool {
        let name = name_of(path);
        self.record.published(&name).is_some() || self.record.touched.contains(&name)
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if self.record.number > self.committed {
            // The next run removes what stays.
            let _ = remove_parts(folder_of(&self.target.path), &self.record.touched, self.committed);
        }
        if let Some((leftover, next)) = self.kept().filter(|_| !self.is_explained) {
            info!("{leftover} {next}");
        }
    }
}

/// For writers that build records piece by piece. Errors carry the [`PluginError`] inside.
impl io::Write for ReportFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    /// Does nothing: [`ReportFile::commit`] and [`ReportFile::end`] synchronize to disk.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refuse_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(PluginError::new(
            ErrorKind::CannotCreate,
            format!("cannot create {}: it is a directory", path.display()),
        ));
    }
    Ok(())
}

fn no_report() -> PluginError {
    PluginError::bug("plugin bug: write without an open report")
}
