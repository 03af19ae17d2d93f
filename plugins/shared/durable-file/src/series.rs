//! The part files of the current report: one, or with rotation one for each piece.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::disk;
use crate::failure::{cannot_write, folder_of, refuse_existing};
use crate::name::{part_path, piece_path};
use crate::part::{self, Part};
use crate::receipt::{FileState, MAX_PIECES, Moment, Parts, Published, START_OVER};
use crate::target::{IfExists, Target};

/// The part files of one report, all with the same number. Dropping it leaves the files.
#[derive(Debug)]
pub(crate) struct Series {
    /// The target, without the number of a piece.
    path: PathBuf,
    number: u64,
    first: u32,
    /// Pieces that are complete and on the disk.
    complete: u32,
    current: Part,
    /// The start of the current piece.
    started: Moment,
    copied: Option<FileState>,
    /// Whether the names of all part files are on the disk.
    is_named: bool,
}

impl Series {
    /// Creates the first part file of a report that goes to `path`. It begins with a copy of the published file if the
    /// report is added to that one.
    pub(crate) fn begin(
        path: PathBuf,
        number: u64,
        target: &Target,
        earlier: Option<&Published>,
    ) -> Result<Self> {
        let AppendPoint { piece, is_copy, started } = AppendPoint::find(&path, target, earlier)?;
        let mut current = Part::create(part_path(&path, number, piece), target.mode)?;
        let copied = is_copy.then(|| current.copy_from(&piece_path(&path, piece))).transpose()?;
        Ok(Self { path, number, first: piece, complete: 0, current, started, copied, is_named: false })
    }

    /// Opens the part files that a receipt names and truncates the last one.
    pub(crate) fn resume(path: PathBuf, parts: &Parts, mode: u32) -> Result<Self> {
        let part = |piece: u32| part_path(&path, parts.number, piece);
        for piece in parts.first..parts.last() {
            if !part::exists(&part(piece), parts.owner)? {
                return Err(missing(&part(piece)));
            }
        }
        let last = part(parts.last());
        let current = Part::resume(last.clone(), mode, parts.owner, parts.file.length)?
            .ok_or_else(|| missing(&last))?;
        Ok(Self {
            path,
            number: parts.number,
            first: parts.first,
            complete: parts.count - 1,
            current,
            started: parts.started,
            copied: parts.copied,
            is_named: true,
        })
    }

    pub(crate) fn write(&mut self, records: &[u8]) -> Result<()> {
        self.current.write(records)
    }

    /// The target, without the number of a piece.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing is in the file.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.length() == 0
    }

    /// The part file that is being written.
    pub(crate) fn part(&self) -> &Path {
        self.current.path()
    }

    /// Its part files, for messages.
    pub(crate) fn parts(&self) -> Parts {
        let Self { number, first, complete, started, copied, .. } = *self;
        let file = FileState { inode: 0, length: self.current.length() };
        Parts { number, owner: self.current.owner(), first, count: complete + 1, file, started, copied }
    }

    /// Begins the next piece when the current one is full.
    pub(crate) fn rotate(&mut self, target: &Target) -> Result<bool> {
        let is_full = !self.is_empty()
            && target.rotate.is_due(self.current.length(), || self.started.elapsed())
            && self.complete + 1 < MAX_PIECES;
        if is_full {
            self.current.sync()?;
            self.complete += 1;
            self.is_named = false;
            let next = part_path(&self.path, self.number, self.first + self.complete);
            // Left by an attempt after the receipt at which this one was resumed.
            disk::remove_if_exists(&next).map_err(|error| cannot_write(&next, &error))?;
            self.current = Part::create(next, target.mode)?;
            self.started = Moment::now();
        }
        Ok(is_full)
    }

    /// Synchronizes everything to disk, the names of the part files included.
    pub(crate) fn commit(&mut self) -> Result<Parts> {
        let file = self.current.sync()?;
        if !self.is_named {
            let folder = folder_of(&self.path);
            disk::sync_folder(folder).map_err(|error| cannot_write(folder, &error))?;
            self.is_named = true;
        }
        Ok(Parts { file, ..self.parts() })
    }

    /// The same at the end of the report. An empty last piece is not published; its part file is removed with the others
    /// that no receipt names.
    pub(crate) fn seal(mut self) -> Result<Parts> {
        let parts = self.commit()?;
        if parts.file.length > 0 || parts.count == 1 {
            return Ok(parts);
        }
        let last = part_path(&self.path, self.number, parts.last() - 1);
        let found = fs::symlink_metadata(&last).map_err(|error| cannot_write(&last, &error))?;
        Ok(Parts { count: parts.count - 1, file: FileState::of(&found), ..parts })
    }
}

