//! Command-line arguments of `scanbridge`. Scripts depend on them: names and meanings must not change.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand};

use super::format::{Format, SummaryFormat};
use super::state_arguments::{DeadLettersCommand, StateCommand};
use crate::pipeline::Trigger;

/// Transfer vulnerability findings from Qualys to Defense Center, ArcSight (CEF), CSV and JSON.
///
/// A pipeline file (YAML) lists the inputs and outputs. Start with `scanbridge check FILE`: it reports all
/// errors with line numbers and delivers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "scanbridge",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
pub struct Arguments {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub common: CommonOptions,
}

const EXIT_CODES: &str = "\
Exit codes:
    0 all delivered                          73 cannot create file or directory
   64 usage error                            74 read or write error
   65 invalid, truncated or rejected data    75 already running, try again later
   66 no input found                         76 protocol error
   69 unreachable or timed out               77 access denied
   70 plugin bug, crash or hang              78 invalid configuration
  130 interrupted";

const CHECK_EXIT_CODES: &str = "\
Exit codes: 0 if the pipeline is valid, 78 if it is not; otherwise the code with which a run would end.
List: scanbridge --help";

const TEST_EXIT_CODES: &str = "\
Exit codes: 0 if all checks were made and passed, 70 if a check failed, 78 if checks could not be made.";

/// Commands of `scanbridge`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run a pipeline and print a summary
    #[command(after_help = EXIT_CODES)]
    Run {
        /// Pipeline file
        file: PathBuf,
        /// Format of the summary at the end of the run
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        summary: SummaryFormat,
        /// Do not show a progress bar (never shown without a terminal)
        #[arg(long)]
        no_progress: bool,
        /// Start from the beginning instead of resuming an interrupted run
        #[arg(long)]
        restart: bool,
        /// If this pipeline is already running, wait until that run has finished (like `if_running: wait`)
        #[arg(long)]
        wait: bool,
        /// End as soon as each input has read what is there, instead of waiting for new reports (like `until: idle`)
        #[arg(long)]
        once: bool,
        /// What started the run, for its summary
        #[arg(long, value_enum, default_value_t, hide = true, value_name = "WORD")]
        trigger: Trigger,
    },
    /// Validate a pipeline file without delivering anything
    ///
    /// By default, opens each plugin with its options. This also finds options that contradict each other, and
    /// output directories that do not exist or are not writable. --offline only reads files; --probe also
    /// contacts sources and destinations.
    #[command(after_help = CHECK_EXIT_CODES)]
    Check {
        /// Pipeline file
        file: PathBuf,
        /// Extent of the check
        #[command(flatten)]
        depth: CheckDepth,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// List, describe, create and examine plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Show the effective configuration or its JSON Schema
    #[command(subcommand)]
    Config(ConfigCommand),
    /// List, show, export, discard or reset saved state
    #[command(subcommand)]
    State(StateCommand),
    /// List, show, replay or purge rejected findings
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
}

/// Extent of `check`: by default plugins are opened, but no peer is contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct CheckDepth {
    /// Only validate the files against the plugins' option tables; open nothing
    #[arg(long)]
    pub offline: bool,
    /// Also connect to every source and destination; no findings are transferred
    #[arg(long)]
    pub probe: bool,
}

/// `scanbridge plugin …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum PluginCommand {
    /// List all plugins, and the libraries that could not be loaded, with the reasons
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Show the options of a plugin with types, defaults and descriptions
    Describe {
        /// Plugin name (case-insensitive)
        name: String,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Write the crate of a new plugin that passes the exam
    New {
        /// Directory to create; its name is that of the crate
        name: PathBuf,
        /// Input or output
        #[command(flatten)]
        kind: NewKind,
        /// Directory `plugin-api` of a Scanbridge checkout
        #[arg(long, value_name = "DIR")]
        api: PathBuf,
    },
    /// Examine a finished plugin library: does it keep the promises of the plugin contract?
    ///
    /// Runs the plugin in child processes, kills them, and compares what was delivered or read. Checks: G1 to G8 for
    /// every plugin, O1 to O8 for outputs, I1 to I7 for inputs.
    #[command(after_help = TEST_EXIT_CODES)]
    Test {
        /// The shared library
        library: PathBuf,
        /// Exam file (YAML): per plugin its options, samples, and where its records are found
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Only this check, for example O2
        #[arg(long, value_name = "ID")]
        only: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// A child process of `test`
    #[command(hide = true)]
    Examine {
        /// Job file
        job: PathBuf,
    },
}

/// The kind of a new plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub struct NewKind {
    /// A plugin that reads findings from a source
    #[arg(long)]
    pub input: bool,
    /// A plugin that writes findings to a destination
    #[arg(long)]
    pub output: bool,
}

