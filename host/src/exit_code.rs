//! The exit codes of errors, by the numbers of sysexits.h.

use scanbridge_plugin_api::ErrorKind;

/// Exit code of a run that a signal ended: 128 and the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Exit code of a command that cannot be done as it was typed, or with this pipeline (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;

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

/// The exit code for several results: the one that needs the operator most.
#[must_use]
pub(crate) fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| ORDER.iter().position(|known| known == code).unwrap_or(0);
    codes.into_iter().min_by_key(rank).unwrap_or(0)
}

/// A bug first, then what only a person can repair, then what may repair itself.
const ORDER: [u8; 13] = [70, 78, 77, USAGE, 69, 74, 73, 76, 75, 65, 66, INTERRUPTED, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_exit_code_of_several() {
        for (codes, expected) in [
            (&[][..], 0),
            (&[0, 66, 65], 65),
            (&[66, 69, 130], 69),
            (&[69, 77, 78], 78),
            (&[78, 70], 70),
            (&[64, 77, 78], 78),
            (&[69, 64], 64),
            (&[73, 74, 75, 76], 74),
            (&[130, 0], 130),
        ] {
            assert_eq!(worst(codes.iter().copied()), expected, "{codes:?}");
        }
    }
}
