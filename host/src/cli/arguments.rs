//! Command-line arguments of `scanbridge`. Scripts depend on them: names and meanings must not change.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use scanbridge_plugin_api::Fips;

use super::encrypt_arguments::{DecryptArguments, EncryptCommand};
use super::format::{DescribeFormat, Format, SummaryFormat};
use super::reports_arguments::ReportsCommand;
use super::state_arguments::{DeadLettersCommand, ServiceOptions, StateCommand};
use crate::config::MAX_INSTANCES;
use crate::pipeline::Trigger;
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

const WORST_OF_SEVERAL: &str =
    "With several files: the first of 70, 78, 77, 64, 69, 74, 73, 76, 75, 65, 66, 130.";

const CHECK_EXIT_CODES: &str = "\
Exit codes: 0 if all files are valid, 78 if one is not; otherwise the code with which a run would end.
With several reasons: the first of 70, 78, 77, 69, 74, 73, 76, 75, 65, 66. List: scanbridge --help";

const INIT_EXIT_CODES: &str = "\
Exit codes: 0 if the file is written and valid, 64 without a terminal, 65 if old settings are invalid, 66 if there are \
none, 73 if a file exists or cannot be written, 78 if answers are missing or invalid, 130 if the set-up was left. List: \
scanbridge --help";

const PREVIEW_EXIT_CODES: &str = "\
Exit codes: 0 also if there are fewer findings; 64 if reading would change the source, for example by \
launching a report; otherwise the code with which a run would end. List: scanbridge --help";

const DECRYPT_EXIT_CODES: &str = "\
Exit codes: 0 if everything was decrypted, 64 if there is no such output, 65 if a value is outside its format, 78 if the \
pipeline file is invalid or the key is not that with which the output was encrypted. List: scanbridge --help";

const PIPELINE_TEST_EXIT_CODES: &str = "\
Exit codes: 0 if everything is as expected, 65 if not, 78 if a test file or its pipeline file is invalid.";

const TEST_EXIT_CODES: &str = "\
Exit codes: 0 if all checks were made and passed, 70 if a check failed, 78 if checks could not be made.";

/// Commands of `scanbridge`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run pipelines and print a summary of each
    #[command(after_help = format!("{EXIT_CODES}\n{WORST_OF_SEVERAL}"))]
    Run {
        /// Pipeline file; several run at the same time, each in a process of its own
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Number of pipelines that run at the same time [default: number of processors, at most 4]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        jobs: Option<u16>,
        /// If the pipeline was changed and cannot finish the report that was interrupted, let this version finish it
        #[arg(long, hide = true, value_name = "FILE")]
        earlier: Option<PathBuf>,
        /// File with the reports that an operator of the service has chosen
        #[arg(long, hide = true, value_name = "FILE")]
        choice: Option<PathBuf>,
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
        /// Which instance of a pipeline with `instances`, from 1 [default: 1]
        #[arg(
            long,
            visible_alias = "run-instance",
            value_name = "N",
            value_parser = clap::value_parser!(u32).range(1..=MAX_INSTANCES)
        )]
        instance: Option<u32>,
        /// Read and filter everything that a run would read now, but deliver nothing: the summary counts what it would
        /// deliver. Changes no saved state, no destination and no source
        #[arg(long, conflicts_with_all = ["restart", "wait", "report", "metrics_file"])]
        dry_run: bool,
        /// Write a report of the run for people: one HTML file with charts, without scripts
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Write metrics in the Prometheus text format at the end, for the textfile collector of node_exporter
        #[arg(long, value_name = "FILE")]
        metrics_file: Option<PathBuf>,
        /// What started the run, for its summary
        #[arg(long, value_enum, default_value_t, hide = true, value_name = "WORD")]
        trigger: Trigger,
        /// How the service calls it
        #[command(flatten)]
        service: ServiceOptions,
    },
    /// Set up a pipeline: questions in the terminal, or the settings of an older product
    ///
    /// Asks for inputs, outputs, their options, a schedule and a service, checks each answer, and writes a pipeline file.
    /// Esc goes back. Answers of an interrupted set-up are kept, without secrets, and offered the next time; the values of a
    /// file that exists are the defaults. Secrets get files of their own.
    #[command(after_help = INIT_EXIT_CODES)]
    Init(InitArguments),
    /// Validate pipeline files without delivering anything
    ///
    /// By default, opens each plugin with its options, but contacts no source or destination. This also finds
    /// options that contradict each other, missing input files, output directories that do not exist or are not
    /// writable, and unusable client certificates. --offline only reads the files; --probe also contacts sources and
    /// destinations.
    #[command(visible_alias = "validate", after_help = CHECK_EXIT_CODES)]
    Check {
        /// Pipeline files, or directories that contain them (*.yaml, *.yml)
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Extent of the check
        #[command(flatten)]
        depth: CheckDepth,
        /// Treat warnings as errors (exit code 78)
        #[arg(long)]
        deny_warnings: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Show the first findings of a pipeline as its outputs would write them
    ///
    /// Reads until this many findings pass the filters of each output. Nothing is delivered, and no saved state, no
    /// destination and no source is changed.
    #[command(after_help = PREVIEW_EXIT_CODES)]
    Preview {
        /// Pipeline file
        file: PathBuf,
        /// Number of findings for each output
        #[arg(short = 'n', long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
        count: u64,
        /// Only the output with this `id`
        #[arg(long, value_name = "ID")]
        output: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Run the tests of pipelines: what do the outputs write for a report?
    ///
    /// A test file names a pipeline, reports, and what is expected of the outputs. The plugins of the pipeline read copies
    /// of the reports and write into a temporary directory; nothing is sent, and no state is changed. An output that cannot
    /// write to a file is left out.
    #[command(after_help = PIPELINE_TEST_EXIT_CODES)]
    Test {
        /// Test files (YAML)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print the inputs, filters and outputs of a pipeline as a diagram
    Graph {
        /// Pipeline file
        file: PathBuf,
        /// Language of the diagram
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: GraphFormat,
    },
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Show the options of every command
    Options,
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
    /// Make a secret for the encryption of fields
    #[command(subcommand)]
    Encrypt(EncryptCommand),
    /// Decrypt values that an output with `encrypt` has written
    ///
    /// Reads the secret through the pipeline file: those who may read the secret may decrypt. A token cannot be decrypted and
    /// is printed as `token (one-way)`. Names come back in lower case, NetBIOS names in upper case. Of a text that the
    /// output has truncated, only the beginning can be decrypted.
    #[command(after_help = DECRYPT_EXIT_CODES)]
    #[command(
        override_usage = "scanbridge decrypt <FILE> --output <ID> --format <FORMAT> [VALUE]...\n       \
                                scanbridge decrypt <FILE> --output <ID> --json\n       \
                                scanbridge decrypt <FILE> --output <ID> --map <KEY=FORMAT,…>"
    )]
    Decrypt(DecryptArguments),
    /// List stored reports of a source, send chosen ones, or skip them
    #[command(subcommand)]
    Reports(ReportsCommand),
    /// Run the pipelines of a directory as a service: schedules, restarts, reload
    Serve(ServiceArguments),
    /// Control the service: status, run, pause, reload, install
    Service(ServiceArguments),
    /// Show samples of what a running pipeline of the service writes now
    Tap(ServiceArguments),
}

