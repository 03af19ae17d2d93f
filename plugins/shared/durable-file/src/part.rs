//! One file under construction: locked, buffered, gone again unless it is sealed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::failure::{cannot_create, cannot_read, cannot_write};

/// A part file that this process alone writes. Dropped without [`Part::seal`] it removes itself.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// Bytes that were appended, whether still in the buffer or not.
    length: u64,
    sealed: bool,
}

impl Part {
    /// Makes the file, or takes over and empties the one that a killed process left.
    pub(crate) fn create(path: PathBuf, mode: u32) -> Result<Self> {
        let file = lock(&path, mode)?;
        let part = Self { path, file, buffer: Vec::with_capacity(BUFFER), length: 0, sealed: false };
        part.prepare(mode).map_err(|error| cannot_create(&part.path, &error))?;
        Ok(part)
    }

    /// Begins with the content of this file.
    pub(crate) fn copy_from(&mut self, source: &Path) -> Result<()> {
        let source =
            rustix::fs::open(source, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| cannot_read(source, &error.into()))?;
        // Lets the kernel copy, or share blocks where the file system can.
        let copied = io::copy(&mut File::from(source), &mut self.file);
        self.length = copied.map_err(|error| cannot_write(&self.path, &error))?;
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        self.length += bytes.len() as u64;
        if bytes.len() > BUFFER {
            return self.file.write_all(bytes).map_err(|error| cannot_write(&self.path, &error));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings everything written so far to the disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.file.sync_data().map_err(|error| cannot_write(&self.path, &error))
    }

    /// Brings everything to the disk and leaves the file where it is. Gives its device and inode.
    pub(crate) fn seal(&mut self) -> Result<(u64, u64)> {
        self.flush()?;
        self.file.sync_all().map_err(|error| cannot_write(&self.path, &error))?;
        let metadata = self.file.metadata().map_err(|error| cannot_write(&self.path, &error))?;
        self.sealed = true;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn prepare(&self, mode: u32) -> io::Result<()> {
        self.file.set_len(0)?;
        // The umask of whoever started us says nothing about who may read the findings; the option does.
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|error| cannot_write(&self.path, &error))?;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.sealed {
            // The next run would take the file over; that it stays is worth no second error.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens and locks the file. The one that was opened may have been renamed or removed by its last owner before
/// the lock was ours; then the name stands for another file, and we try again.
fn lock(path: &Path, mode: u32) -> Result<File> {
    for _ in 0..LOCK_ATTEMPTS {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(mode))
            .map_err(|error| cannot_create(path, &error.into()))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(path)),
            Err(error) => return Err(cannot_create(path, &error.into())),
        }
        let file = File::from(file);
        let opened = file.metadata().map_err(|error| cannot_create(path, &error))?;
        if !opened.is_file() {
            return Err(cannot_create(path, &io::Error::other("it is no regular file")));
        }
        match fs::symlink_metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_create(path, &error)),
        }
    }
    Err(in_use(path))
}

fn in_use(path: &Path) -> PluginError {
    PluginError::new(
        ErrorKind::CannotCreate,
        format!("{} is locked: another process, or another output, is writing the same file", path.display()),
    )
    .with_hint("wait until it has finished, or give each its own `path`")
}

/// Large enough that a write costs little beside what is written, small beside the rest of a plugin's memory.
const BUFFER: usize = 128 * 1024;

const LOCK_ATTEMPTS: usize = 16;
