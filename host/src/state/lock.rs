//! One run of a pipeline at a time.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::StateError;
use super::folder::StateFolder;

/// Held while a pipeline runs; the system takes it back however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Another run holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    /// What the other run wrote down about itself; empty if it had no time to.
    pub holder: String,
}

impl Lock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// When the lock's file cannot be used. The inner error says who holds it.
    pub fn take(folder: &StateFolder) -> Result<Result<Self, Occupied>, StateError> {
        folder.create()?;
        let path = folder.lock();
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(|error| StateError::cannot_create(&path, &error))?;
        for _ in 0..ATTEMPTS {
            if is_taken(file.try_lock(), &path)? {
                sign(&mut file, &path)?;
                return Ok(Ok(Self { _file: file }));
            }
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        Ok(Err(Occupied { holder: holder(&mut file) }))
    }

    /// Who holds the lock now, if anybody does. Nothing is written.
    ///
    /// # Errors
    /// When the lock's file is there and cannot be used.
    pub fn holder(folder: &StateFolder) -> Result<Option<Occupied>, StateError> {
        let path = folder.lock();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::io(&path, &error)),
        };
        let is_free = is_taken(file.try_lock_shared(), &path)?;
        Ok((!is_free).then(|| Occupied { holder: holder(&mut file) }))
    }
}

impl fmt::Display for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.holder.is_empty() { "another process" } else { &self.holder })
    }
}

impl Occupied {
    /// What a run that does not wait says.
    #[must_use]
    pub fn error(&self, pipeline: &str) -> StateError {
        StateError {
            message: format!("pipeline `{pipeline}` is already running: {self}"),
            hint: Some("wait until it has finished, or use --wait or `if_running: wait`".to_owned()),
            exit_code: 75,
        }
    }
}

/// Who looks whether the lock is held holds it for a moment: that must not end a run.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// Whether this process has the lock now.
fn is_taken(attempt: Result<(), TryLockError>, path: &Path) -> Result<bool, StateError> {
    match attempt {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(cannot_lock(path, &error)),
    }
}

fn cannot_lock(path: &Path, error: &io::Error) -> StateError {
    StateError {
        message: format!("cannot lock {}: {error}", path.display()),
        hint: Some(
            "the file system may not support file locks; set a directory on a local disk with --state-dir"
                .to_owned(),
        ),
        exit_code: 74,
    }
}

/// Writes down who holds the lock, for whoever finds it taken.
fn sign(file: &mut File, path: &Path) -> Result<(), StateError> {
    let text = format!("process {}, started {}", std::process::id(), super::now());
    let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(|error| StateError::io(path, &error))
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(100).read_to_string(&mut text);
    if read.is_err() || text.chars().any(char::is_control) { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_says_by_whom() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        let first = Lock::take(&folder).unwrap().unwrap();
        let occupied = Lock::take(&folder).unwrap().unwrap_err();
        assert_eq!(Lock::holder(&folder).unwrap(), Some(occupied.clone()));
        assert!(
            occupied.holder.starts_with(&format!("process {}, started 2", std::process::id())),
            "{occupied:?}"
        );
        let error = occupied.error("nightly");
        assert!(error.message.starts_with("pipeline `nightly` is already running: process "), "{error}");
        assert_eq!(error.exit_code, 75);
        drop(first);
        assert_eq!(
            Lock::holder(&folder).unwrap(),
            None,
            "the content left in an unlocked file has no meaning"
        );
        assert!(Lock::take(&folder).unwrap().is_ok());
    }

    #[test]
    fn somebody_who_looks_makes_no_run_fail() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        assert_eq!(Lock::holder(&folder).unwrap(), None);
        assert!(!folder.path().exists(), "a look makes nothing");
        drop(Lock::take(&folder).unwrap().unwrap());
        // Who looks holds the lock for a moment, as here.
        let file = File::open(folder.lock()).unwrap();
        file.try_lock_shared().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(BETWEEN_ATTEMPTS / 2);
                drop(file);
            });
            assert!(Lock::take(&folder).unwrap().is_ok());
        });
    }

    #[test]
    fn file_system_without_locks() {
        let error = io::Error::from(rustix::io::Errno::NOLCK);
        let error = cannot_lock(Path::new("/mnt/nfs/state/nightly/lock"), &error);
        assert!(
            error.message.starts_with("cannot lock /mnt/nfs/state/nightly/lock: No locks available"),
            "{error}"
        );
        assert!(error.hint.unwrap().contains("--state-dir"));
        assert_eq!(error.exit_code, 74);
    }
}
