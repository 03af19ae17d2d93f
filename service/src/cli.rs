//! Command-line arguments of the service. Scripts depend on them: names and meanings must not change.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use scanbridge_observe::{ConsoleKeys, Role};

use crate::install::Install;
use crate::log_sink::LogFormat;
use crate::uninstall::Uninstall;

/// Run and control many pipelines
#[derive(Debug, Parser)]
#[command(
    name = "scanbridge",
    // The host starts this program, and its name is what people type.
    bin_name = "scanbridge",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

const SERVE_CODES: &str = "\
Exit codes: 0 stopped in order, 64 usage error, 73 cannot create socket or file, 75 another service uses the state \
directory, 78 invalid service file or no valid pipeline. A pipeline that fails never ends the service.";

const SERVICE_CODES: &str = "\
Exit codes: 0 done, 64 unknown pipeline, 65 `status`: a pipeline is held, invalid or has failed, 69 no service at this \
socket, 75 not possible in this state, or a change is pending or needs a restart, 77 permission denied, 78 a file was \
rejected. `run --wait` ends with the code of the run.";

const TAP_CODES: &str = "\
Exit codes: 0 also if nothing was written in this time, 64 unknown pipeline or output, 69 the pipeline is not running, or \
there is no service at this socket, 77 permission denied.

Examples:
  scanbridge tap nightly
  scanbridge tap nightly --output siem -n 5 --seconds 60 --format json";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pipelines of a directory by their schedules, until SIGTERM or Ctrl-C
    #[command(after_help = SERVE_CODES)]
    Serve(Serve),
    /// Show samples of what a running pipeline writes now, as its outputs write it
    ///
    /// At most 100 findings of each output in a second. Delivery does not wait for the samples.
    #[command(after_help = TAP_CODES)]
    Tap {
        /// Pipeline of the service: its name or its file
        pipeline: String,
        /// Only the output with this `id`
        #[arg(long, value_name = "ID")]
        output: Option<String>,
        /// Number of findings of each output
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
        count: u32,
        /// Time limit
        #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
        seconds: u32,
    },
    /// Control a running service
    #[command(subcommand, after_help = SERVICE_CODES)]
    Service(ServiceCommand),
    /// For `scanbridge`: print which service runs this pipeline file, or any pipeline
    #[command(hide = true)]
    Owner {
        /// Pipeline file
        file: Option<PathBuf>,
    },
    /// For `scanbridge`: hand chosen reports to the service, or let it skip some; standard input has the request as JSON
    #[command(hide = true)]
    Reports {
        /// What is done
        verb: ReportsVerb,
        /// Pipeline
        name: String,
        /// Wait for the end
        #[arg(long)]
        wait: bool,
        /// Format of the result of the run
        #[arg(long, value_enum, default_value_t)]
        summary: SummaryFormat,
    },
    /// For `scanbridge`: let the service replay or purge dead letters
    #[command(hide = true)]
    DeadLetters {
        /// Pipeline
        name: String,
        /// The request as JSON
        request: String,
    },
}

/// What is done with reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportsVerb {
    Send,
    Skip,
}

