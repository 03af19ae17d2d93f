//! `.NAME.lock`: only one output at a time writes the files of a name.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::disk;
use crate::failure::cannot_create;

/// The lock of one name. Dropping it removes the lock file; the one of a killed process is used again.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    name: String,
    _file: File,
}

impl Lock {
    /// Locks the files of a name. Nothing is ever written to a lock file, so it may belong to another user.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when another process or output has the lock, or when the file cannot be created.
    pub(crate) fn take(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!(".{name}.lock"));
        let failed = |error: io::Error| cannot_create(&path, &error);
        for _ in 0..ATTEMPTS {
            disk::step().map_err(failed)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))
                .map_err(|error| failed(error.into()))?;
            let file = File::from(file);
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Its last owner may have removed the name before the lock was ours.
            let opened = file.metadata().map_err(failed)?;
            if fs::symlink_metadata(&path)
                .is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()))
            {
                return Ok(Self { path, name: name.to_owned(), _file: file });
            }
        }
        Err(in_use(&folder.join(name)))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Without effect on correctness: the next owner uses an existing lock file.
        let _ = disk::step().and_then(|()| fs::remove_file(&self.path));
    }
}

fn in_use(path: &Path) -> PluginError {
    PluginError::new(
        ErrorKind::CannotCreate,
        format!("{} is locked: another process or output is writing the same file", path.display()),
    )
    .with_hint("wait until it has finished, or set a different `path` for each")
}

const ATTEMPTS: usize = 16;
