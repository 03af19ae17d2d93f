//! One part file: created for this run alone, buffered, synchronized, truncated to a receipt.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::disk;
use crate::failure::{cannot_create, cannot_read, cannot_write};
use crate::receipt::FileState;

/// A part file that is being written. Dropping it leaves the file.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    owner: u32,
    inode: u64,
    buffer: Vec<u8>,
    /// Bytes in the file, without the buffer.
    length: u64,
    /// Whether all of it is on the disk.
    synced: bool,
}

impl Part {
    /// Creates the file. An existing one, prepared by whatever program, is an error.
    pub(crate) fn create(path: PathBuf, mode: u32) -> Result<Self> {
        let failed = |error: io::Error| cannot_create(&path, &error);
        let file = disk::create(&path, mode).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let part = Self::of(path, file, &metadata, 0);
        part.set_mode(mode)?;
        Ok(part)
    }

    /// Opens the file that a receipt names and truncates it to the receipt's length. `None` if the file is missing or
    /// shorter.
    pub(crate) fn resume(path: PathBuf, mode: u32, owner: u32, length: u64) -> Result<Option<Self>> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(cannot_create(&path, &error.into())),
        };
        let metadata = file.metadata().map_err(|error| cannot_create(&path, &error))?;
        refuse_foreign(&path, &metadata, owner)?;
        if metadata.len() < length {
            return Ok(None);
        }
        let mut part = Self::of(path, file, &metadata, length);
        part.set_mode(mode)?;
        disk::set_length(&part.file, length)
            .and_then(|()| part.file.seek(SeekFrom::Start(length)))
            .map_err(|error| cannot_write(&part.path, &error))?;
        Ok(Some(part))
    }

    fn of(path: PathBuf, file: File, metadata: &fs::Metadata, length: u64) -> Self {
        let (owner, inode) = (metadata.uid(), metadata.ino());
        Self { path, file, owner, inode, buffer: Vec::with_capacity(BUFFER), length, synced: false }
    }

    /// The option decides who may read the findings, not the umask of the calling process.
    fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))
            .map_err(|error| cannot_create(&self.path, &error.into()))
    }

    /// Begins with a copy of this file. Returns its state.
    pub(crate) fn copy_from(&mut self, path: &Path) -> Result<FileState> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |error: io::Error| cannot_read(path, &error);
        let source = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let source = File::from(source);
        let metadata = source.metadata().map_err(failed)?;
        self.length = metadata.len();
        disk::copy(source, &self.file, self.length).map_err(|error| cannot_write(&self.path, &error))?;
        Ok(FileState::of(&metadata))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.append(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes that were written, buffered ones included.
    pub(crate) fn length(&self) -> u64 {
        self.length + self.buffer.len() as u64
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The ID of the user that the file belongs to.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    /// Synchronizes everything written so far to disk, with the mode.
    pub(crate) fn sync(&mut self) -> Result<FileState> {
        self.flush()?;
        if !self.synced {
            disk::sync(&self.file).map_err(|error| cannot_write(&self.path, &error))?;
            self.synced = true;
        }
        Ok(FileState { inode: self.inode, length: self.length })
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let appended = self.append(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        appended
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.synced = false;
        disk::write(&self.file, bytes).map_err(|error| cannot_write(&self.path, &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Whether a part file exists.
///
/// # Errors
/// As in [`refuse_foreign`].
pub(crate) fn exists(path: &Path, owner: u32) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => refuse_foreign(path, &found, owner).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_create(path, &error)),
    }
}

/// A part file was created by this program, so it is a regular file of the same user with one name. Anything else was
/// put there to read or change the output.
///
/// # Errors
/// [`ErrorKind::CannotCreate`].
fn refuse_foreign(path: &Path, found: &fs::Metadata, owner: u32) -> Result<()> {
    let problem = if !found.is_file() {
        "is not a regular file".to_owned()
    } else if found.uid() != owner {
        format!("belongs to the user with ID {}, who could change the output", found.uid())
    } else if found.nlink() > 1 {
        "is a hard link to another file".to_owned()
    } else {
        return Ok(());
    };
    let failure = PluginError::new(ErrorKind::CannotCreate, format!("{} {problem}", path.display()));
    Err(failure.with_hint(
        "remove this file as its owner or as root, or write to a directory that only you can change",
    ))
}

/// Large enough that a write is cheap compared with the data, and small compared with the rest of a plugin's memory.
const BUFFER: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".a.csv.1.part");
        (folder, path)
    }

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn prepared_file_is_never_opened_for_a_new_part() {
        let (_folder, path) = folder();
        fs::write(&path, "prepared").unwrap();
        let error = Part::create(path.clone(), 0o640).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CannotCreate);
        assert_eq!(fs::read_to_string(&path).unwrap(), "prepared");
    }

    #[test]
    fn hard_link_is_neither_resumed_nor_published() {
        let (folder, path) = folder();
        let victim = folder.path().join("victim");
        fs::write(&victim, "keep").unwrap();
        fs::hard_link(&victim, &path).unwrap();
        for outcome in
            [Part::resume(path.clone(), 0o640, own(), 2).map(|_| ()), exists(&path, own()).map(|_| ())]
        {
            let error = outcome.unwrap_err();
            assert!(error.message.ends_with("is a hard link to another file"), "{error}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "keep");
    }

    #[test]
    fn part_file_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can change the owner of a file");
            return;
        }
        let (_folder, path) = folder();
        fs::write(&path, "prepared").unwrap();
        chown(&path, Some(12_345), None).unwrap();
        for outcome in
            [Part::resume(path.clone(), 0o640, own(), 0).map(|_| ()), exists(&path, own()).map(|_| ())]
        {
            let error = outcome.unwrap_err();
            assert!(error.message.contains("belongs to the user with ID 12345"), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "prepared");
    }
}
