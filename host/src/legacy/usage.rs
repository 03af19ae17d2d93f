//! Version line, usage and usage errors.

use std::fmt::Write as _;

use super::dialect::{Name, Row, TABLE};
use crate::commands::terminal::{print_error, print_output};
use crate::exit_code::USAGE;

/// Which of the two commands was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    QualysConnector,
    ProcessMultiple,
}

/// An old command as its usage describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldCommand {
    /// Its name.
    pub name: &'static str,
    /// The usage line.
    pub synopsis: &'static str,
    /// Its options with their help.
    pub options: Vec<(String, &'static str)>,
    /// What follows the options: paragraphs, separated by an empty line.
    pub notes: &'static str,
}

/// What to print instead of running.
#[derive(Debug)]
pub(crate) enum Usage {
    /// No arguments: version and usage, with the exit code of a usage error because nothing was delivered.
    NothingTyped,
    /// The usage, for `-help`.
    Help,
    /// The version, for `-version`.
    Version,
    /// A usage error.
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
    pub(super) fn has(self, name: Name) -> bool {
        name != Name::Multiinfo || self == Self::ProcessMultiple
    }

    /// `qualys_connector Ver. 1.2.3`
    fn version(self) -> String {
        format!("{} Ver. {}\n", self.name(), env!("CARGO_PKG_VERSION"))
    }

    fn synopsis(self) -> &'static str {
        match self {
            Self::QualysConnector => "qualys_connector [options] [plugin]",
            Self::ProcessMultiple => "process_multiple -multiinfo IDS [options] [plugin]",
        }
    }

    /// What the usage describes.
    pub(super) fn described(self) -> OldCommand {
        let rows = TABLE.iter().filter(|row| self.has(row.name));
        OldCommand {
            name: self.name(),
            synopsis: self.synopsis(),
            options: rows.map(|row| (format!("{}, -{}", long(row), row.short), row.help)).collect(),
            notes: ENDING,
        }
    }

    /// Version line and usage.
    fn usage(self) -> String {
        let mut text = format!("{}\nUsage: {}\n\nOptions:\n", self.version(), self.synopsis());
        for row in TABLE.iter().filter(|row| self.has(row.name)) {
            let help = row.help.replace('\n', &format!("\n{:26}", ""));
            writeln!(text, "  {:<18} {:<4} {help}", long(row), format!("-{}", row.short))
                .expect("writing to a string cannot fail");
        }
        text.push_str(ENDING);
        text
    }
}

impl Usage {
    /// Prints usage and version to standard output and a usage error to standard error. Returns the exit
    /// code: 0 for `-help` and `-version`, otherwise 64 (`EX_USAGE`).
    pub(super) fn print(&self, program: Program) -> u8 {
        match self {
            Self::NothingTyped => print_output(&program.usage(), USAGE),
            Self::Help => print_output(&program.usage(), 0),
            Self::Version => print_output(&program.version(), 0),
            Self::Wrong(problem) => {
                let name = program.name();
                print_error(&format!(
                    "{name}: {problem}\n  = help: run `{name} -help` for a list of options\n"
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

const ENDING: &str = "
The plugin reads the findings; the default is QualysGuard. Option names may be
shortened to any unambiguous prefix and start with one or two dashes; the value
follows after `=` or a space.
Set -server or -csvfile; if both are set, -csvfile is used. Without -syslog,
-stderr or -logfile the log goes to standard output.

Exit codes: 0 all delivered, 64 usage error, 65 invalid, truncated or rejected
data, 66 no input found, 69 unreachable or timed out, 70 plugin bug, crash or
hang, 73 cannot create file or directory, 74 read or write error, 75 already
running, 76 protocol error, 77 access denied, 78 invalid configuration,
130 interrupted.

`scanbridge` is the successor of this command. docs/legacy-command-line.md
explains how to migrate and where to get help.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_the_version() {
        for program in [Program::QualysConnector, Program::ProcessMultiple] {
            let usage = program.usage();
            let first = usage.lines().next().unwrap();
            let number = first.strip_prefix(program.name()).unwrap().strip_prefix(" Ver. ").unwrap();
            assert_eq!(number.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{first}");
            assert_eq!(program.version(), format!("{first}\n"));
        }
    }

    #[test]
    fn usage_text() {
        for program in [Program::QualysConnector, Program::ProcessMultiple] {
            let usage = program.usage().replace(env!("CARGO_PKG_VERSION"), "X.Y.Z");
            assert!(usage.lines().all(|line| line.chars().count() <= 80), "{usage}");
            insta::assert_snapshot!(format!("usage-{}", program.name()), usage);
        }
    }

    #[test]
    fn only_process_multiple_has_multiinfo() {
        assert!(!Program::QualysConnector.usage().contains("multiinfo"));
    }
}
