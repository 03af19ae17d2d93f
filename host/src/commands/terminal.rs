//! What goes to the two streams. A reader that has gone away (`scanbridge … | head`) is no failure.

use std::io::{IsTerminal, Write, stderr, stdout};

use crate::config::Look;

/// Prints an answer on standard output.
pub(crate) fn print(text: &str) {
    let _ = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
}

/// Prints what is wrong on standard error.
pub(crate) fn print_error(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// How text for people is drawn on standard error.
pub(crate) fn look() -> Look {
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Look { colour, ..Look::default() }
}

/// Whether somebody watches: a progress bar is drawn then.
pub(super) fn is_watched() -> bool {
    stderr().is_terminal()
}

/// The columns of a table on standard output: those of the terminal, or plenty where there is none, so that
/// a pipe gets one line a row.
pub(super) fn width() -> usize {
    if !stdout().is_terminal() {
        return 400;
    }
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(110)
}
