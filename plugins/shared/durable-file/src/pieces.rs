//! The part files of one report, from the first to the one being written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::beginning::AppendPoint;
use crate::disk;
use crate::failure::{already_there, cannot_write, folder_of, refuse_existing};
use crate::name::{part_path, piece_path};
use crate::part::Part;
use crate::receipt::{Moment, Piece, Published, Series};
use crate::target::{IfExists, Target};

/// The part files of one report. If the value is dropped without [`Pieces::publish`], they are removed, except those
/// that a receipt names.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) path: PathBuf,
    pub(crate) first: u32,
    /// Complete, on the disk and not published, in order.
    pub(crate) sealed: Vec<Piece>,
    /// The last piece.
    pub(crate) current: Part,
    pub(crate) begun: Moment,
    /// The length of the published piece whose content the first part starts with.
    pub(crate) before: Option<u64>,
    /// The last piece that this run has published before.
    pub(crate) earlier: Option<u32>,
    /// So many of the pieces stay when this value is dropped.
    pub(crate) kept: usize,
    /// Whether the names of all part files are on the disk.
    pub(crate) named: bool,
    pub(crate) published: bool,
    /// With rotation, the lock of the whole series: single pieces are closed again, so that thousands of them need no
    /// open files.
    pub(crate) _guard: Option<Part>,
}

impl Pieces {
    /// Opens the first part file of a report that goes to `path`.
    pub(crate) fn begin(path: PathBuf, target: &Target, earlier: Option<&Published>) -> Result<Self> {
        let guard = Self::guard(&path, target)?;
        let AppendPoint { number, from, begun } = AppendPoint::find(&path, target, earlier)?;
        if guard.is_some() {
            disk::remove_series(number + 1, |number| part_path(&piece_path(&path, number)))
                .map_err(|(path, error)| cannot_write(&path, &error))?;
        }
        let mut current = Part::create(part_path(&piece_path(&path, number)), target.mode)?;
        let mut before = None;
        if let Some((from, known)) = &from {
            current.copy_from(from, known.as_ref())?;
            before = Some(current.length());
        }
        Ok(Self {
            path,
            first: number,
            sealed: Vec::new(),
            current,
            begun,
            before,
            earlier: earlier.map(|earlier| earlier.number),
            kept: 0,
            named: false,
            published: false,
            _guard: guard,
        })
    }

    pub(crate) fn guard(path: &Path, target: &Target) -> Result<Option<Part>> {
        target.rotate.is_on().then(|| Part::create(part_path(path), target.mode)).transpose()
    }

    /// Begins the next piece when the current one is full.
    pub(crate) fn rotate(&mut self, target: &Target) -> Result<bool> {
        if self.current.length() == 0 || !target.rotate.is_due(self.current.length(), || self.begun.elapsed())
        {
            return Ok(false);
        }
        self.seal_current()?;
        let next = part_path(&piece_path(&self.path, self.first + self.sealed.len() as u32));
        self.named = false;
        self.current = Part::create(next, target.mode)?;
        self.begun = Moment::now();
        Ok(true)
    }

    /// Brings everything to the disk. From now on it stays when this value is dropped.
    pub(crate) fn commit(&mut self) -> Result<Series> {
        let content = self.current.sync()?;
        if !self.named {
            let folder = folder_of(&self.path);
            disk::sync_folder(folder).map_err(|error| cannot_write(folder, &error))?;
            self.named = true;
        }
        self.kept = self.sealed.len() + 1;
        self.current.stays(true);
        let mut pieces = self.sealed.clone();
        pieces.push(Piece { content, begun: self.begun });
        Ok(Series { first: self.first, before: self.before, pieces })
    }

    /// Whether a receipt names these pieces.
    pub(crate) fn is_committed(&self) -> bool {
        self.kept > 0
    }

    /// No receipt names them any more: they are removed when this value is dropped.
    pub(crate) fn forget(&mut self) {
        self.kept = 0;
        self.current.stays(false);
    }

    /// Gives all pieces their final names, in order. If one rename fails, the names that were already given are
    /// removed again, except those that replaced an older file: that file cannot be restored.
    pub(crate) fn publish(mut self, if_exists: IfExists) -> Result<Published> {
        let last = self.seal_last()?;
        let must_be_new = |number| if_exists == IfExists::Fail && self.earlier != Some(number);
        for number in (self.first..=last.number).filter(|number| must_be_new(*number)) {
            refuse_existing(&piece_path(&self.path, number))?;
        }
        let mut given = Vec::new();
        for number in self.first..=last.number {
            let path = piece_path(&self.path, number);
            let is_new = fs::symlink_metadata(&path).is_err();
            if let Err(error) = publish_as(&path, must_be_new(number)) {
                roll_back(&given);
                return Err(error);
            }
            if is_new {
                given.push(path);
            }
        }
        self.published = true;
        if if_exists == IfExists::Replace && self.earlier.is_none() && last.number > 0 {
            disk::remove_series(last.number + 1, |number| piece_path(&self.path, number))
                .map_err(|(path, error)| cannot_write(&path, &error))?;
        }
        let folder = folder_of(&self.path);
        disk::sync_folder(folder)
            .map_err(|error| not_known_safe(&piece_path(&self.path, last.number), folder, &error))?;
        Ok(last)
    }

    /// Seals the current piece. An empty piece is dropped if there are others before it.
    fn seal_last(&mut self) -> Result<Published> {
        if self.current.length() == 0 && !self.sealed.is_empty() {
            self.current.stays(false);
        } else {
            self.seal_current()?;
        }
        let piece = *self.sealed.last().expect("a report has a piece");
        Ok(Published { number: self.first + self.sealed.len() as u32 - 1, piece })
    }

    fn seal_current(&mut self) -> Result<()> {
        let content = self.current.seal()?;
        self.sealed.push(Piece { content, begun: self.begun });
        Ok(())
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if !self.published {
            for index in self.kept..self.sealed.len() {
                let _ = disk::remove(&part_path(&piece_path(&self.path, self.first + index as u32)));
            }
        }
    }
}

fn publish_as(path: &Path, must_be_new: bool) -> Result<()> {
    let part = part_path(path);
    if !must_be_new {
        return disk::rename(&part, path).map_err(|error| cannot_write(path, &error));
    }
    // A link is never made over a file that came meanwhile; a rename would replace it.
    match disk::link(&part, path) {
        Ok(()) => disk::remove(&part).map_err(|error| {
            let _ = disk::remove(path);
            cannot_write(&part, &error)
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(already_there(path)),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Makes parts again of what was published a moment ago. The caller has a failure to tell already; a second one
/// adds nothing.
fn roll_back(given: &[PathBuf]) {
    for path in given {
        let _ = disk::rename(path, &part_path(path));
    }
}

/// The file has its name, but a loss of power might take the name away again.
fn not_known_safe(path: &Path, folder: &Path, error: &io::Error) -> PluginError {
    let message = format!(
        "{} is complete, but could not be synced to disk: cannot write to {}: {error}",
        path.display(),
        folder.display()
    );
    PluginError::new(ErrorKind::Io, message)
}
