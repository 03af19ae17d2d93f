//! What goes to the two streams. A reader that has gone away (`scanbridge … | head`) is no failure.

use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

use crate::config::RenderStyle;
use crate::telemetry::has_colours;

/// Prints an answer on standard output.
///
/// # Errors
/// When it did not arrive, though somebody waits for it: the disk under the file that it goes to is full.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints the answer of a command that ends with this exit code, and gives the exit code: another one only when all
/// was well but for the answer.
pub(crate) fn answer(text: &str, code: u8) -> u8 {
    match print(text) {
        Ok(()) => code,
        Err(error) => {
            print_error(&format!("error: cannot write to standard output: {error}\n"));
            if code == 0 { NOT_WRITTEN } else { code }
        }
    }
}

/// Prints what is wrong on standard error.
pub(crate) fn print_error(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// How text for people is drawn on standard error.
pub(crate) fn look() -> RenderStyle {
    let usual = RenderStyle::default();
    RenderStyle { colour: has_colours(), width: columns(&stderr()).unwrap_or(usual.width) }
}

/// Whether somebody watches: a progress bar is drawn then.
pub(super) fn is_watched() -> bool {
    stderr().is_terminal()
}

/// The columns of a table on standard output: those of the terminal, or plenty where there is none, so that
/// a pipe gets one line a row.
pub(super) fn width() -> usize {
    if !stdout().is_terminal() {
        return usize::MAX;
    }
    columns(&stdout()).unwrap_or(RenderStyle::default().width)
}

/// How wide the terminal behind a stream is; none where there is no terminal, or it does not tell.
fn columns(stream: &impl AsFd) -> Option<usize> {
    let told = tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    // Narrower than this, a table has a letter a line and nobody can read it.
    told.filter(|columns| *columns > 0).map(|columns| columns.max(40))
}

/// `EX_IOERR`.
const NOT_WRITTEN: u8 = 74;
