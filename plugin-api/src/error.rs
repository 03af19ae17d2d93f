//! Errors of plugins, classified by how the host reacts.

use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// The result of a plugin's call.
pub type Result<T, E = PluginError> = std::result::Result<T, E>;

/// The class of an error. The plugin classifies, the host decides: this value alone determines whether the host
/// retries, whether the run stops, and its exit code.
///
/// The number crosses the ABI; it never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub enum ErrorKind {
    /// An option is invalid or missing. Never retried. Exit code 78.
    Config = 1,
    /// The login was rejected. Never retried, because accounts lock. Exit code 77.
    Auth = 2,
    /// The peer cannot be reached or requests a wait. Retried. Exit code 69.
    Unavailable = 3,
    /// The peer read the data and rejected it. Never retried. Exit code 65.
    Rejected = 4,
    /// The input is invalid, incomplete or of an unsupported kind. Exit code 65.
    BadData = 5,
    /// The host requested a stop. Exit code 130.
    Cancelled = 6,
    /// The plugin violated its contract, or panicked. The instance is closed. Exit code 70.
    Bug = 7,
    /// The named input does not exist or cannot be opened. Exit code 66.
    NoInput = 8,
    /// An output file cannot be created. Exit code 73.
    CannotCreate = 9,
    /// A read or write failed, for example because the disk is full. Exit code 74.
    Io = 10,
    /// The peer violated the protocol. Exit code 76.
    Protocol = 11,
    /// Another instance has taken over the work, for example on another machine. The run ends, nothing is reopened,
    /// and a later run resumes. Exit code 75.
    Displaced = 12,
}

impl ErrorKind {
    pub(crate) const ALL: [Self; 12] = [
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
        Self::Displaced,
    ];

    /// The kind with this number; `None` for a number that this version does not know.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == code)
    }
}

/// An error that a plugin reports to the host.
///
/// The message is one sentence in lower case without a full stop. It names the file, line, option or asset, and never
/// contains a secret. The hint says what the operator can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginError {
    /// Determines how the host reacts.
    pub kind: ErrorKind,
    /// What failed.
    pub message: String,
    /// What the operator can do, if known.
    pub hint: Option<String>,
    /// Wait time that the peer requested, for [`ErrorKind::Unavailable`].
    pub retry_after: Option<Duration>,
    /// The option that is invalid, for [`ErrorKind::Config`]. The host adds the place in the pipeline file.
    pub option: Option<String>,
    /// Line of the file that the message names, from 1.
    pub line: Option<u64>,
}

impl PluginError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, retry_after: None, option: None, line: None }
    }

    /// An invalid option: [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The peer or the source is unavailable: [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Invalid or unsupported input data: [`ErrorKind::BadData`].
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }

    /// Something that cannot be done with a file or directory: the message is `cannot WHAT PATH: ERROR`.
    pub fn of_file(kind: ErrorKind, what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(kind, format!("cannot {what} {}: {error}", path.display()))
    }

    /// A violation of the plugin's own contract: [`ErrorKind::Bug`].
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// The host requested a stop: [`ErrorKind::Cancelled`].
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "the run was interrupted")
    }

    /// The source of this input, as its options select it, has no stored reports to choose from: [`ErrorKind::Config`].
    #[must_use]
    pub fn no_reports() -> Self {
        Self::config("this source has no reports to choose from")
    }

    /// Replaces the message, for example by one that adds what was affected.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds a hint for the operator.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the option that is invalid.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>) -> Self {
        self.option = Some(name.into());
        self
    }

    /// Adds the line of the file that the message names, from 1.
    #[must_use]
    pub fn with_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// Adds the wait time that the peer requested.
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
    fn every_kind_crosses_the_abi_unchanged() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind as u32), Some(kind));
        }
        assert_eq!(ErrorKind::from_code(4_000_000), None);
    }
}
