//! Output to standard output and standard error. A closed pipe (`scanbridge … | head`) is not a failure.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::termios::tcgetwinsize;
use serde_json::Map;
use signal_hook::consts::SIGHUP;
use tracing::Level;

use crate::config::RenderStyle;
use crate::exit_code::INTERRUPTED;
use crate::telemetry::{self, has_colors};

/// Prints text to standard output.
///
/// # Errors
/// Any write error except a closed pipe, for example a full disk when standard output is a file.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints the output of a command with exit code `code` and returns the exit code: `code`, or 74 (`EX_IOERR`)
/// when `code` is 0 and the output cannot be written.
pub(crate) fn print_output(text: &str, code: u8) -> u8 {
    match print(text) {
        Ok(()) => code,
        Err(error) => {
            print_error(&format!("error: cannot write to standard output: {error}\n"));
            if code == 0 { NOT_WRITTEN } else { code }
        }
    }
}

/// Prints an error message to standard error, as a log line if standard error gets only log lines; write errors are
/// ignored.
pub(crate) fn print_error(text: &str) {
    print_message(Level::ERROR, text);
}

/// Prints information, like [`print_error`].
pub(crate) fn print_notice(text: &str) {
    print_message(Level::INFO, text);
}

fn print_message(level: Level, text: &str) {
    if telemetry::logs_errors() && !text.is_empty() {
        let message = text.strip_prefix("error: ").unwrap_or(text).trim_end();
        telemetry::event(level, "message", message, Map::new());
    }
    print_text(text);
}

/// Prints text to standard error whose content is also in the log, unless standard error gets only log lines; write
/// errors are ignored.
pub(crate) fn print_text(text: &str) {
    if !telemetry::owns_stderr() {
        let _ = stderr().write_all(text.as_bytes());
    }
}

/// Color and width of text on standard error.
pub(crate) fn error_style() -> RenderStyle {
    let default = RenderStyle::default();
    RenderStyle { color: has_colors(), width: columns(&stderr()).unwrap_or(default.width) }
}

/// Whether standard error is a terminal, so that a progress bar can be drawn.
pub(super) fn stderr_is_terminal() -> bool {
    stderr().is_terminal()
}

/// Whether questions can be asked: all standard streams are terminals that can move the cursor.
pub(super) fn has_prompts() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !is_dumb && stdin().is_terminal() && stdout().is_terminal() && stderr().is_terminal()
}

/// Ends this process when its terminal is closed. Started with `nohup`, it would read from a terminal that is gone, for
/// ever.
///
/// # Errors
/// When the signal handler cannot be installed.
pub(super) fn end_with_terminal() -> io::Result<()> {
    let is_always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(SIGHUP, INTERRUPTED.into(), is_always).map(|_| ())
}

/// Maximum columns of a table on standard output: the width of the terminal, or unlimited without a terminal,
/// so that a pipe gets one line per row.
pub(super) fn width() -> usize {
    if !stdout().is_terminal() {
        return usize::MAX;
    }
    columns(&stdout()).unwrap_or(RenderStyle::default().width)
}

/// Columns of the stream's terminal; `None` without a terminal or when the terminal does not report its size.
fn columns(stream: &impl AsFd) -> Option<usize> {
    let reported = tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    // Below 40 columns, a table would wrap to about one character per line.
    reported.filter(|columns| *columns > 0).map(|columns| columns.max(40))
}

/// `EX_IOERR`.
pub(super) const NOT_WRITTEN: u8 = 74;
