//! What can go wrong in a plugin, sorted by what the host does about it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a plugin's call returns.
pub type Result<T, E = PluginError> = std::result::Result<T, E>;

/// The class of a failure. The plugin classifies, the host decides: what is retried, what stops the run and
/// which exit code the run ends with all hang on this value alone.
///
/// The number is the one that crosses the ABI; it never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum ErrorKind {
    /// An option is wrong or missing. Never retried. Exit code 78.
    Config = 1,
    /// A login was refused. Never retried, because accounts lock. Exit code 77.
    Auth = 2,
    /// The peer cannot be reached or asks to wait. Retried. Exit code 69.
    Unavailable = 3,
    /// The peer read the data and refused it. Never retried. Exit code 65.
    Rejected = 4,
    /// The input is damaged, incomplete or of a kind that is not read. Exit code 65.
    BadData = 5,
    /// The host asked to stop. Exit code 130.
    Cancelled = 6,
    /// The plugin broke one of its own promises, or panicked. The instance is closed. Exit code 70.
    Bug = 7,
    /// The named input is not there or cannot be opened. Exit code 66.
    NoInput = 8,
    /// An output file cannot be created. Exit code 73.
    CannotCreate = 9,
    /// Reading or writing failed midway, for example because the disk is full. Exit code 74.
    Io = 10,
    /// The peer does not speak the protocol that was expected. Exit code 76.
    Protocol = 11,
}

impl ErrorKind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Config,
        Self::Auth,
        Self::Unavailable,
        Self::Rejected,
        Self::BadData,
        Self::Cancelled,
        Self::Bug,
        Self::NoInput,
        Self::CannotCreate,
        Self::Io,
        Self::Protocol,
    ];

    /// The kind with this number; none for a number that this version does not know.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == code)
    }
}

/// A failure that a plugin reports to the host.
///
/// The message is one sentence in lower case without a full stop. It names the thing (file, line, option,
/// asset) and never a secret. The hint says what the operator can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginError {
    /// What the host shall do about it.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// What to do now, if the plugin knows.
    pub hint: Option<String>,
    /// How long the peer asked to wait, for [`ErrorKind::Unavailable`].
    pub retry_after: Option<Duration>,
}

impl PluginError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, retry_after: None }
    }

    /// An option is wrong: [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The input is damaged or of an unreadable kind: [`ErrorKind::BadData`].
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }

    /// The plugin found itself in a state that it promised never to be in: [`ErrorKind::Bug`].
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// The host asked to stop: [`ErrorKind::Cancelled`].
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "the run was interrupted")
    }

    /// The same error with a hint on what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with the wait that the peer asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_crossing() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind as u32), Some(kind));
        }
        assert_eq!(ErrorKind::from_code(4_000_000), None);
    }
}
