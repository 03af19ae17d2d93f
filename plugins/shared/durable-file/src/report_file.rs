//! The writer that file outputs use.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::tracing::warn;
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, OutputCapabilities, PluginError, Receipt, Result, Verdict,
};

use crate::direct::{Direct, is_direct};
use crate::failure::{cannot_create, folder_of, refuse_existing};
use crate::interrupted::Interrupted;
use crate::name::{NameTemplate, name_of, piece_path};
use crate::pieces::Pieces;
use crate::receipt::{Record, ReportKey, START_OVER, UnderWay};
use crate::target::{IfExists, Target};

/// A file, or a series of pieces, to which reports are written one after the other.
///
/// Call order: `begin`, any number of `write` and `record_boundary`, `end`; `commit` at any time. Dropping the value
/// rolls back a report in progress, unless part of it was committed. A committed part is kept for the value that is
/// opened with its receipt.
///
/// ```
/// # use scanbridge_plugin_api::model::ReportStart;
/// use scanbridge_durable_file::{ReportFile, StartMode, Target};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("out.csv");
/// let mut file = ReportFile::open(Target::new(&path), None)?;
/// if file.begin(&ReportStart::default(), false)? == StartMode::Empty {
///     file.write(b"name,port\n")?;
/// }
/// file.write(b"www.example.com,443\n")?;
/// let receipt = file.commit(b"")?;
/// file.write(b"never to be seen")?;
/// drop(file);
/// assert!(!path.exists());
///
/// let mut file = ReportFile::open(Target::new(&path), Some(&receipt))?;
/// assert_eq!(file.begin(&ReportStart::default(), true)?, StartMode::Continued(Vec::new()));
/// file.write(b"mail.example.com,25\n")?;
/// file.end(true)?;
/// let text = std::fs::read_to_string(&path).unwrap();
/// assert_eq!(text, "name,port\nwww.example.com,443\nmail.example.com,25\n");
/// # Ok::<(), scanbridge_plugin_api::PluginError>(())
/// ```
#[derive(Debug)]
pub struct ReportFile {
    name: NameTemplate,
    sink: Sink,
    /// The current report.
    report: ReportKey,
    /// What the run has done so far, except for the current report.
    record: Record,
    /// The report that the receipt names, until the first report begins.
    interrupted: Option<Interrupted>,
    /// The committed part files of a report that was rolled back: a crash before the next commit needs them again.
    withdrawn: Option<Box<Pieces>>,
    direct: Option<Direct>,
    target: Target,
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
    Pieces(Box<Pieces>),
}

impl ReportFile {
    /// Checks the path and its directory. Without a receipt it changes no file yet; with one, it restores all files
    /// to their state at that receipt.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid path, and for a receipt that is invalid or belongs to another path;
    /// [`ErrorKind::CannotCreate`] when the directory is missing or not writable, when the file must be new and
    /// exists, or when another process writes it; [`ErrorKind::Io`] when what was written later cannot be rolled
    /// back.
    pub fn open(target: Target, receipt: Option<&Receipt>) -> Result<Self> {
        let (record, state) = match receipt {
            Some(receipt) => Record::read(receipt, &target)?,
            None => {
                let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
                (Record::new(&target, date), Vec::new())
            }
        };
        let name = NameTemplate::parse(&target.path, record.date.clone())?;
        let mut file = Self {
            name,
            sink: Sink::Closed,
            report: ReportKey::default(),
            record,
            interrupted: None,
            withdrawn: None,
            direct: None,
            target,
        };
        file.interrupted = Interrupted::recover(&mut file.record, state, &file.name, &file.target)?;
        file.check_place()?;
        Ok(file)
    }

    /// Begins a report, or resumes it. A report that resumes without a receipt that names it begins like any other,
    /// because nothing of it was committed here.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when the part file cannot be made or another process writes it; [`ErrorKind::Io`]
    /// when copying the existing file fails, or when the report cannot be resumed because the files that the receipt
    /// names no longer exist.
    pub fn begin(&mut self, report: &ReportStart, continued: bool) -> Result<StartMode> {
        if !matches!(self.sink, Sink::Closed) {
            return Err(PluginError::bug("plugin bug: a report started before the previous one ended"));
        }
        let path = self.name.resolve(report);
        let is_done = |pieces: &mut Box<Pieces>| pieces.path == path || !pieces.is_committed();
        if let Some(mut pieces) = self.withdrawn.take_if(is_done) {
            pieces.forget();
        }
        self.report = ReportKey::of(report);
        if let Some(interrupted) = self.interrupted.take() {
            if continued && interrupted.is(&self.report, &path) {
                return self.resume_report(interrupted, path);
            }
            interrupted.roll_back(&mut self.record, &self.name)?;
        }
        if continued {
            warn!("cannot resume {}: the report continues, but no part of it was committed", path.display());
        }
        if is_direct(&path) {
            return self.begin_direct(path);
        }
        refuse_folder(&path)?;
        let earlier = self.record.published.get(&name_of(&path));
        let pieces = Box::new(Pieces::begin(path, &self.target, earlier)?);
        let begun = if pieces.current.length() == 0 { StartMode::Empty } else { StartMode::Behind };
        self.sink = Sink::Pieces(pieces);
        Ok(begun)
    }

