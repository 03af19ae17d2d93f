//! Parses the command line. Errors are text or, with `--log-format json`, a log line.

use std::ffi::OsString;
use std::io::{Write, stderr};

use clap::Parser;
use clap::error::ErrorKind;

use super::arguments::Arguments;
use crate::telemetry::json_error;

/// Result of parsing that ends the program before any command: a usage error, or a request for help or the
/// version.
#[derive(Debug)]
pub struct Usage {
    error: clap::Error,
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
    let is_json = asks_for_json(&arguments);
    Arguments::try_parse_from(arguments).map_err(|error| Usage { error, is_json })
}

/// Whether a command line, which may be invalid, has `--log-format json`.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let pairs = arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    pairs || arguments.iter().any(|argument| argument == "--log-format=json")
}

impl Usage {
    /// Exit code: 0 for help and version, 64 (`EX_USAGE`) for usage errors.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => 64,
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
