//! A file that ends too early may still be being written: the input waits for it and never reads a part of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use scanbridge_plugin_api::{Result, Services, tracing};
use scanbridge_qualys_report::Settled;

use crate::fingerprint::FileKey;
use crate::source::{Opened, Opener};

/// A source that will not grow any more, and the fingerprint of its file.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) settled: Settled,
    pub(crate) key: FileKey,
    /// Whether the next run finds the same bytes: false for a pipe.
    pub(crate) stays: bool,
}

impl Ready {
    /// Decides whether an opened file is complete; `name` is shown in messages.
    pub(crate) fn now(opened: Opened, path: &Path, name: &str) -> Result<Self> {
        let key = FileKey::new(path, &opened.fingerprint);
        Ok(Self { settled: Settled::now(opened.source, name)?, key, stays: opened.stays })
    }
}

/// Opens a file and waits until it is finished, or has not changed for `settle`.
///
/// # Errors
/// When it cannot be opened or read, or the host wants to stop.
pub(crate) fn open_settled(opener: &Opener, path: &Path, settle: Duration) -> Result<Ready> {
    let mut unchanged = UnchangedSince::of(path);
    loop {
        if let Some(ready) = open_if_settled(opener, path, settle, &mut unchanged)? {
            return Ok(ready);
        }
        tracing::info!(path = %path.display(), "waiting until the file is complete");
        unchanged.wait(path, settle, &opener.services)?;
    }
}

/// Opens a file; none if it is not finished and has changed within `settle`.
///
/// # Errors
/// When it cannot be opened or read.
pub(crate) fn open_if_settled(
    opener: &Opener,
    path: &Path,
    settle: Duration,
    unchanged: &mut UnchangedSince,
) -> Result<Option<Ready>> {
    // Determined before the file is opened, so that a change in between is noticed.
    let is_unchanged = unchanged.left(path, settle).is_zero();
    let ready = Ready::now(opener.open(path)?, path, &path.display().to_string())?;
    let is_ready = !ready.settled.looks_unfinished() || is_unchanged || !is_regular(path);
    Ok(is_ready.then_some(ready))
}

/// How long a file has been unchanged.
#[derive(Debug)]
pub(crate) struct UnchangedSince {
    stamp: Option<(u64, SystemTime)>,
    since: Instant,
    /// How long it was unchanged before it was first examined, by its modification time.
    before: Duration,
}

impl UnchangedSince {
    /// Starts the measurement.
    pub(crate) fn of(path: &Path) -> Self {
        let stamp = stamp(path);
        // A time in the future (clocks of file servers differ) proves nothing.
        let before = stamp.and_then(|(_, time)| time.elapsed().ok()).unwrap_or_default();
        Self { stamp, since: Instant::now(), before }
    }

    /// How long it must stay unchanged until it was unchanged for `settle`.
    pub(crate) fn left(&mut self, path: &Path, settle: Duration) -> Duration {
        let now = stamp(path);
        if now != self.stamp {
            (self.stamp, self.since, self.before) = (now, Instant::now(), Duration::ZERO);
        }
        settle.saturating_sub(self.before + self.since.elapsed())
    }

    /// Waits until the file has changed, or was unchanged for `settle`.
    fn wait(&mut self, path: &Path, settle: Duration, services: &Services) -> Result<()> {
        let stamp = self.stamp;
        loop {
            let left = self.left(path, settle);
            if self.stamp != stamp || left.is_zero() {
                return Ok(());
            }
            services.sleep(left.min(Duration::from_millis(250)))?;
        }
    }
}

fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

fn is_regular(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
