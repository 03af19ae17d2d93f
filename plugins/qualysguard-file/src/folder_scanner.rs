//! Which files are due: looked up once or, while a folder is watched, again and again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};

use crate::delivered::Delivered;
use crate::done::OnDone;
use crate::fingerprint::{FileKey, Stamp};
use crate::options::Settings;
use crate::paths::{Candidate, look_up};
use crate::settle::UnchangedSince;

/// What is still to be read, and what need not be looked at again.
#[derive(Debug, Default)]
pub(crate) struct FolderScanner {
    queue: VecDeque<Candidate>,
    /// The queue came to its end, and the next call looks again.
    is_due: bool,
    /// Files that were dealt with, in whatever way, as they were before that. Only for watched folders.
    seen: HashMap<PathBuf, Option<Stamp>>,
    /// Files that are not finished. Only for watched folders: elsewhere they are waited for.
    growing: HashMap<PathBuf, UnchangedSince>,
    /// Paths that could not be opened, so that each is reported only once.
    told: HashSet<String>,
    /// Files that could not be read, though that may pass, and why. Only for watched folders.
    troubled: HashMap<PathBuf, String>,
}

/// What a look depends on.
pub(crate) struct ScanContext<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) services: &'a Services,
    pub(crate) delivered: &'a mut Delivered,
    /// Whether the run resumes an interrupted one.
    pub(crate) resumed: bool,
}

impl FolderScanner {
    /// Before the first look.
    pub(crate) fn new() -> Self {
        Self { is_due: true, ..Self::default() }
    }

    /// What is to be read next; none when all has been. A watched folder is looked at again in the next call.
    pub(crate) fn next(&mut self, around: &mut ScanContext<'_>) -> Result<Option<Candidate>> {
        if self.queue.is_empty() && std::mem::take(&mut self.is_due) {
            self.look(around)?;
        }
        let next = self.queue.pop_front();
        self.is_due |= next.is_none() && around.settings.poll.is_some();
        Ok(next)
    }

    /// Looks, and has this file read first; false if it is not among what is to be read.
    pub(crate) fn begin_with(&mut self, path: &Path, around: &mut ScanContext<'_>) -> Result<bool> {
        if std::mem::take(&mut self.is_due) {
            self.look(around)?;
        }
        let is_it = |candidate: &Candidate| match candidate {
            Candidate::File(file) => std::path::absolute(file).is_ok_and(|file| file == path),
            _ => false,
        };
        let found = self.queue.iter().position(is_it).and_then(|index| self.queue.remove(index));
        Ok(found.map(|candidate| self.queue.push_front(candidate)).is_some())
    }

    /// How long this file has been as it is.
    pub(crate) fn quiet(&mut self, path: &Path) -> &mut UnchangedSince {
        self.growing.entry(path.to_owned()).or_insert_with(|| UnchangedSince::of(path))
    }

    /// The file is finished, as far as one can see.
    pub(crate) fn is_ready(&mut self, path: &Path) {
        self.growing.remove(path);
    }

    /// The file could not be read, but that may pass: the next look takes it up again. Gives whether this is the first
    /// time that it could not for this reason.
    pub(crate) fn try_again(&mut self, path: &Path, error: &PluginError) -> bool {
        self.postpone(path);
        self.troubled.insert(path.to_owned(), error.message.clone()).as_ref() != Some(&error.message)
    }

    /// The file is not finished: the next look takes it up again.
    pub(crate) fn postpone(&mut self, path: &Path) {
        self.seen.remove(path);
    }

    fn look(&mut self, around: &mut ScanContext<'_>) -> Result<()> {
        let Settings { paths, patterns, poll, .. } = around.settings;
        let found = look_up(paths, patterns);
        if poll.is_some() {
            self.forget(&found);
            // If a directory cannot be read, it is unknown which of its files were removed.
            if !found.iter().any(|candidate| matches!(candidate, Candidate::Missing(..))) {
                around.delivered.forget_gone()?;
            }
        }
        for candidate in found {
            if around.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            if self.is_wanted(&candidate, around) {
                self.queue.push_back(candidate);
            }
        }
        Ok(())
    }

    /// What is gone may come back as something new.
    fn forget(&mut self, found: &[Candidate]) {
        let (mut files, mut words) = (HashSet::new(), HashSet::new());
        for candidate in found {
            match candidate {
                Candidate::File(path) => _ = files.insert(path),
                Candidate::Missing(_, error) => _ = words.insert(&error.message),
                Candidate::Empty(..) | Candidate::StandardInput => {}
            }
        }
        self.seen.retain(|path, _| files.contains(path));
        self.growing.retain(|path, _| files.contains(path));
        self.troubled.retain(|path, _| files.contains(path));
        self.told.retain(|message| words.contains(message));
    }

    fn is_wanted(&mut self, candidate: &Candidate, around: &mut ScanContext<'_>) -> bool {
        let watched = around.settings.poll.is_some();
        let takes_away = around.settings.on_done != OnDone::Keep;
        match candidate {
            Candidate::StandardInput => true,
            // Where files come and go, there may be none; and what was named may have been read before the run
            // was interrupted.
            Candidate::Empty(..) => !(watched || takes_away || around.resumed),
            Candidate::Missing(_, error) if watched => self.told.insert(error.message.clone()),
            Candidate::Missing(_, error) => {
                !(takes_away && around.resumed && error.kind == ErrorKind::NoInput)
            }
            Candidate::File(path) if around.settings.on_done.is_done(path) => false,
            Candidate::File(path) => self.is_new(path, watched) && !was_delivered(path, around.delivered),
        }
    }

    /// Whether the file was not dealt with in this run, or has changed since.
    fn is_new(&mut self, path: &Path, watched: bool) -> bool {
        if !watched {
            return true;
        }
        let stamp = Stamp::of(path);
        self.seen.insert(path.to_owned(), stamp) != Some(stamp)
    }
}

fn was_delivered(path: &Path, delivered: &mut Delivered) -> bool {
    let was =
        !delivered.is_empty() && FileKey::of(path).is_some_and(|key| delivered.finish_if_delivered(&key));
    if was {
        tracing::debug!(path = %path.display(), "already delivered; skipped");
    }
    was
}
