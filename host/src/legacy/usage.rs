//! Version line and usage, and what is said in place of a run.

use std::fmt::Write as _;

use super::dialect::{Name, Row, TABLE};
use crate::commands::terminal::{answer, print_error};

/// Which of the two commands was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    QualysConnector,
    ProcessMultiple,
}

/// What is said in place of a run.
#[derive(Debug)]
pub(super) enum Usage {
    /// Nothing was typed at all: the version, the usage, and the exit code of an error, for nothing was delivered.
    NothingTyped,
    /// The usage was asked for.
    Help,
    /// The version was asked for.
    Version,
    /// What was typed cannot be understood.
    Wrong(String),
}

impl Program {
    /// The command's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::QualysConnector => "qualys_connector",
            Self::ProcessMultiple => "process_multiple",
        }
    }

    /// Whether the command has this option.
    pub(super) fn takes(self, name: Name) -> bool {
        name != Name::Multiinfo || self == Self::ProcessMultiple
    }

    /// `qualys_connector Ver. 1.2.3`
    fn version(self) -> String {
        format!("{} Ver. {}\n", self.name(), env!("CARGO_PKG_VERSION"))
    }

    /// The version, and all that may be typed.
    fn usage(self) -> String {
        let line = match self {
            Self::QualysConnector => "qualys_connector [options] [plugin]",
            Self::ProcessMultiple => "process_multiple -multiinfo IDS [options] [plugin]",
        };
        let mut text = format!("{}\nUsage: {line}\n\nOptions:\n", self.version());
        for row in TABLE.iter().filter(|row| self.takes(row.name)) {
            writeln!(text, "  {:<18} {:<4} {}", long(row), format!("-{}", row.short), row.help)
                .expect("a text takes a line");
        }
        text.push_str(ENDING);
        text
    }
}

impl Usage {
    /// Prints it: what was asked for on standard output, what is wrong on standard error. Gives the exit code: 0 for
    /// what was asked for, 64 (`EX_USAGE`) otherwise.
    pub(super) fn print(&self, program: Program) -> u8 {
        match self {
            Self::NothingTyped => answer(&program.usage(), USAGE),
            Self::Help => answer(&program.usage(), 0),
            Self::Version => answer(&program.version(), 0),
            Self::Wrong(problem) => {
                let name = program.name();
                print_error(&format!(
                    "{name}: {problem}\n  = help: run `{name} -help` for a list of \
                     options\n"
                ));
                USAGE
            }
        }
    }
}

impl From<String> for Usage {
    fn from(problem: String) -> Self {
        Self::Wrong(problem)
    }
}

fn long(row: &Row) -> String {
    match row.value {
        Some(value) => format!("-{}={value}", row.word),
        None => format!("-{}", row.word),
    }
}

/// `EX_USAGE`.
const USAGE: u8 = 64;

const ENDING: &str = "
The plugin reads the findings; the default is QualysGuard. Option names may be shortened to any unambiguous
prefix and start with one or two dashes; the value follows after `=` or a space.
Set -server or -csvfile; if both are set, -csvfile is used. Without -syslog, -stderr or -logfile the log goes
to standard output.

Exit codes: 0 all delivered, 64 usage error, 65 invalid, truncated or rejected data, 66 no input found,
69 unreachable or timeout, 70 bug, 73 cannot create, 74 read or write error, 75 already running, 76 protocol
error, 77 access denied, 78 invalid configuration, 130 interrupted.
`scanbridge` is the successor of this command line; docs/legacy-command-line.md explains how to migrate.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_version_of_2014s_form() {
        for program in [Program::QualysConnector, Program::ProcessMultiple] {
            let usage = program.usage();
            let first = usage.lines().next().unwrap();
            let number = first.strip_prefix(program.name()).unwrap().strip_prefix(" Ver. ").unwrap();
            assert_eq!(number.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{first}");
            assert_eq!(program.version(), format!("{first}\n"));
        }
    }

    #[test]
    fn the_usage_is_this() {
        let usage = Program::ProcessMultiple.usage().replace(env!("CARGO_PKG_VERSION"), "X.Y.Z");
        insta::assert_snapshot!(usage);
    }

    #[test]
    fn only_process_multiple_has_multiinfo() {
        assert!(!Program::QualysConnector.usage().contains("multiinfo"));
    }
}
