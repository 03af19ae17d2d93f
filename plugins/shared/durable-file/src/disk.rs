//! The steps that change the disk, as separate functions, so that tests can inject a fault between any two of them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

#[cfg(not(test))]
use std::fs::{remove_file, rename as rename_file};

/// Tests record what reaches the disk.
#[cfg(test)]
pub(crate) use crate::fault::step;
#[cfg(test)]
use crate::fault::{created, remove_file, rename_exclusively, rename_file, synced, synced_folder};

#[cfg(not(test))]
fn rename_exclusively(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// Called before each change; only tests inject a fault here.
#[cfg(not(test))]
pub(crate) fn step() -> io::Result<()> {
    Ok(())
}

/// Creates a file that must be new, for writing.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<File> {
    step()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(mode))?);
    #[cfg(test)]
    created(path, &file)?;
    Ok(file)
}

pub(crate) fn write(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    step()?;
    file.write_all(head)?;
    step()?;
    file.write_all(tail)
}

/// Appends `length` bytes. The kernel copies them, or shares blocks where the file system can.
pub(crate) fn copy(source: File, mut target: &File, length: u64) -> io::Result<()> {
    step()?;
    match io::copy(&mut source.take(length), &mut target)? {
        copied if copied == length => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was read")),
    }
}

pub(crate) fn set_length(file: &File, length: u64) -> io::Result<()> {
    step()?;
    file.set_len(length)
}

pub(crate) fn sync(file: &File) -> io::Result<()> {
    step()?;
    #[cfg(test)]
    return synced(file);
    #[cfg(not(test))]
    file.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    rename_file(from, to)
}

/// Renames, but replaces no file. Where the file system cannot do that in one step, a file that is created in just this
/// moment is replaced.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    match rename_exclusively(from, to) {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            rename_file(from, to)
        }
        outcome => outcome,
    }
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    step()?;
    remove_file(path)
}

pub(crate) fn remove_if_exists(path: &Path) -> io::Result<()> {
    match remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Synchronizes new and removed names to disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    step()?;
    #[cfg(test)]
    synced_folder();
    match File::open(folder).and_then(|folder| if cfg!(test) { Ok(()) } else { folder.sync_all() }) {
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
    let existing = (first..).map(path).take_while(|path| path.symlink_metadata().is_ok());
    for path in existing.collect::<Vec<_>>().into_iter().rev() {
        remove(&path).map_err(|error| (path, error))?;
    }
    Ok(())
}
