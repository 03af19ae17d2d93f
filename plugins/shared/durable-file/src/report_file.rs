//! The type that file outputs hold.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Verdict};

use crate::direct::{Direct, is_direct};
use crate::failure::{cannot_create, folder_of};
use crate::name::{NameTemplate, piece_path};
use crate::pieces::{Pieces, Published, refuse_existing};
use crate::target::{IfExists, Target};

/// A file, or a series of pieces, that takes reports one after the other.
///
/// Calls come in the order `begin`, any number of `write` and `record_boundary`, `end`; `sync` at any time. A
/// value that is dropped while a report is under way takes that report back.
///
/// ```
/// # use scanbridge_plugin_api::model::ReportStart;
/// use scanbridge_durable_file::{ReportFile, Target};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("out.csv");
/// let mut file = ReportFile::open(Target::new(&path))?;
/// if file.begin(&ReportStart::default())? {
///     file.write(b"name,port\n")?;
/// }
/// file.write(b"www.example.com,443\n")?;
/// assert!(!path.exists());
/// file.end(true)?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "name,port\nwww.example.com,443\n");
/// # Ok::<(), scanbridge_plugin_api::PluginError>(())
/// ```
#[derive(Debug)]
pub struct ReportFile {
    name: NameTemplate,
    sink: Sink,
    /// What this run has published, by path.
    published: HashMap<PathBuf, Published>,
    direct: Option<Direct>,
    target: Target,
}

#[derive(Debug)]
enum Sink {
    /// Between two reports.
    Closed,
    Direct,
    Pieces(Box<Pieces>),
}

impl ReportFile {
    /// Checks the path and its folder. Touches no file yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a path that cannot be one; [`ErrorKind::CannotCreate`] when its folder is not
    /// there or not writable, or when the file must be new and is not.
    pub fn open(target: Target) -> Result<Self> {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        let name = NameTemplate::parse(&target.path, date)?;
        let file = Self { name, sink: Sink::Closed, published: HashMap::new(), direct: None, target };
        file.check_place()?;
        Ok(file)
    }

    /// A report begins. Gives true when a new, empty file was begun, which wants its header.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when the part file cannot be made or another process writes it;
    /// [`ErrorKind::Io`] when the copy of what was there before fails.
    pub fn begin(&mut self, report: &ReportStart) -> Result<bool> {
        if !matches!(self.sink, Sink::Closed) {
            return Err(PluginError::bug("a report begins before the last one has ended"));
        }
        let path = self.name.resolve(report);
        if is_direct(&path) {
            return self.begin_direct(path);
        }
        refuse_folder(&path)?;
        let earlier = self.published.get(&path).copied();
        let mut pieces = Box::new(Pieces::begin(path, &self.target, earlier)?);
        let is_new = pieces.current().length() == 0;
        self.sink = Sink::Pieces(pieces);
        Ok(is_new)
    }

    /// Appends whole records, buffered.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], for example when the disk is full. The report cannot be delivered any more.
    pub fn write(&mut self, records: &[u8]) -> Result<()> {
        match (&mut self.sink, &mut self.direct) {
            (Sink::Pieces(pieces), _) => pieces.current().write(records),
            (Sink::Direct, Some(direct)) => direct.write(records),
            _ => Err(no_report()),
        }
    }

    /// Between two records: begins the next piece when this one is full. Gives true when a new, empty piece
    /// was begun.
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

    /// Ends the report: brings it to the disk and gives it its name, or takes it back.
    ///
    /// # Errors
    /// As in [`ReportFile::write`]; the file then keeps what it had before this report. Of a series of pieces the
    /// names that were new are taken back. Only when the folder cannot be brought to the disk, after the rename,
    /// does the new file stand under its name; the message says so.
    pub fn end(&mut self, deliver: bool) -> Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Closed) {
            Sink::Closed => Err(no_report()),
            Sink::Direct => self.direct.as_mut().map_or(Ok(()), Direct::flush),
            Sink::Pieces(pieces) if deliver => {
                let path = pieces.path().to_owned();
                let published = pieces.publish(self.target.if_exists)?;
                self.published.insert(path, published);
                Ok(())
            }
            Sink::Pieces(pieces) => {
                drop(pieces);
                Ok(())
            }
        }
    }

    /// Brings everything written so far to the disk, under its part name while the report is under way. Gives
    /// the length of the piece; 0 between two reports.
    ///
    /// # Errors
    /// As in [`ReportFile::write`].
    pub fn sync(&mut self) -> Result<u64> {
        match (&mut self.sink, &mut self.direct) {
            (Sink::Pieces(pieces), _) => {
                pieces.current().sync()?;
                Ok(pieces.current().length())
            }
            (Sink::Direct, Some(direct)) => {
                direct.flush()?;
                Ok(direct.length())
            }
            _ => Ok(0),
        }
    }

    /// The file that is being written, for messages; between two reports the target as the operator wrote it.
    #[must_use]
    pub fn path(&self) -> &Path {
        match (&self.sink, &self.direct) {
            (Sink::Pieces(pieces), _) => pieces.current_path(),
            (Sink::Direct, Some(direct)) => direct.path(),
            _ => &self.target.path,
        }
    }

    /// Whether a report could be written now, without writing anything: for [`Output::check`].
    ///
    /// [`Output::check`]: scanbridge_plugin_api::Output::check
    #[must_use]
    pub fn check(&self) -> CheckReport {
        let place = self.target.path.display();
        match self.check_place() {
            Ok(()) => CheckReport::default().step("file", Verdict::Ok, format!("{place} can be written")),
            Err(error) => CheckReport::default().step("file", Verdict::Failed, error.message),
        }
    }

    fn begin_direct(&mut self, path: PathBuf) -> Result<bool> {
        self.sink = Sink::Direct;
        if self.direct.as_ref().is_some_and(|direct| direct.path() == path) {
            return Ok(false);
        }
        self.sink = Sink::Closed;
        self.direct = Some(Direct::open(path)?);
        self.sink = Sink::Direct;
        Ok(true)
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
            IfExists::Fail => refuse_existing(&piece_path(&path, u32::from(self.target.rotate.is_on()))),
            IfExists::Replace | IfExists::Append => Ok(()),
        }
    }
}

/// For writers that build records piece by piece. Errors carry the [`PluginError`] inside.
impl io::Write for ReportFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    /// Does nothing: [`ReportFile::sync`] and [`ReportFile::end`] say when bytes have to be on the disk.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refuse_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(PluginError::new(
            ErrorKind::CannotCreate,
            format!("cannot create {}: it is a folder", path.display()),
        ));
    }
    Ok(())
}

fn no_report() -> PluginError {
    PluginError::bug("a file output was written to while no report was under way")
}