/// Format of the result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum SummaryFormat {
    #[default]
    Text,
    Json,
    None,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Pipeline file, or directory with pipeline files (*.yaml, *.yml) [default: `pipelines` of the service file, else
    /// /etc/scanbridge/pipelines]
    pub(crate) paths: Vec<PathBuf>,
    /// Service file [default: /etc/scanbridge/service.yaml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Validate all files and start nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Refuse to start if one pipeline is invalid
    #[arg(long)]
    pub(crate) strict: bool,
    /// Address and port for the API [default: `console.listen` of the service file; without it there is no TCP listener]
    #[arg(long, value_name = "ADDR:PORT", value_parser = read_listen)]
    pub(crate) listen: Option<SocketAddr>,
    /// Append the log to this file; SIGHUP opens it again [default: `log` of the service file, else standard error]
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Show the state of all pipelines, or of one
    Status {
        /// Pipeline
        name: Option<String>,
        /// Show it again every two seconds
        #[arg(long)]
        watch: bool,
    },
    /// Run a pipeline now
    Run {
        /// Pipeline
        name: String,
        /// Wait for the end of the run
        #[arg(long)]
        wait: bool,
    },
    /// Stop a pipeline at its next checkpoint, and do not start it again before `resume`
    Pause {
        /// Pipeline
        name: String,
    },
    /// Continue a paused pipeline, or one that is held
    Resume {
        /// Pipeline
        name: String,
    },
    /// Stop a run at its next checkpoint; again: at once
    Stop {
        /// Pipeline
        name: String,
    },
    /// Cancel reports that were chosen and are not sent yet
    Cancel {
        /// The job, as `scanbridge reports send` prints it
        job: String,
    },
    /// Read all files again; a file with errors keeps its accepted version
    Reload {
        /// Apply nothing if a file is rejected
        #[arg(long)]
        all_or_nothing: bool,
        /// Stop runs of changed pipelines at the next checkpoint, and start them from the beginning
        #[arg(long)]
        now: bool,
        /// Wait until no change is pending
        #[arg(long)]
        wait: bool,
    },
    /// Log one line of counts for each pipeline and run, and print them
    Statistics,
    /// Show the last warnings and errors of a pipeline
    Log {
        /// Pipeline
        name: String,
        /// Number of lines
        #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
        lines: usize,
        /// Show further lines as they come
        #[arg(long)]
        follow: bool,
    },
    /// Make, list and revoke tokens for clients that connect over TCP
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print a link that logs a browser in: once, within a minute, with the role `operate`
    LoginLink,
    /// Install the systemd unit of the service
    Install(Install),
    /// Remove the systemd unit; state and configuration are kept unless --purge is given
    Uninstall(Uninstall),
}

/// Tokens of clients that connect over TCP.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it; it cannot be shown again
    Add {
        /// Name of the token, in the log and the list
        name: String,
        /// What its owner may do: `read` sees states, counts and reports; `operate` also starts, stops and reloads, and
        /// sees dead letters and samples
        #[arg(long, value_name = "ROLE", value_parser = read_role)]
        role: Role,
        /// Time until it expires, for example 90d or 12h [default: never]
        #[arg(long, value_name = "TIME", value_parser = read_lifetime)]
        expires: Option<SignedDuration>,
    },
    /// List all tokens; their values are not stored
    List,
    /// Revoke a token at once
    Revoke {
        /// Name of the token
        name: String,
    },
}

fn read_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let hint = ConsoleKeys::hint_for_listen(text);
        format!("must be an IP address and a port; {hint}")
    })
}

fn read_role(text: &str) -> Result<Role, String> {
    [Role::Read, Role::Operate]
        .into_iter()
        .find(|role| role.word() == text)
        .ok_or_else(|| "must be `read` or `operate`".to_owned())
}

fn read_lifetime(text: &str) -> Result<SignedDuration, String> {
    let help = "must be a time such as 90d or 12h";
    let span: Span = text.parse().map_err(|_| help.to_owned())?;
    let lifetime = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| help.to_owned())?;
    if lifetime.is_positive() { Ok(lifetime) } else { Err(help.to_owned()) }
}

/// Output format of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Human-readable text
    #[default]
    Text,
    /// One JSON value
    Json,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Common {
    /// Additional plugin directory; can be repeated
    #[arg(long = "plugin-dir", global = true, value_name = "DIR")]
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// Load plugins even if any local user can modify them (unsafe)
    #[arg(long, global = true)]
    pub(crate) allow_world_writable_plugins: bool,
    /// Allow core dumps (Linux). They contain the passwords of the runs
    #[arg(long, global = true)]
    pub(crate) allow_core_dumps: bool,
    /// Directory for saved progress, run history and dead letters [default: as for `scanbridge run`]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Control socket [default: control.sock in $RUNTIME_DIRECTORY, else in the state directory; commands look in
    /// /run/scanbridge first]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Output format of `scanbridge service …`
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Format of log lines of `scanbridge serve`
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// More log output: -v debug, -vv trace
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Less log output: -q warnings and errors, -qq errors only
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) quiet: u8,
}
