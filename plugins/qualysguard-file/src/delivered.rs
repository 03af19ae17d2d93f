//! Files that need not be read again, because this run has read them or earlier runs delivered them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scanbridge_delivery_journal::Journal;
use scanbridge_plugin_api::{PluginError, Result, tracing};

use crate::done::{Disposition, OnDone};
use crate::fingerprint::{FileKey, path_of};
use crate::position::{Hash, Inside, ParsedPosition};

/// Files that are delivered, and files that count as delivered once the host confirms it.
#[derive(Debug)]
pub(crate) struct Delivered {
    journal: Journal,
    on_done: OnDone,
    /// Files whose reports ended in this run and are not committed yet.
    ended: BTreeMap<Hash, DeliveredReport>,
    /// Files that are delivered according to the position at which the run resumes, each with whether its report was
    /// complete. The journal may lack them: a crash can happen before the host calls `committed`. The position is
    /// always a committed one, because this input never reports itself as unavailable.
    resumed: HashMap<Hash, bool>,
}

/// A report that was delivered completely.
#[derive(Debug)]
struct DeliveredReport {
    key: FileKey,
    complete: bool,
}

impl Delivered {
    /// Reads the list of delivered files of earlier runs. Changes nothing.
    pub(crate) fn open(folder: &Path, on_done: OnDone, resumed: &ParsedPosition) -> Result<Self> {
        let of =
            |hashes: &[Hash], complete| hashes.iter().map(move |hash| (hash.clone(), complete)).collect();
        let mut by_hash: HashMap<Hash, bool> = of(&resumed.complete, true);
        by_hash.extend::<HashMap<_, _>>(of(&resumed.incomplete, false));
        Ok(Self { journal: Journal::open(folder)?, on_done, ended: BTreeMap::new(), resumed: by_hash })
    }

    /// Deletes the list of delivered files of earlier runs: this run starts from the beginning.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.journal.clear()
    }

    /// Whether no file was delivered before.
    pub(crate) fn is_empty(&self) -> bool {
        self.journal.is_empty() && self.resumed.is_empty() && self.ended.is_empty()
    }

    /// Whether the file was delivered before. If so, applies `on_done` unless that is done already.
    pub(crate) fn finish_if_delivered(&mut self, key: &FileKey) -> bool {
        let hash = Hash::of(key);
        if self.ended.contains_key(&hash) {
            return true;
        }
        let complete = if self.journal.contains(key.text()) {
            true
        } else if self.journal.contains(&incomplete(key)) {
            false
        } else if let Some(complete) = self.resumed.get(&hash) {
            *complete
        } else {
            return false;
        };
        let ended = DeliveredReport { key: key.clone(), complete };
        if let Some(error) = self.finish([&ended]).unwrap_or_else(Some) {
            tracing::error!("{error}"); // The file was delivered, so a failed action does not stop the run.
        }
        true
    }

    /// Adds a report that was read to its end and will be delivered.
    pub(crate) fn ended(&mut self, key: FileKey, complete: bool) {
        self.ended.insert(Hash::of(&key), DeliveredReport { key, complete });
    }

    /// The current position: the files that ended, and `report`, the position in the current one.
    pub(crate) fn position(&self, report: Option<Inside>) -> ParsedPosition {
        let of = |complete| {
            let matching = self.ended.iter().filter(move |(_, ended)| ended.complete == complete);
            matching.map(|(hash, _)| hash.clone()).collect()
        };
        ParsedPosition { complete: of(true), incomplete: of(false), report }
    }

    /// Everything up to this position is stored: moves or deletes its files, and records them. Files with one of the
    /// revisions `kept` stay in place, because an output lacks some of their findings.
    pub(crate) fn stored(&mut self, position: &ParsedPosition, kept: &HashSet<&str>) -> Result<()> {
        let delivered = position.complete.iter().chain(&position.incomplete);
        let mut settled: BTreeMap<Hash, DeliveredReport> =
            delivered.filter_map(|hash| self.ended.remove_entry(hash)).collect();
        for report in settled.values_mut() {
            report.complete &= !kept.contains(report.key.revision());
        }
        match self.finish(settled.values()) {
            Ok(problem) => problem.map_or(Ok(()), Err),
            Err(error) => {
                // Later positions name the files that could not be recorded.
                self.ended.extend(settled);
                Err(error)
            }
        }
    }

    /// Removes files that no longer exist from the list, so that new files of the same name are read, and memory is
    /// limited.
    pub(crate) fn remove_missing(&mut self) -> Result<()> {
        let mut full = HashMap::new();
        self.journal.retain(|key| !is_gone(&path_of(key), &mut full))
    }

    /// Moves or deletes delivered files, and records those that are kept. Returns the first error of moving or
    /// deleting as a value; an error result means that nothing could be recorded.
    fn finish<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a DeliveredReport>,
    ) -> Result<Option<PluginError>> {
        let mut problem: Option<PluginError> = None;
        let mut kept = Vec::new();
        let mut folders = HashSet::new();
        for file in files {
            let path = file.key.path();
            let disposition =
                if file.complete { self.on_done.apply(&file.key) } else { Ok(Disposition::Kept) };
            match disposition {
                Ok(Disposition::Removed) => folders.extend(path.parent().map(Path::to_owned)),
                Ok(Disposition::Kept) => kept.push(journal_key(file)),
                Err(error) => {
                    kept.push(journal_key(file));
                    problem.get_or_insert(error);
                }
            }
        }
        for folder in folders {
            // Without a sync, a file could reappear after a power failure, although it is no longer recorded.
            let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
        self.journal.record(kept)?;
        Ok(problem)
    }
}

fn journal_key(file: &DeliveredReport) -> String {
    if file.complete { file.key.text().to_owned() } else { incomplete(&file.key) }
}

/// The key of an incomplete report: its file is never moved or deleted.
fn incomplete(key: &FileKey) -> String {
    format!("{}\tincomplete", key.text())
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
