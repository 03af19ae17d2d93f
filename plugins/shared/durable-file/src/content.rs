//! How a file is identified after a crash.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

/// The beginning of a file, as this run has written it. A checksum identifies it and is also valid for a copy: a
/// second report with the same path is written after a copy of the first. The device number is not stored, because it
/// may change at a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) inode: u64,
    /// Number of bytes at the beginning that existed before this run.
    pub(crate) base: u64,
    pub(crate) length: u64,
    /// CRC-32 of the bytes between `base` and `length`.
    pub(crate) sum: u32,
}

impl Content {
    /// Whether the file of this name begins with the content; false if the file does not exist. The file is read,
    /// because a new file may get the inode of one that was removed.
    pub(crate) fn is_head_of(&self, path: &Path) -> io::Result<bool> {
        let Some(file) = open(path)? else { return Ok(false) };
        let metadata = file.metadata()?;
        Ok(metadata.is_file() && metadata.len() >= self.length && self.sum_of(file)? == self.sum)
    }

    /// Whether the file of this name contains at least this content. Unlike [`Content::is_head_of`], this is false
    /// for any file while this run has written no bytes.
    pub(crate) fn is_surely_head_of(&self, path: &Path) -> io::Result<bool> {
        if self.length > self.base {
            return self.is_head_of(path);
        }
        Ok(open(path)?.map(|file| file.metadata()).transpose()?.is_some_and(|file| file.ino() == self.inode))
    }

    fn sum_of(&self, mut file: File) -> io::Result<u32> {
        file.seek(SeekFrom::Start(self.base))?;
        let mut rest = file.take(self.length - self.base);
        let mut sum = crc32fast::Hasher::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            match rest.read(&mut buffer)? {
                0 => return Ok(sum.finalize()),
                count => sum.update(&buffer[..count]),
            }
        }
    }
}

/// Opens a file for reading; `None` if it does not exist or is a symbolic link.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

const BUFFER: usize = 128 * 1024;
