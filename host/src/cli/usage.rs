//! Parses the command line.

use std::ffi::OsString;
use std::io::{Write, stderr};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use super::arguments::Arguments;
use super::help::command;
use crate::config::nearest;
use crate::exit_code::USAGE;
use crate::telemetry::json_error;

/// Result of parsing that ends the program before any command: a usage error, or a request for help or the
/// version.
#[derive(Debug)]
pub struct Usage {
    error: clap::Error,
    /// Whether the arguments contain `-v`.
    verbose: bool,
    /// Whether errors are JSON objects.
    is_json: bool,
}

/// Parses the command line; the first argument is the program name.
///
/// # Errors
/// [`Usage`] on a usage error, and when help or the version is requested.
pub fn parse<I, A>(arguments: I) -> Result<Arguments, Usage>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let verbose = arguments.iter().any(|argument| argument == "-v" || argument == "--verbose");
    let is_json = asks_for_json(&arguments);
    // The texts of the help are built only when clap shows one of them.
    let matches = Arguments::command().try_get_matches_from(&arguments);
    let matches = matches.or_else(|_| command().try_get_matches_from(arguments));
    matches.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|error| Usage {
        error: with_suggestion(error),
        verbose,
        is_json,
    })
}

/// Whether a command line, which may be invalid, has `--log-format json`.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let pairs = arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    pairs || arguments.iter().any(|argument| argument == "--log-format=json")
}

/// Adds the most similar command if clap knows none, for example for two characters that are swapped.
fn with_suggestion(mut error: clap::Error) -> clap::Error {
    let suggestion = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if error.get(ContextKind::SuggestedSubcommand).is_none() => {
            let command = command();
            let names = command.get_subcommands().map(clap::Command::get_name);
            nearest(typed, names).map(str::to_owned)
        }
        _ => None,
    };
    if let Some(name) = suggestion {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![name]));
    }
    error
}

impl Usage {
    /// Whether the version is requested.
    #[must_use]
    pub fn is_version(&self) -> bool {
        self.error.kind() == ErrorKind::DisplayVersion
    }

    /// Whether the arguments contain `-v`: `--version -v` also shows details of the build and the plugins.
    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Exit code: 0 for help and version, 64 (`EX_USAGE`) for usage errors.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => USAGE,
        }
    }

    /// Prints help to standard output or the error to standard error, in color on a terminal. Write errors
    /// are ignored, because a closed pipe (`scanbridge --help | head`) is not a failure.
    pub fn print(&self) {
        if !self.is_json || self.exit_code() == 0 {
            let _ = self.error.print();
            return;
        }
        let text = self.error.render().to_string();
        let (message, help) = text.split_once('\n').unwrap_or((&text, ""));
        let message = message.trim_start_matches("error: ");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = stderr().write_all(json_error("usage", message, &help).as_bytes());
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.error.render())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::{Command, ServiceOptions, SummaryFormat};
    use crate::pipeline::Trigger;

    fn read(line: &str) -> Result<Arguments, Usage> {
        parse(line.split(' '))
    }

    #[test]
    fn global_options_before_or_after_the_command() {
        let before = read("scanbridge --plugin-dir a --plugin-dir b -v run p.yaml --summary json").unwrap();
        let after = read("scanbridge run p.yaml --summary json -v --plugin-dir a --plugin-dir b").unwrap();
        assert_eq!(before, after);
        assert_eq!(before.common.plugin_dirs, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(before.common.verbose, 1);
        let run = Command::Run {
            files: vec!["p.yaml".into()],
            jobs: None,
            earlier: None,
            choice: None,
            summary: SummaryFormat::Json,
            no_progress: false,
            restart: false,
            wait: false,
            once: false,
            instance: None,
            dry_run: false,
            trigger: Trigger::Command,
            service: ServiceOptions::default(),
            report: None,
            metrics_file: None,
        };
        assert_eq!(before.command, run);
    }

    #[test]
    fn usage_errors_exit_with_64_and_help_with_0() {
        for (line, code) in [
            ("scanbridge", 64),
            ("scanbridge run", 64),
            ("scanbridge runn p.yaml", 64),
            ("scanbridge run p.yaml --sumary json", 64),
            ("scanbridge check p.yaml --offline --probe", 64),
            ("scanbridge run p.yaml -v -q", 64),
            ("scanbridge --help", 0),
            ("scanbridge help run", 0),
            ("scanbridge --version", 0),
            ("scanbridge help options", 0),
            ("scanbridge check --color maybe p.yaml", 64),
        ] {
            assert_eq!(read(line).unwrap_err().exit_code(), code, "{line}");
        }
    }

    #[test]
    fn misspelled_command_gets_a_suggestion() {
        assert!(read("scanbridge chek p.yaml").unwrap_err().to_string().contains("'check'"));
    }
}
