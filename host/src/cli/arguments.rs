//! What may be typed. Scripts depend on it: names and meanings stay.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Carries vulnerability findings from a scanner to the places where people act on them.
///
/// A pipeline file says which findings are read (inputs) and where they go (outputs). Begin with
/// `scanbridge check FILE`; it explains everything that is wrong and starts nothing.
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
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonOptions,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 all delivered    64 usage                  65 bad, incomplete or rejected data
 66 no input         69 peer not reachable     70 bug or plugin crash
 73 cannot create    74 reading or writing     75 try again later
 76 protocol         77 not allowed            78 configuration      130 interrupted";

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run a pipeline once and say what was delivered
    Run {
        /// The pipeline file
        file: PathBuf,
        /// How the counts at the end are printed, last on standard output
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        summary: Format,
        /// Draw no progress bar (without a terminal there is none anyway)
        #[arg(long)]
        no_progress: bool,
        /// Start over, even if an interrupted run could be gone on with
        #[arg(long)]
        restart: bool,
        /// Wait while another run of this pipeline is under way, as with `if_running: wait`
        #[arg(long)]
        wait: bool,
    },
    /// Check a pipeline file and everything it names, deliver nothing
    ///
    /// Without a switch, plugins are loaded and opened with their options, so that wrong combinations and missing
    /// folders show.
    Check {
        /// The pipeline file
        file: PathBuf,
        /// How deep to look
        #[command(flatten)]
        depth: CheckDepth,
        /// How the findings are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Show which plugins there are, and what they take
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Show what a pipeline file amounts to
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show or reset what is remembered of a pipeline's runs
    #[command(subcommand)]
    State(StateCommand),
    /// List, show, replay or purge the findings that outputs refused
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
}

/// `scanbridge state …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StateCommand {
    /// Show where the next run begins, the last runs and the last reports
    Show {
        /// The pipeline file
        file: PathBuf,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print everything that is remembered, as JSON
    Export {
        /// The pipeline file
        file: PathBuf,
    },
    /// Put everything that is remembered aside, but for dead letters: the next run starts over
    Reset {
        /// The pipeline file
        file: PathBuf,
        /// Only what this input or output keeps for itself; an interrupted run is still gone on with
        #[arg(long, value_name = "ID")]
        instance: Option<String>,
    },
}

/// `scanbridge dead-letters …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DeadLettersCommand {
    /// Count the dead letters of each output
    List {
        /// The pipeline file
        file: PathBuf,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Show them one by one
    Show {
        /// The pipeline file
        file: PathBuf,
        /// Only those of the output with this id
        #[arg(long, value_name = "ID")]
        output: Option<String>,
        /// How they are printed; json prints them as they are kept, one a line
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Send them to their outputs again; those that are taken are removed
    Replay {
        /// The pipeline file
        file: PathBuf,
        /// Only those of the output with this id
        #[arg(long, value_name = "ID")]
        output: Option<String>,
        /// How the counts at the end are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        summary: Format,
    },
    /// Remove them
    Purge {
        /// The pipeline file
        file: PathBuf,
        /// Only those of the output with this id
        #[arg(long, value_name = "ID")]
        output: Option<String>,
    },
}

/// How deep `check` looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct CheckDepth {
    /// Read the files and compare them with the plugins' option tables; open nothing
    #[arg(long)]
    pub offline: bool,
    /// Also ask every source and destination whether it would work now; moves no data
    #[arg(long)]
    pub probe: bool,
}

/// `scanbridge plugin …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum PluginCommand {
    /// List all plugins, and the libraries that were refused, with the reason
    List {
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// List the options of a plugin with their defaults
    Describe {
        /// The plugin's name, in any case
        name: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
}

/// `scanbridge config …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Print every effective setting and where it comes from; secrets are redacted
    Show {
        /// The pipeline file
        file: PathBuf,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
        /// Taken for the sake of scripts: effective settings, with defaults, are what is shown anyway
        #[arg(long, hide = true)]
        effective: bool,
    },
    /// Print a JSON Schema of pipeline files with the plugins that are there, for editors
    Schema,
}

/// What every command takes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options for every command")]
pub struct CommonOptions {
    /// Look for plugins in this folder too; may be given several times
    #[arg(long = "plugin-dir", global = true, value_name = "DIR")]
    pub plugin_dirs: Vec<PathBuf>,
    /// Load plugins although their file or folder can be changed by every user of this machine
    #[arg(long, global = true)]
    pub allow_world_writable_plugins: bool,
    /// Keep what must outlive a run in this folder [default: $STATE_DIRECTORY, else `scanbridge` in $XDG_STATE_HOME,
    /// else ~/.local/state/scanbridge]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub log_format: Format,
    /// Log more; twice, log everything
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log less: warnings and errors; twice, errors only
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub quiet: u8,
}

/// What is printed is for people or for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Why the program ends before any command: a usage error, or help and version that were asked for.
#[derive(Debug)]
pub struct Usage(clap::Error);

/// Reads the command line, the program's name first.
///
/// # Errors
/// When it cannot be understood, and when help or the version is asked for.
pub fn parse<I, A>(arguments: I) -> Result<Arguments, Usage>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    Arguments::try_parse_from(arguments).map_err(Usage)
}

impl Usage {
    /// 0 for help and version, 64 (`EX_USAGE`) for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.0.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => 64,
        }
    }

    /// Prints it: help to standard output, errors to standard error, with colours if that is a terminal. A closed
    /// pipe is no failure, so nothing is returned.
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
    fn the_definitions_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn common_options_may_stand_before_or_behind_the_command() {
        let before = read("scanbridge --plugin-dir a --plugin-dir b -v run p.yaml --summary json").unwrap();
        let behind = read("scanbridge run p.yaml --summary json -v --plugin-dir a --plugin-dir b").unwrap();
        assert_eq!(before, behind);
        assert_eq!(before.common.plugin_dirs, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(before.common.verbose, 1);
        let run = Command::Run {
            file: "p.yaml".into(),
            summary: Format::Json,
            no_progress: false,
            restart: false,
            wait: false,
        };
        assert_eq!(before.command, run);
    }

    #[test]
    fn usage_errors_end_with_64_and_help_with_0() {
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
    fn a_typing_error_gets_a_suggestion() {
        assert!(read("scanbridge chek p.yaml").unwrap_err().to_string().contains("'check'"));
    }
}
