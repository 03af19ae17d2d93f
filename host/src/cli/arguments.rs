//! Command-line arguments of `scanbridge`. Scripts depend on them: names and meanings must not change.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::telemetry::{LevelRule, LogFormat, LogOptions, LogTime};

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
        #[arg(required_unless_present = "bundle")]
        file: Option<PathBuf>,
        /// Run a version that `scanbridge config bundle` has printed
        #[arg(long, hide = true, value_name = "FILE", conflicts_with = "file")]
        bundle: Option<PathBuf>,
        /// Format of the summary printed to standard output at the end of the run
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        summary: Format,
        /// Do not show a progress bar (never shown without a terminal)
        #[arg(long)]
        no_progress: bool,
        /// Start from the beginning instead of resuming an interrupted run
        #[arg(long)]
        restart: bool,
        /// If this pipeline is already running, wait until that run has finished (like `if_running: wait`)
        #[arg(long)]
        wait: bool,
        /// File descriptor of the service that supervises this run
        #[arg(long, hide = true, value_name = "FD", value_parser = clap::value_parser!(i32).range(0..))]
        supervised: Option<i32>,
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
    /// Show, export or reset the saved state of a pipeline
    #[command(subcommand)]
    State(StateCommand),
    /// List, show, replay or purge rejected findings
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Run the pipelines of a directory as a service: schedules, restarts, reload
    Serve(ServiceArguments),
    /// Control the service: status, run, pause, reload, install
    Service(ServiceArguments),
}

/// Arguments that the service's own program reads.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ServiceArguments {
    /// Arguments of the program `scanbridge-service`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

/// `scanbridge state …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StateCommand {
    /// Show where the next run resumes, and the latest runs and reports
    Show {
        /// Pipeline file
        file: PathBuf,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print the complete saved state as JSON
    Export {
        /// Pipeline file
        file: PathBuf,
    },
    /// Archive the saved state (dead letters are kept); the next run starts from the beginning
    Reset {
        /// Pipeline file
        file: PathBuf,
        /// Reset only the private data of the input or output with this `id`, such as its list of delivered
        /// files. An interrupted run can still be resumed
        #[arg(long, value_name = "ID")]
        instance: Option<String>,
    },
}

/// `scanbridge dead-letters …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DeadLettersCommand {
    /// Count rejected findings, by output or input
    List {
        /// Pipeline file
        file: PathBuf,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print rejected findings with their rejection reasons
    Show {
        /// Pipeline file
        file: PathBuf,
        /// Only dead letters of this output or input
        #[arg(long, value_name = "ID")]
        output: Option<String>,
        /// Output format; json prints one stored record per line
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Send rejected findings to their outputs again; accepted ones are removed from the dead letters
    Replay {
        /// Pipeline file
        file: PathBuf,
        /// Only dead letters of this output
        #[arg(long, value_name = "ID")]
        output: Option<String>,
        /// Format of the summary printed to standard output
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        summary: Format,
    },
    /// Delete rejected findings
    Purge {
        /// Pipeline file
        file: PathBuf,
        /// Only dead letters of this output or input
        #[arg(long, value_name = "ID")]
        output: Option<String>,
    },
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
    /// Validate a service file and print its effective settings
    Service {
        /// Service file
        file: PathBuf,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Validate pipeline files, and print each with its settings files as one JSON object per line, for the service
    #[command(hide = true)]
    Bundle {
        /// Pipeline files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of pipeline files for editors; covers the installed plugins
    Schema,
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
    /// Directory for saved progress, run history and dead letters [default: $STATE_DIRECTORY, else
    /// $XDG_STATE_HOME/scanbridge, else ~/.local/state/scanbridge]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub log_format: Format,
    /// Level of the log lines of one module, of a plugin or the host, or of one instance: siem=debug. Can be repeated
    #[arg(long = "log-level", global = true, value_name = "TARGET=LEVEL")]
    pub log_levels: Vec<LevelRule>,
    /// Time zone of text log lines
    #[arg(long, value_enum, default_value_t, global = true, value_name = "ZONE")]
    pub log_time: Zone,
    /// Append log lines to this file instead of writing them to standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// More log output: -v steps of the engine, -vv also details of plugins, -vvv everything
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Less log output: -q warnings and errors, -qq errors only
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub quiet: u8,
}

impl CommonOptions {
    /// The settings of the log.
    #[must_use]
    pub fn log(&self) -> LogOptions {
        let count = |times: u8| i8::try_from(times).unwrap_or(i8::MAX);
        LogOptions {
            format: match self.log_format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            },
            time: match self.log_time {
                Zone::Utc => LogTime::Utc,
                Zone::Local => LogTime::Local,
            },
            verbosity: count(self.verbose) - count(self.quiet),
            levels: self.log_levels.clone(),
            file: self.log_file.clone(),
        }
    }
}

/// Time zone of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Zone {
    /// UTC
    #[default]
    Utc,
    /// The time zone of the machine
    Local,
}

/// Output format of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Human-readable text
    #[default]
    Text,
    /// JSON
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::{Usage, parse};

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
            file: Some("p.yaml".into()),
            bundle: None,
            summary: Format::Json,
            no_progress: false,
            restart: false,
            wait: false,
            supervised: None,
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
            ("scanbridge run p.yaml --bundle b.json", 64),
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
