//! A settings file in memory, and spans of its text.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The text of one settings file. It may contain secrets, so `Debug` shows only its path.
pub(super) struct Source {
    /// The path in messages.
    path: PathBuf,
    /// The directory at which relative paths in this file start.
    folder: PathBuf,
    text: String,
}

impl Source {
    /// Maximum size. Files written by hand are much smaller; a larger file is not a settings file.
    pub(super) const MAX_BYTES: u64 = 256 * 1024;

    pub(super) fn new(path: &Path, text: String) -> Arc<Self> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Arc::new(Self { path: shown(path), folder, text })
    }

    /// Reads a complete file.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than [`Source::MAX_BYTES`] or is not valid UTF-8.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, Unreadable> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Unreadable::Io)?;
        file.take(Self::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(Unreadable::TooLarge);
        }
        if is_utf16(&bytes) {
            return Err(Unreadable::Utf16);
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            Unreadable::NotText { line: good.iter().filter(|byte| **byte == b'\n').count() + 1 }
        })?;
        // A byte order mark must not become part of the first key.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(Self::new(path, text))
    }

    /// The path in messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory at which relative paths in this file start.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.path.display())
    }
}

/// Reason why a settings file cannot be read. The message continues a sentence that starts with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    #[error("is larger than 256 KiB, the limit for settings files")]
    TooLarge,
    #[error("is encoded in UTF-16")]
    Utf16,
    #[error("is not valid UTF-8: invalid bytes on line {line}")]
    NotText { line: usize },
    #[error("is not part of the bundle")]
    NotBundled,
}

impl Unreadable {
    /// What the operator can do; may be empty.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::Utf16 => "save the file as UTF-8; on a command line: iconv -f UTF-16 -t UTF-8 FILE",
            Self::NotText { .. } => "save the file as UTF-8",
            Self::Io(_) | Self::TooLarge | Self::NotBundled => "",
        }
    }
}

/// Text of an editor that calls this encoding `Unicode`: a byte order mark, or a zero in each second byte.
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..])
        || matches!(bytes, [first, 0, second, 0, ..] | [0, first, 0, second, ..] if *first > 0 && *second > 0)
}

/// A byte range of a settings file.
#[derive(Clone)]
pub(super) struct Span {
    pub(super) source: Arc<Source>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// The file.
    pub(super) fn file(&self) -> &Path {
        self.source.path()
    }

    /// Number of the line in which the span starts, from 1.
    pub(super) fn line_number(&self) -> usize {
        self.source.text[..self.start].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Column of the first character, from 1.
    pub(super) fn column(&self) -> usize {
        self.source.text[self.line_start()..self.start].chars().count() + 1
    }

    pub(super) fn line_start(&self) -> usize {
        self.source.text[..self.start].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The line in which the span starts.
    pub(super) fn line(&self) -> &str {
        &self.source.text[self.line_start()..self.line_end()]
    }

    /// End of the line in which the span starts, without the line break.
    pub(super) fn line_end(&self) -> usize {
        let rest = &self.source.text[self.start..];
        let end = self.start + rest.find('\n').unwrap_or(rest.len());
        if self.source.text[self.start..end].ends_with('\r') { end - 1 } else { end }
    }

    /// The text in the file, including quotes.
    pub(super) fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    /// The text after the span, up to the end of its last line.
    pub(super) fn rest_of_line(&self) -> &str {
        self.source.text[self.end..].lines().next().unwrap_or("")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file().display(), self.line_number(), self.column())
    }
}

/// The shortest unambiguous path for messages: without `..`, and relative if the file is below the working
/// directory. Resolved by the file system, because `a/..` is not always `.` when `a` is a symbolic link.
fn shown(path: &Path) -> PathBuf {
    if !path.components().any(|part| part == std::path::Component::ParentDir) {
        return path.to_owned();
    }
    let Ok(absolute) = path.canonicalize() else { return path.to_owned() };
    match std::env::current_dir().and_then(|folder| folder.canonicalize()) {
        Ok(folder) => absolute.strip_prefix(folder).map(Path::to_owned).unwrap_or(absolute),
        Err(_) => absolute,
    }
}
