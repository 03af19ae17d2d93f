//! Waits for files that may still be being written, so that no report is read in part.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use scanbridge_plugin_api::{Result, Services, tracing};
use scanbridge_qualys_report::Settled;

use crate::fingerprint::FileKey;
use crate::source::{Opened, Opener};

/// A source that is not expected to grow, and the key of its file.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) settled: Settled,
    pub(crate) key: FileKey,
    /// Whether the next run finds the same bytes: false for a pipe.
    pub(crate) is_file: bool,
}

impl Ready {
    /// Examines an opened file; messages contain `name`.
    pub(crate) fn now(opened: Opened, path: &Path, name: &str) -> Result<Self> {
        let key = FileKey::new(path, &opened.fingerprint);
        Ok(Self { settled: Settled::now(opened.source, name)?, key, is_file: opened.is_file })
    }
}

/// Opens a file and waits until it is complete, or was unchanged for `settle`.
///
/// # Errors
/// When the file cannot be opened or read, or the run is cancelled.
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

/// Opens a file; none if it is incomplete and has changed within `settle`.
///
/// # Errors
/// When the file cannot be opened or read.
pub(crate) fn open_if_settled(
    opener: &Opener,
    path: &Path,
    settle: Duration,
    unchanged: &mut UnchangedSince,
) -> Result<Option<Ready>> {
    // Determined before the file is opened, so that a change in between is noticed.
    let is_unchanged = unchanged.remaining(path, settle).is_zero();
    let ready = Ready::now(opener.open(path)?, path, &path.display().to_string())?;
    let is_ready = !ready.settled.looks_unfinished() || is_unchanged || !is_regular(path);
    Ok(is_ready.then_some(ready))
}

/// Measures how long a file has been unchanged.
#[derive(Debug)]
pub(crate) struct UnchangedSince {
    stamp: Option<(u64, SystemTime)>,
    since: Instant,
    /// How long it was unchanged before the measurement, by its modification time.
    before: Duration,
}

impl UnchangedSince {
    /// Starts the measurement.
    pub(crate) fn of(path: &Path) -> Self {
        let stamp = stamp(path);
        // Clocks of file servers differ: a time in the future is ignored.
        let before = stamp.and_then(|(_, time)| time.elapsed().ok()).unwrap_or_default();
        Self { stamp, since: Instant::now(), before }
    }

    /// The time that it must still stay unchanged to reach `settle`.
    pub(crate) fn remaining(&mut self, path: &Path, settle: Duration) -> Duration {
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
            let remaining = self.remaining(path, settle);
            if self.stamp != stamp || remaining.is_zero() {
                return Ok(());
            }
            services.sleep(remaining.min(Duration::from_millis(250)))?;
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
