//! Prevents concurrent runs of a pipeline.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use scanbridge_plugin_api::is_printable;

use super::error::StateError;
use super::folder::StateFolder;

/// The file lock of a running pipeline. The operating system releases it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Another process holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    /// Process ID and start time of the other run; empty if it had not written them yet.
    pub holder: String,
}

impl Lock {
    /// Acquires the lock.
    ///
    /// # Errors
    /// When the lock file cannot be used. The inner error means that another process holds the lock.
    pub fn take(folder: &StateFolder) -> Result<Result<Self, Occupied>, StateError> {
        folder.create()?;
        let path = folder.lock();
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(|error| StateError::cannot_create(&path, &error))?;
        for _ in 0..ATTEMPTS {
            if is_acquired(file.try_lock(), &path)? {
                write_holder(&mut file, &path)?;
                return Ok(Ok(Self { _file: file }));
            }
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        Ok(Err(Occupied { holder: holder(&mut file) }))
    }

    /// Which process holds the lock, if any. Writes nothing.
    ///
    /// # Errors
    /// When the lock file exists and cannot be used.
    pub fn holder(folder: &StateFolder) -> Result<Option<Occupied>, StateError> {
        let path = folder.lock();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::io(&path, &error)),
        };
        let is_free = is_acquired(file.try_lock_shared(), &path)?;
        Ok((!is_free).then(|| Occupied { holder: holder(&mut file) }))
    }
}

impl fmt::Display for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.holder.is_empty() { "another process" } else { &self.holder })
    }
}

impl Occupied {
    /// The error of a run that does not wait.
    #[must_use]
    pub fn error(&self, pipeline: &str) -> StateError {
        StateError {
            message: format!("pipeline `{pipeline}` is already running: {self}"),
            hint: Some("wait until it has finished, or use --wait or `if_running: wait`".to_owned()),
            exit_code: 75,
        }
    }
}

/// [`Lock::holder`] in another process holds the lock for a moment; that must not make a run fail.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// Whether this process acquired the lock.
fn is_acquired(attempt: Result<(), TryLockError>, path: &Path) -> Result<bool, StateError> {
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

/// Writes the process ID and the start time into the lock file, for other processes.
fn write_holder(file: &mut File, path: &Path) -> Result<(), StateError> {
    let text = format!("process {}, started {}", std::process::id(), super::now());
    let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(|error| StateError::io(path, &error))
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(100).read_to_string(&mut text);
    if read.is_ok() && text.chars().all(is_printable) { text } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_is_refused_and_names_the_holder() {
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
    fn reading_the_lock_does_not_block_a_run() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        assert_eq!(Lock::holder(&folder).unwrap(), None);
        assert!(!folder.path().exists(), "reading the holder creates nothing");
        drop(Lock::take(&folder).unwrap().unwrap());
        // `Lock::holder` holds the lock for a moment, as simulated here.
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
