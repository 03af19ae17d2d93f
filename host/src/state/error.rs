//! What can be wrong with state.

use std::fmt;
use std::io;
use std::path::Path;

use crate::pipeline::Failure;

/// Why state cannot be used: a sentence, what to do about it, and the exit code of a run that ends because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError {
    /// What happened; names the file.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// 73 cannot create, 74 reading or writing, 75 in use, 78 damaged or somebody else's.
    pub exit_code: u8,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StateError {}

impl StateError {
    /// The first of these failures, as what is wrong with state.
    #[must_use]
    pub(crate) fn of_failures(failures: &[Failure]) -> Self {
        let first = failures.first();
        Self {
            message: first.map(|failure| failure.message.clone()).unwrap_or_default(),
            hint: first.and_then(|failure| failure.hint.clone()),
            exit_code: first.map_or(70, |failure| failure.exit_code),
        }
    }

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
