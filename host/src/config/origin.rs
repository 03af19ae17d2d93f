//! Where a value is set.

use std::path::PathBuf;

use super::source::Span;

/// Location at which a value is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The settings file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The references in the value, without the text of defaults: `${env:NAME}`, `default of ${env:NAME:-…}`.
    pub references: Vec<String>,
    /// Whether the value is a credential, which must be redacted even if the option is not secret.
    pub is_credential: bool,
}

impl Origin {
    pub(super) fn of(span: &Span) -> Self {
        Self {
            file: span.file().to_owned(),
            line: span.line_number(),
            references: Vec::new(),
            is_credential: false,
        }
    }
}
