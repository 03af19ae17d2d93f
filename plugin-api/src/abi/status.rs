//! How a call across the boundary says whether it went well.

use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::std_types::{RString, RVec};

use crate::error::{ErrorKind, PluginError};

/// The outcome of a call: `code` 0 is success, everything else the number of an [`ErrorKind`].
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct Status {
    code: u32,
    retry_after_ms: u64,
    message: RString,
    hint: RString,
}

impl From<Result<(), PluginError>> for Status {
    fn from(result: Result<(), PluginError>) -> Self {
        match result {
            Ok(()) => Self::default(),
            Err(error) => Self {
                code: error.kind as u32,
                // No wait is told apart from a wait of nothing by the offset of one.
                retry_after_ms: error.retry_after.map_or(0, |wait| millis(wait).saturating_add(1)),
                message: error.message.into(),
                hint: error.hint.unwrap_or_default().into(),
            },
        }
    }
}

impl From<Status> for Result<(), PluginError> {
    fn from(status: Status) -> Self {
        if status.code == 0 {
            return Ok(());
        }
        Err(PluginError {
            kind: ErrorKind::from_code(status.code),
            message: text(&status.message),
            hint: (!status.hint.is_empty()).then(|| text(&status.hint)),
            retry_after: status.retry_after_ms.checked_sub(1).map(Duration::from_millis),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1)
}

/// A text from the other side is bytes until it is checked.
pub(super) fn text(text: &RString) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

/// A value as JSON. Nothing that crosses has a form that JSON cannot hold.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> RVec<u8> {
    serde_json::to_vec(value).expect("plain data serialises").into()
}

/// Reads JSON that the other side wrote.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, PluginError> {
    serde_json::from_slice(bytes)
        .map_err(|error| PluginError::bug(format!("invalid data from the other side of the ABI: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_crosses_whole() {
        let error = PluginError::new(ErrorKind::Unavailable, "no answer")
            .with_hint("try later")
            .with_retry_after(Duration::ZERO);
        let there = Status::from(Err(error.clone()));
        assert_eq!(Result::<(), PluginError>::from(there), Err(error));
        assert_eq!(Result::<(), PluginError>::from(Status::from(Ok(()))), Ok(()));
    }
}
