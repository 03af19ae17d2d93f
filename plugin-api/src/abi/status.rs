//! The result of a call across the ABI.

use std::time::Duration;

use abi_stable::StableAbi;
use serde::{Deserialize, Serialize};

use super::mask::masked_json;
use super::memory::Bytes;
use crate::error::{ErrorKind, PluginError};

/// The result of a call. `code` is 0 for success, otherwise the number of an [`ErrorKind`].
///
/// The flags describe how to react to the error. A host follows them when it does not know the number.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct Status {
    code: u32,
    flags: u32,
    /// The wait time that the peer requested, in milliseconds; valid with [`HAS_WAIT`].
    wait_ms: u64,
    /// [`Detail`] as JSON; empty for success.
    detail: Bytes,
}

/// The call may succeed later.
pub(super) const RETRY: u32 = 1;
/// The operator has to change something.
pub(super) const OPERATOR: u32 = 2;
/// The peer, or external data, caused the error.
pub(super) const PEER: u32 = 4;
/// The plugin violated the contract.
pub(super) const PLUGIN: u32 = 8;
/// `wait_ms` is set.
pub(super) const HAS_WAIT: u32 = 16;

/// The texts of an error.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Detail {
    #[serde(default)]
    pub(super) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) option: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
}

/// The flags for errors of this kind.
pub(super) fn flags(kind: ErrorKind) -> u32 {
    match kind {
        ErrorKind::Config | ErrorKind::Auth | ErrorKind::NoInput | ErrorKind::CannotCreate => OPERATOR,
        ErrorKind::Unavailable | ErrorKind::Displaced => RETRY | PEER,
        ErrorKind::Rejected | ErrorKind::BadData | ErrorKind::Protocol => PEER,
        ErrorKind::Cancelled | ErrorKind::Io => 0,
        ErrorKind::Bug => PLUGIN,
    }
}

/// The kind with this number. For a number of a later version, a kind with the same flags.
pub(super) fn kind(code: u32, flags: u32) -> ErrorKind {
    ErrorKind::from_code(code).unwrap_or_else(|| {
        let is = |flag| flags & flag != 0;
        if is(PLUGIN) {
            ErrorKind::Bug
        } else if is(RETRY) {
            ErrorKind::Unavailable
        } else if is(PEER) {
            ErrorKind::Rejected
        } else if is(OPERATOR) {
            ErrorKind::Config
        } else {
            ErrorKind::Bug
        }
    })
}

impl From<PluginError> for Detail {
    fn from(error: PluginError) -> Self {
        let PluginError { message, hint, option, line, .. } = error;
        Self { message, hint, option, line }
    }
}

impl Detail {
    /// The error of this kind.
    pub(super) fn error(self, kind: ErrorKind) -> PluginError {
        let Self { message, hint, option, line } = self;
        PluginError { kind, message, hint, retry_after: None, option, line }
    }
}

impl From<Result<(), PluginError>> for Status {
    fn from(result: Result<(), PluginError>) -> Self {
        let Err(error) = result else { return Self::default() };
        let wait = error.retry_after.map_or(0, |_| HAS_WAIT);
        Self {
            code: error.kind as u32,
            flags: flags(error.kind) | wait,
            wait_ms: error.retry_after.map_or(0, millis),
            detail: to_json(&Detail::from(error)),
        }
    }
}

impl From<Status> for Result<(), PluginError> {
    fn from(status: Status) -> Self {
        if status.code == 0 {
            return Ok(());
        }
        let detail = serde_json::from_slice(&masked_json(&status.detail)).unwrap_or_else(|_| Detail {
            message: format!("error {} without a valid description", status.code),
            ..Detail::default()
        });
        let has_wait = status.flags & HAS_WAIT != 0;
        let retry_after = has_wait.then(|| Duration::from_millis(status.wait_ms));
        Err(PluginError { retry_after, ..detail.error(kind(status.code, status.flags)) })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Serializes a value as JSON. Every type that crosses the ABI can be represented in JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("plain data can be serialized").into()
}

/// Parses JSON from the other side. Secrets that the host has registered are redacted.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, PluginError> {
    serde_json::from_slice(&masked_json(bytes))
        .map_err(|error| PluginError::bug(format!("invalid data from the other side of the ABI: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(status: Status) -> PluginError {
        Result::<(), PluginError>::from(status).unwrap_err()
    }

    #[test]
    fn error_crosses_the_abi_unchanged() {
        let error = PluginError::new(ErrorKind::Unavailable, "timed out").with_hint("try later");
        let invalid = PluginError::config("not a number").with_option("port").with_line(7);
        for error in [error.clone().with_retry_after(Duration::ZERO), error, invalid] {
            assert_eq!(round_trip(Status::from(Err(error.clone()))), error);
        }
        assert_eq!(Result::<(), PluginError>::from(Status::from(Ok(()))), Ok(()));
    }

    #[test]
    fn unknown_error_number_is_handled_by_its_flags() {
        for (flags, expected) in [
            (RETRY | PEER, ErrorKind::Unavailable),
            (PEER, ErrorKind::Rejected),
            (OPERATOR, ErrorKind::Config),
            (PLUGIN | RETRY, ErrorKind::Bug),
            (0, ErrorKind::Bug),
        ] {
            let status =
                Status { code: 4_000, flags, detail: to_json(&Detail::default()), ..Status::default() };
            assert_eq!(round_trip(status).kind, expected, "{flags}");
        }
    }

    #[test]
    fn flags_of_a_known_kind_map_to_an_equivalent_kind() {
        for kind in ErrorKind::ALL {
            let is_retried = flags(kind) & RETRY != 0;
            let may_succeed = matches!(kind, ErrorKind::Unavailable | ErrorKind::Displaced);
            assert_eq!(is_retried, may_succeed, "{kind:?}");
            assert_eq!(flags(kind) & PLUGIN != 0, kind == ErrorKind::Bug, "{kind:?}");
        }
    }

    #[test]
    fn invalid_detail_is_still_an_error() {
        let status = Status { code: 3, flags: RETRY, detail: b"\xff{".to_vec().into(), ..Status::default() };
        let error = round_trip(status);
        assert_eq!(error.message, "error 3 without a valid description");
        assert_eq!(error.kind, ErrorKind::Unavailable);
    }
}