/// Where a report begins.
struct AppendPoint {
    piece: u32,
    /// Whether the part begins with a copy of the published piece.
    is_copy: bool,
    started: Moment,
}

impl AppendPoint {
    fn find(path: &Path, target: &Target, earlier: Option<&Published>) -> Result<Self> {
        let plain = u32::from(target.rotate.is_on());
        match (earlier, target.if_exists) {
            (Some(earlier), _) => Self::after(path, target, earlier),
            (None, IfExists::Replace) => Ok(Self::new(plain)),
            (None, IfExists::Fail) => refuse_existing(&piece_path(path, plain)).map(|()| Self::new(plain)),
            (None, IfExists::Append) => Ok(match last_existing(path, target) {
                Some(piece) => Self::at_end_of(path, target, piece, Moment::now()),
                None => Self::new(plain),
            }),
        }
    }

    /// Continues after the pieces that this run has published.
    fn after(path: &Path, target: &Target, earlier: &Published) -> Result<Self> {
        let Published { piece, file, started, .. } = *earlier;
        let published = piece_path(path, piece);
        let next = if piece == 0 { 0 } else { piece + 1 };
        match fs::symlink_metadata(&published) {
            // Another program, such as a collector, moved the file away or emptied it: a new file is started.
            Ok(found) if found.is_file() && found.len() == 0 => Ok(Self::new(next)),
            // If it is longer, another program has appended to it; those bytes are kept.
            Ok(found) if found.ino() == file.inode && found.len() >= file.length => {
                Ok(Self::at_end_of(path, target, piece, started))
            }
            Ok(_) => Err(PluginError::new(
                ErrorKind::Io,
                format!(
                    "{} was replaced or truncated by another program during this run",
                    published.display()
                ),
            )
            .with_hint(
                "write each report to its own file with `{report}` in `path`, or move the complete \
                 file away",
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::new(next)),
            Err(error) => Err(cannot_write(&published, &error)),
        }
    }

    fn at_end_of(path: &Path, target: &Target, piece: u32, started: Moment) -> Self {
        let length = fs::metadata(piece_path(path, piece)).map_or(0, |found| found.len());
        if piece > 0 && target.rotate.is_due(length, || started.elapsed()) {
            return Self::new(piece + 1);
        }
        Self { piece, is_copy: true, started }
    }

    fn new(piece: u32) -> Self {
        Self { piece, is_copy: false, started: Moment::now() }
    }
}

/// The last existing piece before the first gap; 0 for a file without pieces.
pub(crate) fn last_existing(path: &Path, target: &Target) -> Option<u32> {
    let exists = |piece: &u32| fs::symlink_metadata(piece_path(path, *piece)).is_ok();
    match target.rotate.is_on() {
        false => Some(0).filter(exists),
        true => (1..).take_while(exists).last(),
    }
}

fn missing(path: &Path) -> PluginError {
    let path = path.display();
    let message = format!("cannot resume: {path} is missing, or was changed since the interrupted run");
    PluginError::new(ErrorKind::Io, message).with_hint(START_OVER)
}
