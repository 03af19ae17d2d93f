//! Files that need not be read again, because this run has read them or earlier runs delivered them. They are keys of
//! the instance, so they are stored together with the position at the end of their report.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{PluginError, Result, Services, State, StoredReport, tracing};
use serde::{Deserialize, Serialize};

use crate::done::{Disposition, OnDone};
use crate::fingerprint::FileKey;
use crate::refused::Refused;

/// Files whose reports ended and were delivered.
#[derive(Debug)]
pub(crate) struct Delivered {
    state: State,
    on_done: OnDone,
    is_empty: bool,
}

/// A file, as stored under a key.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The text of its [`FileKey`].
    file: String,
    /// Whether its report was complete.
    complete: bool,
    delivery: Delivery,
}

/// What the host has reported about the delivery of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Delivery {
    /// Nothing yet.
    Unconfirmed,
    /// An output lacks findings: the file is needed to send them.
    Missed,
    /// The file may be moved or deleted.
    Settled,
}

impl Delivered {
    /// The files of earlier runs.
    pub(crate) fn open(state: State, on_done: OnDone) -> Result<Self> {
        let is_empty = state.list(PREFIX)?.is_empty();
        Ok(Self { state, on_done, is_empty })
    }

    /// The files of earlier runs do not count: some of them are to be read again.
    pub(crate) fn ignored(self) -> Self {
        Self { is_empty: true, ..self }
    }

    /// Deletes the list of earlier runs: this run starts from the beginning.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.is_empty = true;
        self.state.list(PREFIX)?.iter().try_for_each(|name| self.state.delete(name))
    }

    /// Whether no file was delivered before.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether the file was delivered before. If so, applies `on_done` unless that is done already.
    pub(crate) fn finish_if_delivered(&mut self, key: &FileKey) -> Result<bool> {
        let name = name_of(&key.path(), key.revision());
        let Some(entry) = self.entry(&name)? else { return Ok(false) };
        if entry.complete && entry.delivery == Delivery::Settled {
            match self.on_done.apply(key) {
                Ok(Disposition::Deleted | Disposition::Moved(_)) => {
                    sync_folder(&key.path());
                    self.state.delete(&name)?;
                }
                Ok(Disposition::Kept) => {}
                // The file was delivered, so a failed action does not stop the run.
                Err(error) => tracing::error!("{error}"),
            }
        }
        Ok(true)
    }

    /// Whether the file was delivered before, or is skipped.
    pub(crate) fn contains(&self, key: &FileKey) -> Result<bool> {
        Ok(self.entry(&name_of(&key.path(), key.revision()))?.is_some())
    }

    /// Lets a file count as delivered, or no longer. It is not moved or deleted, because it was not read. Returns whether
    /// this is a change.
    pub(crate) fn mark(&mut self, key: &FileKey, delivered: bool) -> Result<bool> {
        if self.contains(key)? == delivered {
            return Ok(false);
        }
        let name = name_of(&key.path(), key.revision());
        if delivered {
            self.is_empty = false;
            let file = key.text().to_owned();
            self.put(&name, &Entry { file, complete: false, delivery: Delivery::Settled })?;
        } else {
            self.state.delete(&name)?;
        }
        Ok(true)
    }

    /// Adds a report that was read to its end and will be delivered.
    pub(crate) fn ended(&mut self, key: &FileKey, complete: bool) -> Result<()> {
        self.is_empty = false;
        let entry = Entry { file: key.text().to_owned(), complete, delivery: Delivery::Unconfirmed };
        self.put(&name_of(&key.path(), key.revision()), &entry)
    }

    /// These reports are stored: moves or deletes their files. A file stays in place if its report was incomplete, or
    /// an output lacks some of its findings. Returns the first error of moving or deleting.
    pub(crate) fn stored(&mut self, reports: &[StoredReport], services: &Services) -> Result<()> {
        let mut problem = Ok(());
        let mut folders = HashSet::new();
        for report in reports {
            let path =
                std::path::absolute(&report.key.path).unwrap_or_else(|_| report.key.path.clone().into());
            let name = name_of(&path, &report.key.revision);
            let Some(mut entry) = self.entry(&name)? else { continue };
            let is_settled = report.outcome.is_settled();
            entry.delivery = if is_settled { Delivery::Settled } else { Delivery::Missed };
            let key = FileKey::from_text(entry.file.clone());
            let is_done = entry.complete && is_settled;
            let disposition = if is_done { self.on_done.apply(&key) } else { Ok(Disposition::Kept) };
            if let Ok(Disposition::Deleted | Disposition::Moved(_)) = &disposition {
                if let Ok(Disposition::Moved(to)) = &disposition {
                    services.moved(&report.key, to);
                }
                folders.extend(key.path().parent().map(Path::to_owned));
                self.state.delete(&name)?;
                continue;
            }
            self.put(&name, &entry)?;
            problem = problem.and(disposition.map(|_| ()));
        }
        folders.iter().for_each(|folder| sync(folder));
        problem
    }

    /// Removes files that no longer exist from both lists, so that new files of the same name are read, and their size is
    /// limited.
    pub(crate) fn remove_missing(&mut self, refused: &Refused) -> Result<()> {
        let mut full = HashMap::new();
        refused.remove(|path| is_gone(path, &mut full))?;
        for name in self.state.list(PREFIX)? {
            if let Some(entry) = self.entry(&name)?
                && entry.delivery != Delivery::Unconfirmed
                && is_gone(&FileKey::from_text(entry.file).path(), &mut full)
            {
                self.state.delete(&name)?;
            }
        }
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<Option<Entry>> {
        let Some(value) = self.state.get(name)? else { return Ok(None) };
        let entry = serde_json::from_slice(&value);
        entry.map(Some).map_err(|error| {
            PluginError::config(format!("the list of delivered files is invalid at {name}: {error}"))
                .with_hint(
                    "run `scanbridge state reset FILE --instance ID`; all files are then delivered again",
                )
        })
    }

    fn put(&self, name: &str, entry: &Entry) -> Result<()> {
        self.state.put(name, &serde_json::to_vec(entry).expect("plain data can be serialized"))
    }
}

/// The keys of this list begin with this.
const PREFIX: &str = "file:";

/// The key of a file. Paths may be longer than keys, so it contains a hash. Paths that are not valid UTF-8 are hashed
/// as they are shown, because that is what the host reports back.
fn name_of(path: &Path, revision: &str) -> String {
    let text = format!("{}\t{revision}", path.display());
    format!("{PREFIX}{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

fn sync_folder(path: &Path) {
    path.parent().into_iter().for_each(sync);
}

/// Without a sync, a file could reappear after a power failure, although it is no longer in the list.
fn sync(folder: &Path) {
    let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
}

/// Whether a file or directory no longer exists. An empty directory proves nothing: a file system that is not mounted
/// looks the same, and without the list all its files would be delivered again. `full` caches the results.
fn is_gone(path: &Path, full: &mut HashMap<PathBuf, bool>) -> bool {
    if !fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return false;
    }
    let Some(folder) = path.parent() else { return false };
    if let Some(is_full) = full.get(folder) {
        return *is_full;
    }
    let is_full = match fs::read_dir(folder) {
        Ok(mut entries) => entries.any(|entry| entry.is_ok()),
        Err(error) => error.kind() == io::ErrorKind::NotFound && is_gone(folder, full),
    };
    full.insert(folder.to_owned(), is_full);
    is_full
}
