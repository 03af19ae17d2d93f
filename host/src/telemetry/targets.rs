//! Where log lines go: standard error, below which a progress bar may be drawn, or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write, stderr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use rustix::fs::fstat;
use tracing::Level;

/// A target of log lines. A failed write never affects the run.
pub(crate) trait LineTarget: Send + Sync {
    /// Writes a line, which ends with a line feed.
    fn write_line(&self, level: Level, line: &str);
}

/// The progress bar that is shown now; log lines are written above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Sets the progress bar that log lines must not overwrite.
pub(crate) fn keep_clear_of(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Standard error; hides the progress bar while a line is written.
#[derive(Debug)]
pub(super) struct Stderr;

impl LineTarget for Stderr {
    fn write_line(&self, _: Level, line: &str) {
        // The reader may have closed its end.
        let _ = match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(|| stderr().write_all(line.as_bytes())),
            None => stderr().write_all(line.as_bytes()),
        };
    }
}

/// Whether standard error is a stream of the journal: `JOURNAL_STREAM` names its device and inode (sd-daemon(3)).
pub(super) fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(stderr()).is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}

/// A log file. Lines are appended.
#[derive(Debug)]
pub(crate) struct LogFile {
    program: &'static str,
    path: PathBuf,
    /// The file, and whether a write error has been printed.
    file: Mutex<(File, bool)>,
}

impl LogFile {
    /// Opens the log file. A new file is readable only by owner and group, because a log may contain host names and
    /// account names.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path, program: &'static str) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        Ok(Self { program, path: path.to_owned(), file: Mutex::new((file, false)) })
    }
}

impl LineTarget for LogFile {
    /// The first write error is printed to standard error, so that a truncated log has an explanation.
    fn write_line(&self, _: Level, line: &str) {
        let (file, has_failed) = &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes())
            && !std::mem::replace(has_failed, true)
        {
            let Self { program, path, .. } = self;
            let _ = writeln!(stderr(), "{program}: cannot write the log file {}: {error}", path.display());
        }
    }
}
