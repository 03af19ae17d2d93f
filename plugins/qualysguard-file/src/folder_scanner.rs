//! Finds the files to read: once or, for a watched directory, by repeated scans.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};

use crate::delivered::Delivered;
use crate::done::OnDone;
use crate::fingerprint::{FileKey, Stamp};
use crate::options::Settings;
use crate::paths::{Candidate, find_files};
use crate::refused::Refused;
use crate::settle::UnchangedSince;

/// The files that are still to be read, and those that were read.
#[derive(Debug, Default)]
pub(crate) struct FolderScanner {
    queue: VecDeque<Candidate>,
    /// Whether the next call scans again, because the queue is empty.
    is_due: bool,
    /// Files that were handled, with their metadata at that time. Only for watched directories.
    seen: HashMap<PathBuf, Option<Stamp>>,
    /// Files that are still being written. Only for watched directories; otherwise the input waits for them.
    growing: HashMap<PathBuf, UnchangedSince>,
    /// Paths that could not be opened, so that each is reported only once.
    reported: HashSet<String>,
    /// Files that could not be read for a temporary reason, with the reason. Only for watched directories.
    unreadable: HashMap<PathBuf, String>,
}

/// What a scan depends on.
pub(crate) struct ScanContext<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) services: &'a Services,
    pub(crate) delivered: &'a mut Delivered,
    pub(crate) refused: &'a Refused,
    /// Whether the run resumes an interrupted one.
    pub(crate) resumed: bool,
}

impl FolderScanner {
    /// The state before the first scan.
    pub(crate) fn new() -> Self {
        Self { is_due: true, ..Self::default() }
    }

    /// The next file to read; `None` when all have been read. In a watched directory, the next call then scans again.
    pub(crate) fn next(&mut self, context: &mut ScanContext<'_>) -> Result<Option<Candidate>> {
        if self.queue.is_empty() && std::mem::take(&mut self.is_due) {
            self.scan(context)?;
        }
        let next = self.queue.pop_front();
        self.is_due |= next.is_none() && context.settings.poll.is_some();
        Ok(next)
    }

    /// Scans, and puts this file first; false if it is not among the files to read.
    pub(crate) fn begin_with(&mut self, path: &Path, context: &mut ScanContext<'_>) -> Result<bool> {
        if std::mem::take(&mut self.is_due) {
            self.scan(context)?;
        }
        let is_path = |candidate: &Candidate| match candidate {
            Candidate::File(file) => std::path::absolute(file).is_ok_and(|file| file == path),
            _ => false,
        };
        let found = self.queue.iter().position(is_path).and_then(|index| self.queue.remove(index));
        Ok(found.map(|candidate| self.queue.push_front(candidate)).is_some())
    }

    /// How long this file has been unchanged.
    pub(crate) fn unchanged_since(&mut self, path: &Path) -> &mut UnchangedSince {
        self.growing.entry(path.to_owned()).or_insert_with(|| UnchangedSince::of(path))
    }

    /// Records that the file is complete, as far as this can be determined.
    pub(crate) fn is_ready(&mut self, path: &Path) {
        self.growing.remove(path);
    }

    /// Records that the file could not be read for a temporary reason; the next scan retries it. Returns whether this
    /// is the first failure for this reason.
    pub(crate) fn retry_later(&mut self, path: &Path, error: &PluginError) -> bool {
        self.postpone(path);
        self.unreadable.insert(path.to_owned(), error.message.clone()).as_ref() != Some(&error.message)
    }

    /// Records that the file is still being written; the next scan retries it.
    pub(crate) fn postpone(&mut self, path: &Path) {
        self.seen.remove(path);
    }

    fn scan(&mut self, context: &mut ScanContext<'_>) -> Result<()> {
        let Settings { paths, patterns, poll, .. } = context.settings;
        let found = find_files(paths, patterns);
        if poll.is_some() {
            self.discard_missing(&found);
            // If a directory cannot be read, it is unknown which of its files were removed.
            if !found.iter().any(|candidate| matches!(candidate, Candidate::Missing(..))) {
                context.delivered.remove_missing(context.refused)?;
            }
        }
        for candidate in found {
            if context.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            if self.is_to_be_read(&candidate, context)? {
                self.queue.push_back(candidate);
            }
        }
        Ok(())
    }

    /// Discards entries of files that no longer exist: a new file may get the same name.
    fn discard_missing(&mut self, found: &[Candidate]) {
        let (mut files, mut messages) = (HashSet::new(), HashSet::new());
        for candidate in found {
            match candidate {
                Candidate::File(path) => _ = files.insert(path),
                Candidate::Missing(_, error) => _ = messages.insert(&error.message),
                Candidate::Empty(..) | Candidate::StandardInput => {}
            }
        }
        self.seen.retain(|path, _| files.contains(path));
        self.growing.retain(|path, _| files.contains(path));
        self.unreadable.retain(|path, _| files.contains(path));
        self.reported.retain(|message| messages.contains(message));
    }

    fn is_to_be_read(&mut self, candidate: &Candidate, context: &mut ScanContext<'_>) -> Result<bool> {
        let watched = context.settings.poll.is_some();
        let removes_files = context.settings.on_done != OnDone::Keep;
        Ok(match candidate {
            Candidate::StandardInput => true,
            // If files are moved or deleted, a path may match none. A named file may have been read before the
            // interruption.
            Candidate::Empty(..) => !(watched || removes_files || context.resumed),
            Candidate::Missing(_, error) if watched => self.reported.insert(error.message.clone()),
            Candidate::Missing(_, error) => {
                !(removes_files && context.resumed && error.kind == ErrorKind::NoInput)
            }
            Candidate::File(path) if context.settings.on_done.is_done(path) => false,
            Candidate::File(path) => self.is_new(path, watched) && !was_delivered(path, context.delivered)?,
        })
    }

    /// Whether the file was not handled in this run, or has changed since then.
    fn is_new(&mut self, path: &Path, watched: bool) -> bool {
        if !watched {
            return true;
        }
        let stamp = Stamp::of(path);
        self.seen.insert(path.to_owned(), stamp) != Some(stamp)
    }
}

fn was_delivered(path: &Path, delivered: &mut Delivered) -> Result<bool> {
    if delivered.is_empty() {
        return Ok(false);
    }
    let Some(key) = FileKey::of(path) else { return Ok(false) };
    let is_delivered = delivered.finish_if_delivered(&key)?;
    if is_delivered {
        tracing::debug!(path = %path.display(), "already delivered; skipped");
    }
    Ok(is_delivered)
}
