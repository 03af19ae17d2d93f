//! Where and how a file output writes.

use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::{LocalCheck, Open, OutputCapabilities, Partial, Purpose, Replaces, Resume};

use crate::direct::is_direct;

/// The most that an output can do that writes with this crate: its `CAPABILITIES`.
pub const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE
    .resume(Resume::Exact)
    .replaces(Replaces::Report)
    .partial(Partial::Adds)
    .local_check(LocalCheck::Yes);

/// Where and how a file output writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file. Its name may contain `{report}` (the report's id, title or file stem, reduced to letters, digits,
    /// `.`, `_` and `-`) and `{date}` (a UTC day, `2026-01-31`; see [`DateOf`]). The directory may
    /// not contain them, because external text must not choose a directory. `-` is standard output.
    pub path: PathBuf,
    /// The permissions of the file, set exactly, whatever the umask.
    pub mode: u32,
    /// What happens to a file that an earlier run left.
    pub if_exists: IfExists,
    /// When a new piece is begun.
    pub rotate: Rotation,
    /// The day that stands for `{date}`.
    pub date: DateOf,
}

impl Target {
    /// A file that is replaced by each run, mode 0640, never rotated.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            mode: 0o640,
            if_exists: IfExists::default(),
            rotate: Rotation::default(),
            date: DateOf::default(),
        }
    }

    /// The same for this run. Replayed dead letters are single findings, which must not replace a file. In a run without
    /// an end of its own, `{date}` is the day of each report.
    #[must_use]
    pub fn for_run(self, open: &Open<'_>) -> Self {
        let if_exists = if open.purpose() == Purpose::Replay { IfExists::Append } else { self.if_exists };
        let date = if open.frame.endless { DateOf::Report } else { self.date };
        Self { if_exists, date, ..self }
    }

    /// What an output that writes to this target can do. A pipe or device cannot return to a receipt: another reader may
    /// be there, which has not seen the beginning.
    #[must_use]
    pub fn capabilities(&self) -> OutputCapabilities {
        if is_direct(&self.path) {
            return OutputCapabilities::NONE.partial(Partial::Adds);
        }
        match self.if_exists {
            IfExists::Replace => CAPABILITIES,
            IfExists::Append | IfExists::Fail => CAPABILITIES.replaces(Replaces::None),
        }
    }
}

/// The day that stands for `{date}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DateOf {
    /// The start of the run; also that of the interrupted run that is resumed.
    #[default]
    Run,
    /// The report's own time; without one, the time at which it begins to be written.
    Report,
}

/// What happens to a file that an earlier run left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfExists {
    /// The first complete report of the run replaces it. Pieces of a rotated file that the new run does not
    /// reach are removed.
    #[default]
    Replace,
    /// The run appends to it.
    Append,
    /// The run refuses to change it.
    Fail,
}

/// When a new piece is begun. Without a limit there is one file, with its plain name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// A piece ends with the record that reaches this many bytes.
    pub max_bytes: Option<u64>,
    /// A piece ends with the first record that is written after this time.
    pub max_age: Option<Duration>,
}

impl Rotation {
    /// Whether there is any limit, and pieces are numbered.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.max_bytes.is_some() || self.max_age.is_some()
    }

    /// Whether a piece of this length and age is full.
    pub(crate) fn is_due(&self, length: u64, age: impl FnOnce() -> Duration) -> bool {
        self.max_bytes.is_some_and(|most| length >= most) || self.max_age.is_some_and(|most| age() >= most)
    }
}
