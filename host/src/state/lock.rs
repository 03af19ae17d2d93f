//! One run of a pipeline at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

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
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Err(Occupied { holder: holder(&mut file) })),
            Err(error) => return Err(StateError::io(&path, &std::io::Error::from(error))),
        }
        sign(&mut file, &path)?;
        Ok(Ok(Self { _file: file }))
    }
}

impl Occupied {
    /// What a run that does not wait says.
    #[must_use]
    pub fn error(&self, pipeline: &str) -> StateError {
        let holder = if self.holder.is_empty() { "another process" } else { &self.holder };
        StateError {
            message: format!("pipeline `{pipeline}` is in use by {holder}"),
            hint: Some("wait for it, or run with --wait or `if_running: wait`".to_owned()),
            exit_code: 75,
        }
    }
}

/// Writes down who holds the lock, for whoever finds it taken.
fn sign(file: &mut File, path: &Path) -> Result<(), StateError> {
    let text = format!("process {} since {}", std::process::id(), super::now());
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
        assert!(
            occupied.holder.starts_with(&format!("process {} since 2", std::process::id())),
            "{occupied:?}"
        );
        let error = occupied.error("nightly");
        assert!(error.message.starts_with("pipeline `nightly` is in use by process "), "{error}");
        assert_eq!(error.exit_code, 75);
        drop(first);
        assert!(Lock::take(&folder).unwrap().is_ok());
    }
}
