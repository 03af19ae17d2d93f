//! Publication: parts get their final names, parts that are no longer needed are removed. All of it may be repeated
//! after an interruption at any step.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::disk;
use crate::failure::{already_there, cannot_create, cannot_write};
use crate::name::{part_number, part_path, piece_path};
use crate::part;
use crate::receipt::{FileState, Parts};
use crate::target::{IfExists, Target};

/// Renames the parts that are still there to their final names, in order. A part that is missing was published
/// before. Nothing is renamed if one of the files must not be replaced.
///
/// `is_ours` says whether the run has published this file before.
///
/// # Errors
/// [`ErrorKind::CannotCreate`] if a file exists that must be new; [`ErrorKind::Io`] if another program has changed the
/// file that the part begins with, or if a rename fails.
pub(crate) fn publish(path: &Path, parts: &Parts, target: &Target, is_ours: bool) -> Result<()> {
    let rule = Rule::of(target, is_ours);
    let mut waiting = Vec::new();
    for piece in parts.first..=parts.last() {
        let (part, file) = (part_path(path, parts.number, piece), piece_path(path, piece));
        if part::exists(&part, parts.owner)? {
            let copied = parts.copied.filter(|_| piece == parts.first);
            rule.check(&part, &file, copied)?;
            waiting.push((part, file));
        }
    }
    for (part, file) in waiting {
        rule.publish(&part, &file)?;
    }
    if rule == Rule::Replace && parts.first > 0 {
        disk::remove_series(parts.last() + 1, |piece| piece_path(path, piece))
            .map_err(|(path, error)| cannot_write(&path, &error))?;
    }
    Ok(())
}

/// What may be under the final name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Any file.
    Replace,
    /// No file.
    MustBeNew,
    /// The file that the part begins with a copy of; for other parts, no file.
    MustBeUnchanged,
}

impl Rule {
    fn of(target: &Target, is_ours: bool) -> Self {
        match target.if_exists {
            IfExists::Replace if !is_ours => Self::Replace,
            IfExists::Fail if !is_ours => Self::MustBeNew,
            _ => Self::MustBeUnchanged,
        }
    }

    fn check(self, part: &Path, file: &Path, copied: Option<FileState>) -> Result<()> {
        let found = match fs::symlink_metadata(file) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(cannot_write(file, &error)),
        };
        let is_allowed = match self {
            Self::Replace => true,
            Self::MustBeNew => false,
            // A collector may empty the file; then nothing of another program is lost.
            Self::MustBeUnchanged => {
                found.is_file() && (found.len() == 0 || copied == Some(FileState::of(&found)))
            }
        };
        match self {
            _ if is_allowed => Ok(()),
            Self::MustBeNew => Err(already_there(file)),
            Self::Replace | Self::MustBeUnchanged => Err(PluginError::new(
                ErrorKind::Io,
                format!("{} was changed by another program", file.display()),
            )
            .with_hint(format!(
                "move it away and run again; the complete content with this report is in {}",
                part.display()
            ))),
        }
    }

    fn publish(self, part: &Path, file: &Path) -> Result<()> {
        let renamed =
            if self == Self::MustBeNew { disk::rename_new(part, file) } else { disk::rename(part, file) };
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_there(file),
            _ => cannot_write(file, &error),
        })
    }
}

/// Removes the parts of these names that have a number above `above`, unless they belong to another user who protects
/// them.
pub(crate) fn remove_parts(folder: &Path, names: &BTreeSet<String>, above: u64) -> Result<()> {
    for part in parts_of(folder, names)? {
        if part.number <= above {
            continue;
        }
        match disk::remove(&part.path) {
            Err(error) if !part.is_own && error.kind() == io::ErrorKind::PermissionDenied => {}
            outcome => outcome.map_err(|error| cannot_write(&part.path, &error))?,
        }
    }
    Ok(())
}

/// The highest number of a part of this name. Numbers of another user's files count only up to a limit, so that they
/// cannot use up all numbers.
pub(crate) fn highest_number(folder: &Path, name: &str) -> Result<u64> {
    let parts = parts_of(folder, &[name.to_owned()].into())?;
    let counts = parts.iter().filter(|part| part.is_own || part.number < FOREIGN_NUMBERS);
    Ok(counts.map(|part| part.number).max().unwrap_or(0))
}

struct FoundPart {
    path: PathBuf,
    number: u64,
    /// Whether it belongs to the running user.
    is_own: bool,
}

/// The part files of these names in the directory.
fn parts_of(folder: &Path, names: &BTreeSet<String>) -> Result<Vec<FoundPart>> {
    let failed = |error: io::Error| cannot_create(folder, &error);
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file = entry.file_name();
        let number = file.to_str().and_then(|file| names.iter().find_map(|name| part_number(file, name)));
        let Some(number) = number else { continue };
        let found = entry.metadata().map_err(failed)?;
        if !found.is_dir() {
            let is_own = found.uid() == rustix::process::geteuid().as_raw();
            parts.push(FoundPart { path: entry.path(), number, is_own });
        }
    }
    Ok(parts)
}

/// No run of this program uses so many numbers.
const FOREIGN_NUMBERS: u64 = 1_000_000_000_000;
