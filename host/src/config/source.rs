//! A settings file in memory, and places in it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The text of one settings file. It may hold secrets, so it never prints itself.
pub(super) struct Source {
    /// The name that messages use.
    path: PathBuf,
    /// The folder that paths in this file are relative to.
    folder: PathBuf,
    text: String,
}

impl Source {
    /// Nobody writes a settings file of this size by hand; beyond it the file is something else.
    pub(super) const MAX_BYTES: u64 = 256 * 1024;

    pub(super) fn new(path: &Path, text: String) -> Arc<Self> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Arc::new(Self { path: shown(path), folder, text })
    }

    /// Reads a file whole.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, Unreadable> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Unreadable::Io)?;
        file.take(Self::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(Unreadable::TooLarge);
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            Unreadable::NotText { line: good.iter().filter(|byte| **byte == b'\n').count() + 1 }
        })?;
        // A byte order mark is no part of the first key.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(Self::new(path, text))
    }

    /// The name that messages use.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that paths in this file are relative to.
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

/// Why a settings file cannot be read; the rest of a sentence that begins with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    #[error("is larger than 256 KiB, the limit for settings files")]
    TooLarge,
    #[error("is not valid UTF-8: invalid bytes on line {line}")]
    NotText { line: usize },
}

/// Part of a settings file, in bytes.
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

    /// The line's number, from 1.
    pub(super) fn line_number(&self) -> usize {
        self.source.text[..self.start].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// The character within the line, counted from 1.
    pub(super) fn column(&self) -> usize {
        self.source.text[self.line_start()..self.start].chars().count() + 1
    }

    pub(super) fn line_start(&self) -> usize {
        self.source.text[..self.start].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The line that the span begins in.
    pub(super) fn line(&self) -> &str {
        &self.source.text[self.line_start()..self.line_end()]
    }

    /// Where the line that the span begins in ends, without its line break.
    pub(super) fn line_end(&self) -> usize {
        let rest = &self.source.text[self.start..];
        let end = self.start + rest.find('\n').unwrap_or(rest.len());
        if self.source.text[self.start..end].ends_with('\r') { end - 1 } else { end }
    }

    /// The text as it stands in the file, with quotes.
    pub(super) fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    /// What stands behind the span in the line that it ends in.
    pub(super) fn rest_of_line(&self) -> &str {
        self.source.text[self.end..].lines().next().unwrap_or("")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file().display(), self.line_number(), self.column())
    }
}

/// The shortest unambiguous name for messages: without `..`, and relative when the file lies below the working
/// directory. The file system does the shortening, for `a/..` is not always `.` where there are links.
fn shown(path: &Path) -> PathBuf {
    if !path.components().any(|part| part == std::path::Component::ParentDir) {
        return path.to_owned();
    }
    let Ok(whole) = path.canonicalize() else { return path.to_owned() };
    match std::env::current_dir().and_then(|folder| folder.canonicalize()) {
        Ok(folder) => whole.strip_prefix(folder).map(Path::to_owned).unwrap_or(whole),
        Err(_) => whole,
    }
}