/// `scanbridge config …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Print all effective settings with their origin (file and line, or default); secrets are redacted
    Show {
        /// Pipeline file
        file: PathBuf,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
        /// Accepted for compatibility; has no effect
        #[arg(long, hide = true)]
        effective: bool,
    },
    /// Print the JSON Schema of pipeline files for editors; covers the installed plugins
    Schema {
        /// Print the schema of the summary of a run (`run --summary json`) instead
        #[arg(long)]
        summary: bool,
    },
}

/// Options of every command.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Global options")]
pub struct CommonOptions {
    /// Additional plugin directory; can be repeated
    #[arg(long = "plugin-dir", global = true, value_name = "DIR")]
    pub plugin_dirs: Vec<PathBuf>,
    /// Load plugins even if any local user can modify them (unsafe)
    #[arg(long, global = true)]
    pub allow_world_writable_plugins: bool,
    /// Allow core dumps (Linux). They contain the passwords of the run
    #[arg(long, global = true)]
    pub allow_core_dumps: bool,
    /// Directory for saved progress, run history and dead letters [default: $SCANBRIDGE_STATE_DIR, else
    /// $STATE_DIRECTORY, else $XDG_STATE_HOME/scanbridge, else ~/.local/state/scanbridge]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub log_format: Format,
    /// More log output: -v debug, -vv trace
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Less log output: -q warnings and errors, -qq errors only
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub quiet: u8,
}

/// Result of parsing that ends the program before any command: a usage error, or a request for help or the
/// version.
#[derive(Debug)]
pub struct Usage(clap::Error);

/// Parses the command line; the first argument is the program name.
///
/// # Errors
/// [`Usage`] on a usage error, and when help or the version is requested.
pub fn parse<I, A>(arguments: I) -> Result<Arguments, Usage>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    Arguments::try_parse_from(arguments).map_err(Usage)
}

impl Usage {
    /// Exit code: 0 for help and version, 64 (`EX_USAGE`) for usage errors.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.0.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => 64,
        }
    }

    /// Prints help to standard output or the error to standard error, in color on a terminal. Write errors
    /// are ignored, because a closed pipe (`scanbridge --help | head`) is not a failure.
    pub fn print(&self) {
        let _ = self.0.print();
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.render())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(line: &str) -> Result<Arguments, Usage> {
        parse(line.split(' '))
    }

    #[test]
    fn clap_definitions_are_valid() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_before_or_after_the_command() {
        let before = read("scanbridge --plugin-dir a --plugin-dir b -v run p.yaml --summary json").unwrap();
        let after = read("scanbridge run p.yaml --summary json -v --plugin-dir a --plugin-dir b").unwrap();
        assert_eq!(before, after);
        assert_eq!(before.common.plugin_dirs, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(before.common.verbose, 1);
        let run = Command::Run {
            file: "p.yaml".into(),
            summary: SummaryFormat::Json,
            no_progress: false,
            restart: false,
            wait: false,
            once: false,
            trigger: Trigger::Command,
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
        ] {
            assert_eq!(read(line).unwrap_err().exit_code(), code, "{line}");
        }
    }

    #[test]
    fn misspelled_command_gets_a_suggestion() {
        assert!(read("scanbridge chek p.yaml").unwrap_err().to_string().contains("'check'"));
    }
}
