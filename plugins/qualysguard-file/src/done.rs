//! The action after a report was delivered completely.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};

use crate::fingerprint::FileKey;
use crate::paths::reason;

/// The action for delivered files, from the option `on_done`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnDone {
    /// The file is kept.
    Keep,
    /// The file is moved to this directory, or to the directory `done` next to it.
    Move(Option<PathBuf>),
    /// The file is deleted.
    Delete,
}

/// Where a delivered file is after the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// At its old path.
    Kept,
    /// Deleted.
    Deleted,
    /// Moved to this path.
    Moved(PathBuf),
}

impl OnDone {
    /// Performs the action. A file that has changed since it was delivered is another report, and is not touched.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; the file is where it was.
    pub(crate) fn apply(&self, key: &FileKey) -> Result<Disposition> {
        let path = key.path();
        if *self == Self::Keep || !fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Disposition::Kept);
        }
        if FileKey::of(&path).as_ref() != Some(key) {
            tracing::warn!(
                path = %path.display(),
                "the file has changed since it was delivered; it is not moved or deleted"
            );
            return Ok(Disposition::Kept);
        }
        let shown = path.display();
        let done = match self {
            Self::Delete => fs::remove_file(&path)
                .map(|()| Disposition::Deleted)
                .map_err(|error| format!("delete {shown}: {}", reason(&error))),
            _ => {
                let folder = self.folder_for(&path).unwrap_or_default();
                let to = folder.display();
                move_into(&path, &folder)
                    .map(|moved_to| {
                        tracing::debug!(path = %shown, moved_to = %moved_to.display(), "moved the delivered file");
                        Disposition::Moved(moved_to)
                    })
                    .map_err(|error| format!("move {shown} to {to}: {}", reason(&error)))
            }
        };
        done.map_err(|what| {
            PluginError::new(ErrorKind::Io, format!("cannot {what}")).with_hint(
                "the report was delivered and will not be read again; check write permission \
                 on both directories",
            )
        })
    }

    /// Whether the file is in the directory for delivered files.
    pub(crate) fn is_done(&self, path: &Path) -> bool {
        let Some(parent) = path.parent() else { return false };
        match self {
            Self::Move(None) => parent.file_name().is_some_and(|name| name == DONE),
            Self::Move(Some(folder)) => {
                parent == folder || fs::canonicalize(parent).ok() == fs::canonicalize(folder).ok()
            }
            Self::Keep | Self::Delete => false,
        }
    }

    /// The directory that the file is moved to.
    fn folder_for(&self, path: &Path) -> Option<PathBuf> {
        match self {
            Self::Move(Some(folder)) => Some(folder.clone()),
            Self::Move(None) => Some(path.parent()?.join(DONE)),
            Self::Keep | Self::Delete => None,
        }
    }
}

/// The directory next to a file that it is moved to by default.
pub(crate) const DONE: &str = "done";

/// Moves the file under its own name or, if that exists, with a number appended. Returns its new path.
fn move_into(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let target = reserve(path, folder)?;
    let moved = match fs::rename(path, &target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(path, &target),
        moved => moved,
    };
    if moved.is_err() {
        let _ = fs::remove_file(&target); // Only the empty reservation.
    }
    moved?;
    File::open(folder)?.sync_all()?;
    Ok(target)
}

/// An empty file reserves the name: `rename` alone would replace an existing file.
fn reserve(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    for number in 0_u32.. {
        let mut name = OsString::from(name);
        if number > 0 {
            name.push(format!(".{number}"));
        }
        let target = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|_| target),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Moves to another file system: the copy is complete and on disk before the original is removed.
fn copy(path: &Path, target: &Path) -> io::Result<()> {
    let mut part = OsString::from(".");
    part.push(target.file_name().unwrap_or_default());
    part.push(".part");
    let part = target.with_file_name(part);
    let copied = fs::copy(path, &part).and_then(|_| {
        let copy = File::options().write(true).open(&part)?;
        copy.set_times(FileTimes::new().set_modified(fs::metadata(path)?.modified()?))?;
        copy.sync_all()?;
        fs::rename(&part, target)
    });
    if copied.is_err() {
        let _ = fs::remove_file(&part); // The copy may not exist.
    }
    copied?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_with_the_same_name_do_not_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.xml");
        for text in ["first", "second", "third"] {
            fs::write(&path, text).unwrap();
            let key = FileKey::of(&path).unwrap();
            assert!(matches!(OnDone::Move(None).apply(&key), Ok(Disposition::Moved(_))));
        }
        let done = folder.path().join(DONE);
        assert_eq!(names(folder.path()), [DONE]);
        assert_eq!(names(&done), ["scan.xml", "scan.xml.1", "scan.xml.2"]);
        assert_eq!(fs::read_to_string(done.join("scan.xml.1")).unwrap(), "second");
        assert!(OnDone::Move(None).is_done(&done.join("scan.xml")));
        assert!(!OnDone::Delete.is_done(&done.join("scan.xml")));
    }

    #[test]
    fn changed_file_is_not_moved_or_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.xml");
        fs::write(&path, "first").unwrap();
        let key = FileKey::of(&path).unwrap();
        fs::write(&path, "another").unwrap();
        assert_eq!(OnDone::Delete.apply(&key).unwrap(), Disposition::Kept);
        assert_eq!(fs::read_to_string(&path).unwrap(), "another");
        fs::remove_file(&path).unwrap();
        assert_eq!(OnDone::Delete.apply(&key).unwrap(), Disposition::Kept);
    }

    #[test]
    fn failed_move_keeps_file_and_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let (path, no_folder) = (folder.path().join("scan.xml"), folder.path().join("file"));
        fs::write(&path, "first").unwrap();
        fs::write(&no_folder, "").unwrap();
        let error = OnDone::Move(Some(no_folder)).apply(&FileKey::of(&path).unwrap()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io);
        assert!(error.message.starts_with("cannot move /"), "{}", error.message);
        assert_eq!(names(folder.path()), ["file", "scan.xml"]);
    }

    /// Needs a second file system; most machines have a memory file system.
    #[test]
    fn file_is_moved_to_another_file_system() {
        let here = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
            assert!(std::env::var_os("CI").is_none(), "/dev/shm is missing");
            return println!("skipped: /dev/shm is missing");
        };
        let path = here.path().join("scan.xml");
        fs::write(&path, "text").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        copy(&path, &reserve(&path, other.path()).unwrap()).unwrap();
        assert_eq!((names(here.path()), names(other.path())), (vec![], vec!["scan.xml".to_owned()]));
        let moved = other.path().join("scan.xml");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "text");
        assert_eq!(fs::metadata(&moved).unwrap().modified().unwrap(), time);
    }
}
