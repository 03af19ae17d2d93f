//! The exit codes of errors, by the numbers of sysexits.h.

use scanbridge_plugin_api::ErrorKind;

/// Exit code of a run that a signal ended: 128 and the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code for a failure of this kind (sysexits, and 130 for an interruption).
#[must_use]
pub(crate) fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Rejected | ErrorKind::BadData => 65,
        ErrorKind::NoInput => 66,
        ErrorKind::Unavailable => 69,
        ErrorKind::Bug => 70,
        ErrorKind::CannotCreate => 73,
        ErrorKind::Io => 74,
        ErrorKind::Displaced => 75,
        ErrorKind::Protocol => 76,
        ErrorKind::Auth => 77,
        ErrorKind::Config => 78,
        ErrorKind::Cancelled => INTERRUPTED,
    }
}
