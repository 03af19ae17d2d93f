//! Problems of a configuration. They contain no secrets.

use std::ops::Range;
use std::path::PathBuf;

/// Severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemLevel {
    /// The pipeline cannot run.
    Error,
    /// The pipeline can run, but the operator should check this.
    Warning,
}

impl ProblemLevel {
    /// `error` or `warning`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem, understandable without the file; secrets in the quoted line are redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub level: ProblemLevel,
    /// Stable code for scripts, for example `unknown-option`.
    pub code: &'static str,
    /// The problem: a sentence in lower case without a full stop.
    pub message: String,
    /// File and line.
    pub location: SourceLocation,
    /// Note next to the marked text, for example `did you mean …?`; may be empty.
    pub label: String,
    /// What the operator can do; empty when the message says it.
    pub help: String,
    /// The `id` of the input or output, if the problem concerns one.
    pub instance: Option<String>,
    /// The step of a plugin that found the problem: `open`, or a step of its check.
    pub step: Option<String>,
}

/// Location of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file.
    pub file: PathBuf,
    /// The line; `None` when the problem concerns the file itself.
    pub excerpt: Option<Excerpt>,
}

/// One line of a file, with secrets redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Line number, from 1.
    pub line: usize,
    /// Column of the problem in the file, in characters, from 1.
    pub column: usize,
    /// Text of the line, or the part of a long line around the problem.
    pub text: String,
    /// Byte range of `text` to mark.
    pub marked: Range<usize>,
}

/// All problems of a configuration: at least one error, and possibly warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The problems, sorted by file and position.
    pub list: Vec<Problem>,
    /// Number of further errors, which are not in `list`.
    pub omitted: usize,
}

impl Problems {
    /// Exit code for an invalid configuration: `EX_CONFIG`.
    pub const EXIT_CODE: u8 = 78;

    /// Number of errors, including those not in `list`.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(ProblemLevel::Error) + self.omitted
    }

    /// Number of warnings in `list`.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(ProblemLevel::Warning)
    }

    fn count(&self, level: ProblemLevel) -> usize {
        self.list.iter().filter(|problem| problem.level == level).count()
    }
}
