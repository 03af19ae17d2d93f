//! A simulated disk for tests: kills the process, fails, or cuts the power at a chosen step.
//!
//! After a simulated kill, calls and drops change nothing on the disk, and locks are released, as after a real kill. After
//! a loss of power, names that were not synchronized are lost from some point on, and each file has lost some of the
//! bytes that were not synchronized.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The fault at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed.
    Killed,
    /// The disk is full for one step.
    Full,
    /// The power fails. The number decides what is lost; 0 loses everything that is not synchronized.
    PowerLoss(u64),
}

thread_local! {
    static PLAN: Cell<Option<(u32, Fault)>> = const { Cell::new(None) };
    static DEAD: Cell<bool> = const { Cell::new(false) };
    static LOST: Cell<Option<u64>> = const { Cell::new(None) };
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// What would survive a loss of power now, in the only directory that is used.
struct Disk {
    folder: PathBuf,
    /// Removed files: they may come back, with their inode.
    removed: tempfile::TempDir,
    names: Names,
    /// Changes of names that are not synchronized, in order.
    pending: Vec<Change>,
    /// The content of each file by inode, as synchronized.
    content: BTreeMap<u64, Vec<u8>>,
}

/// Inodes by name.
type Names = BTreeMap<PathBuf, u64>;

enum Change {
    Add(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// Plans the fault for the step after the next `steps` steps.
pub(crate) fn plan(steps: u32, fault: Fault) {
    PLAN.set(Some((steps, fault)));
}

/// Begins a new process, after a loss of power on what is left of the disk. Returns whether a fault occurred in the
/// previous one.
pub(crate) fn clear_faults() -> bool {
    let came = PLAN.take().is_none();
    DEAD.set(false);
    if let Some(seed) = LOST.take() {
        DISK.with_borrow_mut(|disk| disk.as_mut().unwrap().lose(seed)).unwrap();
    }
    came
}

/// Whether the simulated process was killed.
pub(crate) fn is_dead() -> bool {
    DEAD.get()
}

pub(crate) fn step() -> io::Result<()> {
    match PLAN.take() {
        Some((0, Fault::Full)) => return Err(io::ErrorKind::StorageFull.into()),
        Some((0, fault)) => {
            DEAD.set(true);
            if let Fault::PowerLoss(seed) = fault {
                LOST.set(Some(seed));
            }
        }
        Some((steps, fault)) => PLAN.set(Some((steps - 1, fault))),
        None => {}
    }
    if DEAD.get() { Err(io::Error::other("the process was killed")) } else { Ok(()) }
}

/// Uses this directory from now on. All that is in it is synchronized.
pub(crate) fn use_folder(folder: &Path) {
    let removed = tempfile::tempdir_in(folder.parent().unwrap()).unwrap();
    let mut disk = Disk {
        folder: folder.to_owned(),
        removed,
        names: Names::new(),
        pending: Vec::new(),
        content: BTreeMap::new(),
    };
    disk.sync_everything().unwrap();
    DISK.set(Some(disk));
}

/// Runs this with the disk, if a test uses one.
fn with(run: impl FnOnce(&mut Disk) -> io::Result<()>) -> io::Result<()> {
    DISK.with_borrow_mut(|disk| disk.as_mut().map_or(Ok(()), run))
}

pub(crate) fn created(path: &Path, file: &File) -> io::Result<()> {
    let inode = file.metadata()?.ino();
    with(|disk| {
        disk.pending.push(Change::Add(path.to_owned(), inode));
        disk.content.insert(inode, Vec::new());
        Ok(())
    })
}

pub(crate) fn synced(file: &File) -> io::Result<()> {
    with(|disk| {
        let content = fs::read(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        disk.content.insert(file.metadata()?.ino(), content);
        Ok(())
    })
}

pub(crate) fn synced_folder() {
    with(|disk| {
        let pending = std::mem::take(&mut disk.pending);
        pending.into_iter().for_each(|change| change.apply(&mut disk.names));
        Ok(())
    })
    .unwrap();
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    set_removed(path)?;
    with(|disk| {
        disk.pending.push(Change::Remove(path.to_owned()));
        Ok(())
    })
}

pub(crate) fn rename_file(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_ok_and(|to| to.is_file()) {
        set_removed(to)?;
    }
    fs::rename(from, to)?;
    with(|disk| {
        disk.pending.push(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    })
}

pub(crate) fn rename_exclusively(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_ok() {
        Err(io::ErrorKind::AlreadyExists.into())
    } else {
        rename_file(from, to)
    }
}

/// Removes a name. The file stays in another directory if a test uses a disk.
fn set_removed(path: &Path) -> io::Result<()> {
    DISK.with_borrow(|disk| match disk {
        Some(disk) => disk.set_removed(path),
        None => fs::remove_file(path),
    })
}

impl Change {
    fn apply(self, names: &mut Names) {
        match self {
            Self::Add(path, inode) => {
                names.insert(path, inode);
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
            Self::Rename(from, to) => {
                let inode = names.remove(&from).unwrap();
                names.insert(to, inode);
            }
        }
    }
}

impl Disk {
    /// The power fails: a random beginning of the changes of names survives, and of each file the synchronized bytes
    /// and perhaps more.
    fn lose(&mut self, seed: u64) -> io::Result<()> {
        let mut random = Random(seed);
        let kept = random.below(self.pending.len() + 1);
        let mut names = std::mem::take(&mut self.names);
        self.pending.drain(..).take(kept).for_each(|change| change.apply(&mut names));
        for (path, _) in self.list(&self.folder)? {
            self.set_removed(&path)?;
        }
        for (path, inode) in &names {
            fs::rename(self.removed.path().join(inode.to_string()), path)?;
            let content = random.loss(&self.content[inode], fs::read(path)?);
            fs::write(path, content)?;
        }
        self.sync_everything()
    }

    fn sync_everything(&mut self) -> io::Result<()> {
        self.names = self.list(&self.folder)?;
        for (path, inode) in &self.names {
            self.content.insert(*inode, fs::read(path)?);
        }
        Ok(())
    }

    fn set_removed(&self, path: &Path) -> io::Result<()> {
        fs::rename(path, self.removed.path().join(fs::symlink_metadata(path)?.ino().to_string()))
    }

    /// All files but locks, which mean nothing without their process.
    fn list(&self, folder: &Path) -> io::Result<Names> {
        let mut names = Names::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "lock") {
                let inode = fs::symlink_metadata(&path)?.ino();
                names.insert(path, inode);
            }
        }
        Ok(names)
    }
}

/// Random numbers; always 0 from the seed 0.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).rotate_left(29);
        self.0 as usize % bound
    }

    /// The content after a loss of power: what was synchronized, all that was written, or a part of what was appended,
    /// perhaps with zeros in it.
    fn loss(&mut self, synced: &[u8], written: Vec<u8>) -> Vec<u8> {
        match self.below(4) {
            0 => synced.to_vec(),
            1 => written,
            kind if written.len() > synced.len() && written.starts_with(synced) => {
                let mut content = written;
                content.truncate(synced.len() + self.below(content.len() - synced.len()) + 1);
                if kind == 2 {
                    content[synced.len()..].fill(0);
                }
                content
            }
            _ => synced.to_vec(),
        }
    }
}
