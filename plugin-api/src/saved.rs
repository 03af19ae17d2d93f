//! Receipts and positions whose content is JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::input::Position;
use crate::output::Receipt;

impl Receipt {
    /// A receipt that contains this value as JSON.
    ///
    /// # Errors
    /// A plugin bug: the value cannot be written as JSON, for example because the keys of a map are not texts.
    pub fn of_json(value: &impl Serialize) -> Result<Self> {
        written(value).map(Self)
    }

    /// The value of a receipt from [`Receipt::of_json`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with a hint: the receipt is corrupt, or of another release.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        read(&self.0, "receipt")
    }
}

impl Position {
    /// A position that contains this value as JSON.
    ///
    /// # Errors
    /// A plugin bug: the value cannot be written as JSON, for example because the keys of a map are not texts.
    pub fn of_json(value: &impl Serialize) -> Result<Self> {
        written(value).map(Self)
    }

    /// The value of a position from [`Position::of_json`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with a hint: the position is corrupt, or of another release.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        read(&self.0, "position")
    }
}

fn written(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| PluginError::bug(format!("plugin bug: a value cannot be written as JSON: {error}")))
}

fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        PluginError::config(format!("cannot resume: the saved {what} is invalid: {error}"))
            .with_hint("use --restart to start from the beginning; all reports are then delivered again")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn value_is_read_as_it_was_written() {
        let value = (7_u64, "a".to_owned());
        assert_eq!(Receipt::of_json(&value).unwrap().json::<(u64, String)>().unwrap(), value);
        assert_eq!(Position::of_json(&value).unwrap().json::<(u64, String)>().unwrap(), value);
        assert_eq!(Position::of_json(&value).unwrap().0, br#"[7,"a"]"#);
    }

    #[test]
    fn damage_is_a_config_error_with_a_hint() {
        for damaged in [&b""[..], b"{", b"\xff", b"\"7\"", b"7 7"] {
            let errors = [
                (Receipt(damaged.to_vec()).json::<u64>().unwrap_err(), "receipt"),
                (Position(damaged.to_vec()).json::<u64>().unwrap_err(), "position"),
            ];
            for (error, what) in errors {
                assert_eq!(error.kind, ErrorKind::Config, "{damaged:?}");
                assert!(error.message.starts_with(&format!("cannot resume: the saved {what} is invalid: ")));
                assert!(error.hint.is_some());
            }
        }
    }

    #[test]
    fn value_that_is_not_json_is_a_bug() {
        let value = BTreeMap::from([((1, 2), 3)]);
        assert_eq!(Receipt::of_json(&value).unwrap_err().kind, ErrorKind::Bug);
        assert_eq!(Position::of_json(&value).unwrap_err().kind, ErrorKind::Bug);
    }
}