/// Arguments of `scanbridge init`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InitArguments {
    /// Pipeline file (*.yaml, *.yml), or the directory in which it is to be
    #[arg(default_value = ".", value_name = "PATH")]
    pub target: PathBuf,
    /// Ask nothing: take the answers from this file. It is a pipeline file; secrets in it get files of their own
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub answers: Option<PathBuf>,
    /// Convert the settings of an older product, and report what was done with each: `qualys-connector DIR` or
    /// `smartconnector FILE` (agent.properties)
    #[arg(long, num_args = 2, value_names = ["KIND", "SETTINGS"])]
    pub from: Option<Vec<OsString>>,
    /// With `--from qualys-connector`: the command line that was used, for example the line of the crontab
    #[arg(long, value_name = "LINE", requires = "from")]
    pub command: Option<String>,
    /// Print the pipeline file, and the service file if there is one, instead of writing them
    #[arg(long)]
    pub print: bool,
}

/// Arguments that the service's own program reads.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ServiceArguments {
    /// Arguments of the program `scanbridge-service`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
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
        /// Show only this option
        option: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: DescribeFormat,
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
    /// every plugin, O1 to O9 for outputs, I1 to I8 for inputs.
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
    Schema {
        /// Print the schema of the summary of a run (`run --summary json`) instead
        #[arg(long)]
        summary: bool,
    },
    /// Print a pipeline file with all options of these plugins, as comments with their defaults
    Example {
        /// Names of input and output plugins
        #[arg(required = true, value_name = "PLUGIN")]
        plugins: Vec<String>,
        /// Also the keys of the host, such as `retry` and `queue`
        #[arg(long)]
        all: bool,
    },
}

/// Options of every command.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
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
    /// $STATE_DIRECTORY, else $XDG_STATE_HOME/scanbridge, else ~/.local/state/scanbridge; `state FILE` and `dead-letters`
    /// first: that of the service that runs the pipeline]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// FIPS mode that every input and output has at least; needs the FIPS build [default: $SCANBRIDGE_FIPS, else off]
    #[arg(long, global = true, value_name = "MODE", value_parser = fips_mode())]
    pub fips: Option<Fips>,
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
    /// Colors on standard error
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    pub color: ColorChoice,
    /// More log output: -v steps of the engine, -vv also details of plugins, -vvv everything
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Less log output: -q warnings and errors, -qq errors only
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub quiet: u8,
}

/// Reads the word of a FIPS mode.
fn fips_mode() -> impl TypedValueParser<Value = Fips> {
    PossibleValuesParser::new(Fips::WORDS).try_map(|word| word.parse::<Fips>())
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

/// When to use colors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Language of a diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Mermaid, which Markdown viewers show
    #[default]
    Mermaid,
    /// Graphviz
    Dot,
}
