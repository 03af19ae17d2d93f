//! The part files of one report, from the first to the one being written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::failure::{cannot_create, cannot_write, folder_of};
use crate::name::{part_path, piece_path};
use crate::part::Part;
use crate::target::{IfExists, Target};

/// The part files of one report. Dropped without [`Pieces::publish`] they are all removed.
#[derive(Debug)]
pub(crate) struct Pieces {
    path: PathBuf,
    first: u32,
    last: u32,
    /// The pieces from `first` up to here, without this one, are sealed but not published.
    sealed_end: u32,
    current: Part,
    begun: Instant,
    /// What the last sealed piece was, should the current one stay empty.
    previous: Option<Published>,
    /// The last piece that this run has published before.
    earlier: Option<u32>,
    published: bool,
    /// With rotation, the lock on the whole: pieces come and go, and nobody keeps thousands of them open.
    _guard: Option<Part>,
}

/// What this run has put under a name so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// The last piece; 0 without rotation.
    number: u32,
    identity: (u64, u64),
    begun: Instant,
}

/// Where a report's first piece begins.
struct Beginning {
    number: u32,
    /// The published piece that it goes on from.
    from: Option<PathBuf>,
    begun: Instant,
}

impl Pieces {
    /// Opens the first part file of a report that goes to `path`.
    pub(crate) fn begin(path: PathBuf, target: &Target, earlier: Option<Published>) -> Result<Self> {
        let guard =
            if target.rotate.is_on() { Some(Part::create(part_path(&path), target.mode)?) } else { None };
        let beginning = Beginning::find(&path, target, earlier)?;
        if guard.is_some() {
            remove_series(beginning.number + 1, |number| part_path(&piece_path(&path, number)))?;
        }
        let mut current = Part::create(part_path(&piece_path(&path, beginning.number)), target.mode)?;
        if let Some(from) = &beginning.from {
            current.copy_from(from)?;
        }
        Ok(Self {
            path,
            first: beginning.number,
            last: beginning.number,
            sealed_end: beginning.number,
            current,
            begun: beginning.begun,
            previous: None,
            earlier: earlier.map(|earlier| earlier.number),
            published: false,
            _guard: guard,
        })
    }

    pub(crate) fn current(&mut self) -> &mut Part {
        &mut self.current
    }

    /// The target.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn current_path(&self) -> &Path {
        self.current.path()
    }

    /// Begins the next piece when the current one is full.
    pub(crate) fn rotate(&mut self, target: &Target) -> Result<bool> {
        if self.current.length() == 0 || !target.rotate.is_due(self.current.length(), || self.begun.elapsed())
        {
            return Ok(false);
        }
        let identity = self.current.seal()?;
        self.previous = Some(Published { number: self.last, identity, begun: self.begun });
        self.sealed_end = self.last + 1;
        self.current = Part::create(part_path(&piece_path(&self.path, self.last + 1)), target.mode)?;
        self.last += 1;
        self.begun = Instant::now();
        Ok(true)
    }

    /// Gives all pieces their final names, in order. When one name cannot be given, those that were given are
    /// taken back, but for names that an older file had: that one is gone.
    pub(crate) fn publish(mut self, if_exists: IfExists) -> Result<Published> {
        let last = self.seal_last()?;
        if if_exists == IfExists::Fail {
            for number in (self.first..=last.number).filter(|number| self.earlier != Some(*number)) {
                refuse_existing(&piece_path(&self.path, number))?;
            }
        }
        let mut given = Vec::new();
        for number in self.first..=last.number {
            let path = piece_path(&self.path, number);
            let is_new = fs::symlink_metadata(&path).is_err();
            let must_be_new = if_exists == IfExists::Fail && self.earlier != Some(number);
            if let Err(error) = rename(&part_path(&path), &path, must_be_new) {
                take_back(&given);
                return Err(error);
            }
            if is_new {
                given.push(path);
            }
        }
        self.published = true;
        if if_exists == IfExists::Replace && self.earlier.is_none() && last.number > 0 {
            remove_series(last.number + 1, |number| piece_path(&self.path, number))?;
        }
        sync_folder(folder_of(&self.path))
            .map_err(|error| not_known_safe(&piece_path(&self.path, last.number), error))?;
        Ok(last)
    }

    /// Seals the piece under way. One that nothing was written to is dropped when others stand before it.
    fn seal_last(&mut self) -> Result<Published> {
        if let Some(previous) = self.previous.filter(|_| self.current.length() == 0) {
            return Ok(previous);
        }
        let identity = self.current.seal()?;
        self.sealed_end = self.last + 1;
        Ok(Published { number: self.last, identity, begun: self.begun })
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if !self.published {
            for number in self.first..self.sealed_end {
                let _ = fs::remove_file(part_path(&piece_path(&self.path, number)));
            }
        }
    }
}

