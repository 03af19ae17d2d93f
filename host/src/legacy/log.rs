//! Log targets: all that are set, or standard output when none is set.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Level;

use super::syslog::Syslog;
use crate::commands::terminal::print_error;
use crate::telemetry;

/// Log targets. Without any, the log goes to standard output.
#[derive(Debug, Default)]
pub(super) struct LogTargets {
    pub(super) syslog: bool,
    pub(super) stderr: bool,
    pub(super) file: Option<PathBuf>,
}

impl LogTargets {
    /// Starts the log.
    ///
    /// # Errors
    /// The exit code, when the log file cannot be opened; the error has been printed.
    pub(super) fn start(&self, program: &'static str, level: Level) -> Result<Started, u8> {
        let file = match &self.file {
            Some(path) => Some(open(path).map_err(|error| {
                print_error(&format!("{program}: cannot open the log file {}: {error}\n", path.display()));
                CANNOT_CREATE
            })?),
            None => None,
        };
        let syslog = self.syslog.then(|| Syslog::connect(program));
        let no_syslog = matches!(syslog, Some(Err(_)));
        let stderr = self.stderr || no_syslog;
        let stdout = !stderr && file.is_none() && syslog.is_none();
        let on_terminal = stdout && io::stdout().is_terminal() && io::stderr().is_terminal();
        let path = self.file.clone().unwrap_or_default();
        let file = file.map(|file| Arc::new(Mutex::new(LogFile { program, path, file, has_failed: false })));
        let lines = LineWriter { stdout, stderr, file };
        let problem = match &syslog {
            Some(Err(error)) => Some(error.to_string()),
            _ => None,
        };
        telemetry::start_into(level, move || lines.clone(), syslog.and_then(Result::ok));
        if let Some(problem) = problem {
            tracing::warn!("cannot connect to syslog ({problem}); logging to standard error instead");
        }
        Ok(Started { on_stderr: stderr || on_terminal })
    }
}

/// Proof that the log has been started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    /// Whether the log is seen where standard error is seen: it goes there, or both go to a terminal.
    pub(super) on_stderr: bool,
}

/// Writes each line to all targets except syslog.
#[derive(Debug, Clone)]
struct LineWriter {
    stdout: bool,
    stderr: bool,
    file: Option<Arc<Mutex<LogFile>>>,
}

/// The log file.
#[derive(Debug)]
struct LogFile {
    program: &'static str,
    path: PathBuf,
    file: File,
    /// Whether a write error has been printed.
    has_failed: bool,
}

impl Write for LineWriter {
    /// Always succeeds: a failed target affects neither the other targets nor the run.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.stdout {
            let _ = io::stdout().write_all(line);
        }
        if self.stderr {
            let _ = io::stderr().write_all(line);
        }
        if let Some(file) = &self.file {
            file.lock().unwrap_or_else(PoisonError::into_inner).write_line(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

impl LogFile {
    /// Writes a line. The first write error is printed to standard error, so that a truncated log has an
    /// explanation.
    fn write_line(&mut self, line: &[u8]) {
        if let Err(error) = self.file.write_all(line)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            let Self { program, path, .. } = self;
            print_error(&format!("{program}: cannot write the log file {}: {error}\n", path.display()));
        }
    }
}

/// Opens the log file for appending. A new file is readable only by owner and group, because a log may
/// contain host names and account names.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// `EX_CANTCREAT`
const CANNOT_CREATE: u8 = 73;