    /// Appends complete records, buffered.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], for example when the disk is full. The report can then be resumed only from the last
    /// receipt.
    pub fn write(&mut self, records: &[u8]) -> Result<()> {
        match (&mut self.sink, &mut self.direct) {
            (Sink::Pieces(pieces), _) => pieces.current.write(records),
            (Sink::Direct, Some(direct)) => direct.write(records),
            _ => Err(no_report()),
        }
    }

    /// Between two records: begins the next piece when this one is full. Returns true when it began a new, empty
    /// piece.
    ///
    /// # Errors
    /// As in [`ReportFile::begin`] and [`ReportFile::write`].
    pub fn record_boundary(&mut self) -> Result<bool> {
        match &mut self.sink {
            Sink::Pieces(pieces) => pieces.rotate(&self.target),
            Sink::Direct => Ok(false),
            Sink::Closed => Err(no_report()),
        }
    }

    /// Ends the report: synchronizes it to disk and renames it to its final name, or rolls it back.
    ///
    /// # Errors
    /// As in [`ReportFile::write`]; the file then keeps the content it had before this report. Of a series of pieces,
    /// the new names are removed again. Only if the directory cannot be synchronized after the rename, the new file
    /// stays under its final name; the message says so. In each case the report can be resumed from the last receipt.
    pub fn end(&mut self, deliver: bool) -> Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Closed) {
            Sink::Closed => Err(no_report()),
            Sink::Direct => self.direct.as_mut().map_or(Ok(()), Direct::flush),
            Sink::Pieces(pieces) if deliver => {
                let name = name_of(&pieces.path);
                let published = pieces.publish(self.target.if_exists)?;
                self.record.published.insert(name, published);
                Ok(())
            }
            Sink::Pieces(pieces) => {
                self.withdrawn = pieces.is_committed().then_some(pieces);
                Ok(())
            }
        }
    }

    /// Synchronizes everything written so far to disk. Returns the receipt for a later [`ReportFile::open`], which
    /// restores this state. A few bytes of the caller are stored with it; [`StartMode::Continued`] returns them.
    ///
    /// A report is delivered exactly once whenever the crash comes, if there is one commit at least between its
    /// `begin` and its `end`. Without one, a crash between `end` and the storing of the next receipt leaves a
    /// file that nothing is known of: `append` adds the report to it again, `fail` refuses it.
    ///
    /// # Errors
    /// As in [`ReportFile::write`].
    pub fn commit(&mut self, state: &[u8]) -> Result<Receipt> {
        self.record.under_way = match (&mut self.sink, &mut self.direct) {
            (Sink::Pieces(pieces), _) => Some(UnderWay {
                report: self.report.clone(),
                name: name_of(&pieces.path),
                series: Some(pieces.commit()?),
            }),
            (Sink::Direct, Some(direct)) => {
                direct.flush()?;
                let name = direct.path().to_string_lossy().into_owned();
                Some(UnderWay { report: self.report.clone(), name, series: None })
            }
            // No report has begun yet, so the interrupted report is unchanged.
            _ => self.interrupted.as_ref().map(|interrupted| interrupted.under_way.clone()),
        };
        if let Some(pieces) = &mut self.withdrawn {
            pieces.forget();
        }
        let state = self.interrupted.as_ref().map_or(state, |interrupted| &interrupted.state);
        self.record.seal(state)
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
            (Sink::Pieces(pieces), _) => pieces.current.path(),
            (Sink::Direct, Some(direct)) => direct.path(),
            _ => &self.target.path,
        }
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
            Ok(()) => CheckReport::default().step("file", Verdict::Ok, format!("{place} is writable")),
            Err(error) => CheckReport::default().failed_step("file", &error),
        }
    }

    /// Resumes the report that was interrupted.
    fn resume_report(&mut self, mut interrupted: Interrupted, path: PathBuf) -> Result<StartMode> {
        let state = std::mem::take(&mut interrupted.state);
        match interrupted.into_pieces()? {
            Some(pieces) => self.sink = Sink::Pieces(pieces),
            None => {
                warn!("{}: records since the last checkpoint may be written twice", path.display());
                self.begin_direct(path)?;
            }
        }
        Ok(StartMode::Continued(state))
    }

    fn begin_direct(&mut self, path: PathBuf) -> Result<StartMode> {
        if self.direct.as_ref().is_none_or(|direct| direct.path() != path) {
            self.direct = Some(Direct::open(path.clone())?);
        }
        self.sink = Sink::Direct;
        let is_known = self.record.direct.as_ref() == Some(&path);
        self.record.direct = Some(path);
        Ok(if is_known { StartMode::Behind } else { StartMode::Empty })
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
        self.record.published.contains_key(&name)
            || self.interrupted.as_ref().is_some_and(|interrupted| interrupted.under_way.name == name)
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
