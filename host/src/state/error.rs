//! Errors of the saved state.

use std::fmt;
use std::io;
use std::path::Path;

use scanbridge_plugin_api::{ErrorKind, PluginError};

/// An error with its hint and the exit code of a run that ends because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError {
    /// What failed; names the file.
    pub message: String,
    /// What the operator can do.
    pub hint: Option<String>,
    /// 73: cannot create; 74: read or write error; 75: in use; 78: corrupt, or belongs to another pipeline or user.
    pub exit_code: u8,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StateError {}

/// For callers of an instance: it cannot continue without the saved state.
impl From<StateError> for PluginError {
    fn from(error: StateError) -> Self {
        Self::new(ErrorKind::Io, error.message)
    }
}

impl StateError {
    pub(crate) fn cannot_create(path: &Path, error: &io::Error) -> Self {
        Self {
            message: format!("cannot create {}: {error}", path.display()),
            hint: Some("set a writable directory with --state-dir".to_owned()),
            exit_code: 73,
        }
    }

    pub(crate) fn io(path: &Path, error: &dyn fmt::Display) -> Self {
        Self { message: format!("cannot open {}: {error}", path.display()), hint: None, exit_code: 74 }
    }

    pub(super) fn damaged(path: &Path, why: &dyn fmt::Display) -> Self {
        Self {
            message: format!("the saved state in {} is corrupt: {why}", path.display()),
            hint: Some(
                "run `scanbridge state reset FILE` to archive it; the next run then starts from the \
                 beginning"
                    .to_owned(),
            ),
            exit_code: 78,
        }
    }
}
