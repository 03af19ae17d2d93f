//! A file that ends too early may still be being written: it is waited for, never read half.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use scanbridge_plugin_api::{Result, Services};
use scanbridge_qualys_report::Settled;

use crate::source::Opener;

/// Opens a file and waits until it is finished, or has not changed for `settle`.
///
/// # Errors
/// When it cannot be opened or read, or the host wants to stop.
pub(crate) fn open_settled(opener: &Opener, path: &Path, settle: Duration) -> Result<Settled> {
    let mut waited_for = Quiet::of(path);
    loop {
        let settled = Settled::now(opener.open(path)?, &path.display().to_string())?;
        if !settled.looks_unfinished() || !is_regular(path) {
            return Ok(settled);
        }
        if !waited_for.wait_for_change(path, settle, &opener.services)? {
            return Ok(settled);
        }
    }
}

/// How long a file has been as it is.
struct Quiet {
    stamp: Option<(u64, SystemTime)>,
    since: Instant,
    /// How long it was so before it was first looked at, by its own time.
    before: Duration,
}

impl Quiet {
    fn of(path: &Path) -> Self {
        let stamp = stamp(path);
        // A time in the future (clocks of file servers differ) says nothing.
        let before = stamp.and_then(|(_, time)| time.elapsed().ok()).unwrap_or_default();
        Self { stamp, since: Instant::now(), before }
    }

    /// Waits until the file changes: true. False when it has been quiet for `settle`.
    fn wait_for_change(&mut self, path: &Path, settle: Duration, services: &Services) -> Result<bool> {
        let mut told = false;
        loop {
            let now = stamp(path);
            if now != self.stamp {
                (self.stamp, self.since, self.before) = (now, Instant::now(), Duration::ZERO);
                return Ok(true);
            }
            let left = settle.saturating_sub(self.before + self.since.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            if !told {
                told = true;
                let path = path.display();
                scanbridge_plugin_api::tracing::info!(%path, "waiting for the file to be finished");
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