impl Beginning {
    fn find(path: &Path, target: &Target, earlier: Option<Published>) -> Result<Self> {
        let plain = u32::from(target.rotate.is_on());
        let last = match (earlier, target.if_exists) {
            (Some(earlier), _) => return Self::after(path, target, earlier),
            (None, IfExists::Replace) => None,
            (None, IfExists::Fail) => {
                return refuse_existing(&piece_path(path, plain)).map(|()| Self::new(plain));
            }
            (None, IfExists::Append) => last_existing(path, plain),
        };
        Ok(match last {
            Some(number) => Self::on_top_of(path, target, number, Instant::now()),
            None => Self::new(plain),
        })
    }

    /// Goes on after what this run has published itself.
    fn after(path: &Path, target: &Target, earlier: Published) -> Result<Self> {
        let piece = piece_path(path, earlier.number);
        match fs::symlink_metadata(&piece) {
            Ok(found) if (found.dev(), found.ino()) == earlier.identity => {
                Ok(Self::on_top_of(path, target, earlier.number, earlier.begun))
            }
            Ok(_) => Err(PluginError::new(
                ErrorKind::Io,
                format!("{} was replaced by another program during this run", piece.display()),
            )),
            // Whoever waits for finished files has taken it away: a new one begins.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::new(if earlier.number == 0 { 0 } else { earlier.number + 1 }))
            }
            Err(error) => Err(cannot_write(&piece, &error)),
        }
    }

    fn on_top_of(path: &Path, target: &Target, number: u32, begun: Instant) -> Self {
        let piece = piece_path(path, number);
        let length = fs::metadata(&piece).map_or(0, |metadata| metadata.len());
        if number > 0 && target.rotate.is_due(length, || begun.elapsed()) {
            return Self::new(number + 1);
        }
        Self { number, from: Some(piece), begun }
    }

    fn new(number: u32) -> Self {
        Self { number, from: None, begun: Instant::now() }
    }
}

/// Fails when the file is there.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(already_there(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_create(path, &error)),
    }
}

fn already_there(path: &Path) -> PluginError {
    PluginError::new(ErrorKind::CannotCreate, format!("{} is there already", path.display()))
        .with_hint("move it away, or set `if_exists: replace`")
}

/// The last of the pieces that are there without a gap; `plain` is the number of the first one.
fn last_existing(path: &Path, plain: u32) -> Option<u32> {
    let is_there = |number: &u32| fs::symlink_metadata(piece_path(path, *number)).is_ok();
    match plain {
        0 => Some(0).filter(is_there),
        first => (first..).take_while(is_there).last(),
    }
}

/// Brings the new names to the disk.
fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Ok(()) => Ok(()),
        // Some network file systems have no such call for folders; names are safe there as soon as they are given.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        Err(error) => Err(cannot_write(folder, &error)),
    }
}

fn rename(part: &Path, path: &Path, must_be_new: bool) -> Result<()> {
    if !must_be_new {
        return fs::rename(part, path).map_err(|error| cannot_write(path, &error));
    }
    // A link is never made over a file that came meanwhile; a rename would replace it.
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part).map_err(|error| {
            take_back(&[path.to_owned()]);
            cannot_write(part, &error)
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(already_there(path)),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Removes what was published a moment ago. The caller has a failure to tell already; a second one adds nothing.
fn take_back(given: &[PathBuf]) {
    for path in given {
        let _ = fs::remove_file(path);
    }
}

/// The file has its name, but a loss of power might take the name away again.
fn not_known_safe(path: &Path, error: PluginError) -> PluginError {
    let message = format!(
        "{} is complete under its name, but it is not known to be on the disk: {}",
        path.display(),
        error.message
    );
    PluginError { message, ..error }
}

/// Removes files of an earlier run that would otherwise pass for this one's: pieces that it does not reach, and
/// parts that a killed run left. Only those that follow without a gap: `findings.2025.csv` may be somebody's own.
fn remove_series(first: u32, path: impl Fn(u32) -> PathBuf) -> Result<()> {
    for path in (first..).map(path) {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(cannot_write(&path, &error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_synced_is_told_with_the_file_that_stands() {
        let failure = sync_folder(Path::new("/nowhere/at/all")).unwrap_err();
        let error = not_known_safe(Path::new("/nowhere/at/all/out.csv"), failure);
        assert_eq!(error.kind, ErrorKind::Io);
        assert!(
            error.message.starts_with(
                "/nowhere/at/all/out.csv is complete under its name, but it is not known to be on the disk: \
                 cannot write to /nowhere/at/all: "
            ),
            "{error}"
        );
    }
}
