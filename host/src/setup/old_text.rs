//! Reads old settings files, which may have any encoding.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why old settings cannot be converted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConverted {
    /// A file cannot be read.
    #[error("cannot read {file}: {error}")]
    Unreadable {
        file: String,
        #[source]
        error: io::Error,
    },
    /// There are no settings at this place.
    #[error("{place} has no {what}")]
    Missing { place: String, what: &'static str },
    /// The settings are invalid.
    #[error("{0}")]
    Invalid(String),
}

impl NotConverted {
    /// The exit code of the command.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. } => 66,
            Self::Unreadable { error, .. } if error.kind() == io::ErrorKind::NotFound => 66,
            Self::Unreadable { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::Unreadable { .. } => 74,
            Self::Invalid(_) => 65,
        }
    }
}

/// The text of a file, and whether it was read as ISO 8859-1 because it is not UTF-8.
pub(super) struct OldText {
    pub(super) text: String,
    pub(super) is_latin: bool,
}

/// Much larger than any real settings file.
const MAX_BYTES: u64 = 256 * 1024;

/// Reads a settings file. A byte order mark is removed, and line breaks become `\n`.
///
/// # Errors
/// When the file cannot be read, is too large, or is encoded in UTF-16.
pub(super) fn read_old(path: &Path) -> Result<OldText, NotConverted> {
    let file = path.display().to_string();
    let unreadable = |error| NotConverted::Unreadable { file: file.clone(), error };
    let mut bytes = Vec::new();
    let opened = File::open(path).map_err(unreadable)?;
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(NotConverted::Invalid(format!("{file} is larger than 256 KiB: not a settings file")));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) || bytes.contains(&0) {
        return Err(NotConverted::Invalid(format!("{file} is not text in UTF-8 or ISO 8859-1")));
    }
    let (text, is_latin) = match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (error.into_bytes().into_iter().map(char::from).collect(), true),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(OldText { text: text.replace("\r\n", "\n").replace('\r', "\n"), is_latin })
}
