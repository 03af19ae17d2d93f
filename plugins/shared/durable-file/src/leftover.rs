//! What an interrupted or failed run leaves in a hidden part file: its name, its size, and what happens to it next.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError};

use crate::name::part_path;
use crate::receipt::Parts;

/// The part files of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    part: PathBuf,
    /// Number of further pieces.
    more: usize,
    bytes: u64,
}

impl Leftover {
    /// The parts of the file at `path` that exist. `None` without any.
    pub(crate) fn find(path: &Path, parts: &Parts) -> Option<Self> {
        let pieces = (parts.first..=parts.last()).rev().map(|piece| part_path(path, parts.number, piece));
        let mut found = pieces.filter_map(|part| Some((fs::symlink_metadata(&part).ok()?.len(), part)));
        let (bytes, part) = found.next()?;
        let (more, bytes) = found.fold((0, bytes), |(more, sum), (bytes, _)| (more + 1, sum + bytes));
        Some(Self { part, more, bytes })
    }

    /// Adds to an error of the disk what was written so far, and what becomes of it.
    pub(crate) fn explain(&self, error: PluginError, next: Disposition) -> PluginError {
        if error.kind != ErrorKind::Io {
            return error;
        }
        let before = error.hint.as_ref().map(|hint| format!("{hint}; ")).unwrap_or_default();
        error.with_hint(format!("{before}{self} {next}"))
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.part.display())?;
        match self.more {
            0 => {}
            1 => write!(f, " and one more piece")?,
            more => write!(f, " and {more} more pieces")?,
        }
        write!(f, " ({} bytes)", self.bytes)
    }
}

/// What happens to a part file after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Nothing of the report is committed.
    Removed,
    /// A part of the report is committed.
    Continued,
    /// The whole report is committed.
    Published,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => {
                "is removed, because nothing of the report was committed; the next run writes it again"
            }
            Self::Continued => {
                "has what was written of the report: a run that resumes continues it at its last checkpoint, and any \
                 other run replaces it"
            }
            Self::Published => {
                "has the whole report: the next run gives it its final name, unless it starts from the beginning"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::{FileState, Moment};

    fn parts(first: u32, count: u32) -> Parts {
        let file = FileState { inode: 0, length: 0 };
        Parts { number: 3, owner: 0, first, count, file, started: Moment::now(), copied: None }
    }

    #[test]
    fn leftover_names_the_last_piece_and_the_size_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let shown = |parts| {
            let found = Leftover::find(&path, &parts)?;
            Some(found.to_string().replace(&format!("{}/", folder.path().display()), ""))
        };
        assert_eq!(shown(parts(0, 1)), None);
        for (name, bytes) in [(".a.csv.3.part", 5), (".a.csv.3-0002.part", 7), (".a.csv.3-0003.part", 11)] {
            fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(shown(parts(0, 1)).unwrap(), ".a.csv.3.part (5 bytes)");
        assert_eq!(shown(parts(1, 3)).unwrap(), ".a.csv.3-0003.part and one more piece (18 bytes)");
        fs::write(folder.path().join(".a.csv.3-0001.part"), "x").unwrap();
        assert_eq!(shown(parts(1, 3)).unwrap(), ".a.csv.3-0003.part and 2 more pieces (19 bytes)");
    }
}
