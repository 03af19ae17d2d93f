//! What is wrong with a configuration: found all at once, shown without any secret.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Whether a problem stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemLevel {
    /// Nothing is started.
    Error,
    /// The run goes on; somebody should look.
    Warning,
}

impl ProblemLevel {
    /// The word in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem. It stands for itself: the lines it quotes have been stripped of secrets already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the run.
    pub gravity: ProblemLevel,
    /// A stable word for scripts: `unknown-option`.
    pub code: &'static str,
    /// What is wrong, as a sentence in lower case without a full stop.
    pub message: String,
    /// Where.
    pub place: SourceLocation,
    /// What is to be said at the place itself, for example `did you mean …?`.
    pub label: String,
    /// What to do about it; empty when the message says it.
    pub help: String,
}

/// Where a problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file.
    pub file: PathBuf,
    /// Line and column, both from 1, with the line; `None` when the problem concerns the file as a whole.
    pub excerpt: Option<Excerpt>,
}

/// One line of a file, with what must not be seen cut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line's number, from 1.
    pub line: usize,
    /// The character, from 1.
    pub column: usize,
    /// The line.
    pub text: String,
    /// The bytes of `text` that the problem is about.
    pub marked: Range<usize>,
}

/// Everything that is wrong with a configuration: at least one error, perhaps warnings beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// In the order of the files and of their lines.
    pub list: Vec<Problem>,
    /// How many more there were than are kept.
    pub omitted: usize,
}

impl Problems {
    /// The exit code of a program that ends because of them: `EX_CONFIG`.
    pub const EXIT_CODE: u8 = 78;

    /// How many of them stop the run.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(ProblemLevel::Error) + self.omitted
    }

    /// How many of them are warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(ProblemLevel::Warning)
    }

    fn count(&self, gravity: ProblemLevel) -> usize {
        self.list.iter().filter(|problem| problem.gravity == gravity).count()
    }
}

impl fmt::Display for Problems {
    /// Plain text, 110 columns wide; see [`Problems::render`] for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(super::RenderStyle::default()))
    }
}

impl std::error::Error for Problems {}
