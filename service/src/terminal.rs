//! Output of commands.

use std::io::{Write, stderr, stdout};

/// Prints text to standard output. A closed pipe is not a failure.
pub(crate) fn print(text: &str) {
    let _ = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
}

/// Prints an error to standard error.
pub(crate) fn print_error(message: &str) {
    let _ = writeln!(stderr(), "error: {message}");
}
