//! One file that is being written: locked, buffered, and removed again unless it is sealed or a receipt names it.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::content::{self, Content};
use crate::disk;
use crate::failure::{cannot_create, cannot_read, cannot_write};

/// A part file that this process alone writes. Dropped before it is to stay, it removes itself.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// What is in the file, without the buffer.
    content: Content,
    /// The checksum of the content, in a form that can be continued.
    sum: crc32fast::Hasher,
    /// Whether all of the content is on the disk.
    synced: bool,
    stays: bool,
}

impl Part {
    /// Makes the file, or takes over and empties the one that a killed process left.
    pub(crate) fn create(path: PathBuf, mode: u32) -> Result<Self> {
        let failed = |error: io::Error| cannot_create(&path, &error);
        disk::step().map_err(failed)?;
        let file = lock(&path, mode, OFlags::CREATE, Unsafe::Replace)?;
        let inode = file.metadata().map_err(failed)?.ino();
        let part = Self::of(path, file, Content { inode, base: 0, length: 0, sum: 0 });
        part.prepare(mode, 0).map_err(|error| cannot_create(&part.path, &error))?;
        Ok(part)
    }

    /// Adopts the file that a receipt names, and truncates it to the length in the receipt.
    pub(crate) fn adopt(path: PathBuf, mode: u32, content: Content) -> Result<Self> {
        let file = lock(&path, mode, OFlags::empty(), Unsafe::Refuse)?;
        let inode = file.metadata().map_err(|error| cannot_create(&path, &error))?.ino();
        let mut part = Self::of(path, file, Content { inode, ..content });
        part.stays = true;
        part.prepare(mode, content.length)
            .and_then(|()| part.file.seek(SeekFrom::Start(content.length)))
            .map_err(|error| cannot_write(&part.path, &error))?;
        Ok(part)
    }

    fn of(path: PathBuf, file: File, content: Content) -> Self {
        let sum = crc32fast::Hasher::new_with_initial(content.sum);
        Self { path, file, buffer: Vec::with_capacity(BUFFER), content, sum, synced: false, stays: false }
    }

