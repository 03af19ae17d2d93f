//! The steps that change the disk, as separate functions, so that tests can inject a fault between any two of them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(crate) use crate::fault::{note_sync, note_write, step};

/// Called before each change; only tests inject a fault here.
#[cfg(not(test))]
pub(crate) fn step() -> io::Result<()> {
    Ok(())
}

/// Data was written that a power failure would lose.
#[cfg(not(test))]
fn note_write() {}

/// All data that is still needed is on the disk.
#[cfg(not(test))]
fn note_sync() {}

pub(crate) fn write(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    step()?;
    note_write();
    file.write_all(head)?;
    step()?;
    file.write_all(tail)
}

/// Appends `length` bytes. The kernel copies them, or shares blocks where the file system can.
pub(crate) fn copy(source: File, mut target: &File, length: u64) -> io::Result<()> {
    step()?;
    note_write();
    match io::copy(&mut source.take(length), &mut target)? {
        copied if copied == length => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was read")),
    }
}

pub(crate) fn set_length(file: &File, length: u64) -> io::Result<()> {
    // Files are truncated only to a length that a receipt names, or to 0.
    note_sync();
    step()?;
    file.set_len(length)
}

pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    step()?;
    note_sync();
    // Tests end processes, not the machine, and run thousands of steps.
    if cfg!(test) { Ok(()) } else { file.sync_data() }
}

pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    step()?;
    note_sync();
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    fs::rename(from, to)
}

pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    fs::hard_link(from, to)
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    note_sync();
    step()?;
    fs::remove_file(path)
}

/// Synchronizes new and removed names to disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    step()?;
    if cfg!(test) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems do not support this call for directories; there, a name is durable at once.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        outcome => outcome,
    }
}

/// Removes consecutively numbered files up to the first gap: `findings.2025.csv` may belong to the operator. The last
/// file is removed first, so that an interruption leaves no gap. Returns the path that failed.
pub(crate) fn remove_series(first: u32, path: impl Fn(u32) -> PathBuf) -> Result<(), (PathBuf, io::Error)> {
    let there = (first..).map(path).take_while(|path| fs::symlink_metadata(path).is_ok());
    for path in there.collect::<Vec<_>>().into_iter().rev() {
        remove(&path).map_err(|error| (path, error))?;
    }
    Ok(())
}
