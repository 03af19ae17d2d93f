//! Log targets: all that are set, or standard output when none is set.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use tracing::Level;

use super::syslog::Syslog;
use crate::commands::terminal::print_error;
use crate::telemetry::{self, LineTarget, LogFile};

/// Log targets. Without any, the log goes to standard output.
#[derive(Debug, Default)]
pub(crate) struct LogTargets {
    pub(crate) syslog: bool,
    pub(crate) stderr: bool,
    pub(crate) file: Option<PathBuf>,
}

impl LogTargets {
    /// Starts the log.
    ///
    /// # Errors
    /// The exit code, when the log file cannot be opened; the error has been printed.
    pub(super) fn start(&self, program: &'static str, level: Level) -> Result<Started, u8> {
        let file = match &self.file {
            Some(path) => Some(LogFile::open(path, program).map_err(|error| {
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
        let lines = LineWriter { stdout, stderr, file };
        let problem = match &syslog {
            Some(Err(error)) => Some(error.to_string()),
            _ => None,
        };
        let syslog = syslog.and_then(Result::ok).map(|syslog| Box::new(syslog) as Box<dyn LineTarget>);
        telemetry::start_into(level, Box::new(lines), syslog);
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
#[derive(Debug)]
struct LineWriter {
    stdout: bool,
    stderr: bool,
    file: Option<LogFile>,
}

impl LineTarget for LineWriter {
    /// A failed target affects neither the other targets nor the run.
    fn write_line(&self, level: Level, line: &str) {
        if self.stdout {
            let _ = io::stdout().write_all(line.as_bytes());
        }
        if self.stderr {
            let _ = io::stderr().write_all(line.as_bytes());
        }
        if let Some(file) = &self.file {
            file.write_line(level, line);
        }
    }
}

/// `EX_CANTCREAT`
const CANNOT_CREATE: u8 = 73;