    /// Begins with what is known of this file; without knowledge with all that is in it.
    pub(crate) fn copy_from(&mut self, path: &Path, known: Option<&Content>) -> Result<()> {
        let source = content::open(path).and_then(|file| file.ok_or(io::ErrorKind::NotFound.into()));
        let source = source.map_err(|error| cannot_read(path, &error))?;
        let length = source.metadata().map_err(|error| cannot_read(path, &error))?.len();
        let (base, length, sum) = match known {
            Some(known) => (known.base, known.length, known.sum),
            None => (length, length, 0),
        };
        disk::copy(source, &self.file, length).map_err(|error| cannot_write(&self.path, &error))?;
        self.content = Content { base, length, sum, ..self.content };
        self.sum = crc32fast::Hasher::new_with_initial(sum);
        Ok(())
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

    /// Bytes that were written, whether still in the buffer or not.
    pub(crate) fn length(&self) -> u64 {
        self.content.length + self.buffer.len() as u64
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings everything written so far to the disk.
    pub(crate) fn sync(&mut self) -> Result<Content> {
        self.flush()?;
        if !self.synced {
            disk::sync_data(&self.file).map_err(|error| cannot_write(&self.path, &error))?;
            self.synced = true;
        }
        Ok(self.content)
    }

    /// Brings everything to the disk and leaves the file where it is.
    pub(crate) fn seal(&mut self) -> Result<Content> {
        self.flush()?;
        disk::sync_all(&self.file).map_err(|error| cannot_write(&self.path, &error))?;
        self.stays = true;
        Ok(self.content)
    }

    /// Says whether the file stays when this value is dropped.
    pub(crate) fn stays(&mut self, stays: bool) {
        self.stays = stays;
    }

    fn prepare(&self, mode: u32, length: u64) -> io::Result<()> {
        disk::set_length(&self.file, length)?;
        // The option decides who may read the findings, not the umask of the calling process.
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        Ok(())
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
        self.sum.update(bytes);
        self.content.length += bytes.len() as u64;
        self.content.sum = self.sum.clone().finalize();
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.stays {
            // The next run would take the file over; that it stays is worth no second error.
            let _ = disk::remove(&self.path);
        }
    }
}

/// Opens and locks the file. The one that was opened may have been renamed or removed by its last owner before
/// the lock was ours; then the name stands for another file, and we try again.
///
/// Nothing is written to a file that another user owns or that has a second name: it is checked after it was opened and
/// locked, before its length or mode is changed.
fn lock(path: &Path, mode: u32, create: OFlags, unsafe_file: Unsafe) -> Result<File> {
    for _ in 0..LOCK_ATTEMPTS {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | create;
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
            return Err(cannot_create(path, &io::Error::other("not a regular file")));
        }
        match (problem(&opened), unsafe_file) {
            (None, _) => {}
            (Some(Problem::SecondName), Unsafe::Refuse) if has_all_names_here(path, &opened) => {}
            (Some(problem), Unsafe::Refuse) => return Err(refused(path, problem, "")),
            (Some(problem), Unsafe::Replace) => {
                // Only the name is removed: the file of the other user, or under the second name, keeps its bytes.
                if let Err(error) = disk::remove(path) {
                    return Err(refused(path, problem, &format!(" and cannot be removed ({error})")));
                }
                continue;
            }
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

/// What to do with an existing file that another user could control.
#[derive(Debug, Clone, Copy)]
enum Unsafe {
    /// Remove its name and create a new file.
    Replace,
    /// Report an error. A second name in the same directory is allowed: a crash between two steps of publication leaves
    /// both names.
    Refuse,
}

/// Why an existing part file cannot be trusted.
#[derive(Debug, Clone, Copy)]
enum Problem {
    /// It belongs to the user with this ID.
    ForeignOwner(u32),
    /// It is a hard link to a file with another name.
    SecondName,
}

fn problem(file: &fs::Metadata) -> Option<Problem> {
    let own = rustix::process::geteuid().as_raw();
    if file.uid() != own && file.uid() != 0 {
        return Some(Problem::ForeignOwner(file.uid()));
    }
    (file.nlink() > 1).then_some(Problem::SecondName)
}

/// Whether all names of the file are in the directory of `path`.
fn has_all_names_here(path: &Path, file: &fs::Metadata) -> bool {
    let Some(Ok(entries)) = path.parent().map(fs::read_dir) else { return false };
    let is_name = |entry: &fs::DirEntry| {
        entry.metadata().is_ok_and(|entry| (entry.dev(), entry.ino()) == (file.dev(), file.ino()))
    };
    entries.flatten().filter(is_name).count() as u64 == file.nlink()
}

fn refused(path: &Path, problem: Problem, consequence: &str) -> PluginError {
    let problem = match problem {
        Problem::ForeignOwner(user) => {
            format!("belongs to the user with ID {user}, who could change the output")
        }
        Problem::SecondName => "is a hard link to another file, which would be overwritten".to_owned(),
    };
    PluginError::new(ErrorKind::CannotCreate, format!("{} {problem}{consequence}", path.display())).with_hint(
        "remove this file as its owner or as root, or write to a directory that only you can change",
    )
}

fn in_use(path: &Path) -> PluginError {
    PluginError::new(
        ErrorKind::CannotCreate,
        format!("{} is locked: another process or output is writing the same file", path.display()),
    )
    .with_hint("wait until it has finished, or set a different `path` for each")
}

/// Large enough that a write is cheap compared with the data, and small compared with the rest of a plugin's memory.
const BUFFER: usize = 128 * 1024;

const LOCK_ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".a.csv.part");
        (folder, path)
    }

    #[test]
    fn hard_link_as_part_file_is_replaced_and_its_target_keeps_its_bytes() {
        let (folder, path) = folder();
        let victim = folder.path().join("victim");
        fs::write(&victim, "keep").unwrap();
        fs::hard_link(&victim, &path).unwrap();
        let mut part = Part::create(path.clone(), 0o640).unwrap();
        part.write(b"finding").unwrap();
        part.seal().unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "keep");
        assert_eq!(fs::read_to_string(&path).unwrap(), "finding");
    }

    #[test]
    fn hard_link_is_adopted_only_if_its_other_name_is_in_the_same_directory() {
        let (folder, path) = folder();
        let elsewhere = tempfile::tempdir_in(folder.path()).unwrap();
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "keep").unwrap();
        fs::hard_link(&victim, &path).unwrap();
        let content = Content { inode: fs::metadata(&victim).unwrap().ino(), base: 0, length: 2, sum: 0 };
        let error = Part::adopt(path.clone(), 0o640, content).unwrap_err();
        assert!(
            error.message.ends_with("is a hard link to another file, which would be overwritten"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&victim).unwrap(), "keep");
        fs::rename(&victim, folder.path().join("a.csv")).unwrap();
        assert!(Part::adopt(path, 0o640, content).is_ok());
    }

    #[test]
    fn part_file_of_another_user_is_replaced_or_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can change the owner of a file");
            return;
        }
        let (_folder, path) = folder();
        fs::write(&path, "prepared").unwrap();
        chown(&path, Some(12_345), None).unwrap();
        let content = Content { inode: fs::metadata(&path).unwrap().ino(), base: 0, length: 0, sum: 0 };
        let error = Part::adopt(path.clone(), 0o640, content).unwrap_err();
        assert!(error.message.contains("belongs to the user with ID 12345"), "{error}");
        let mut part = Part::create(path.clone(), 0o640).unwrap();
        part.seal().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 0);
    }
}
