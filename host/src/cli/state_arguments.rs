//! Command-line arguments of the commands on the saved state. Scripts depend on them: names and meanings must not change.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::format::{Format, SummaryFormat};
use crate::config::MAX_INSTANCES;

/// Option of commands that only read the saved state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct ShownInstances {
    /// Only instance N of a pipeline with `instances`, from 1 [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_INSTANCES))]
    pub run_instance: Option<u32>,
}

/// Option of commands on the saved state of one instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct OneInstance {
    /// Which instance of a pipeline with `instances`, from 1; required if there are several
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_INSTANCES))]
    pub run_instance: Option<u32>,
}

/// `scanbridge state …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StateCommand {
    /// List the pipelines with saved state: file, last run, dead letters, owner, size
    ///
    /// Those of the service, if one runs, and those of this user; with --state-dir, those of that directory.
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Show where the next run resumes, and the latest runs and reports
    Show {
        /// Pipeline file
        file: PathBuf,
        /// Which instances
        #[command(flatten)]
        instances: ShownInstances,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print the complete saved state as JSON
    Export {
        /// Pipeline file
        file: PathBuf,
        /// Which instances
        #[command(flatten)]
        instances: ShownInstances,
    },
    /// For the service: print the summaries of the last runs as JSON, newest first
    #[command(hide = true)]
    Runs {
        /// Pipeline file
        file: PathBuf,
        /// Which instance
        #[command(flatten)]
        chosen: OneInstance,
        /// Only runs with a lower number
        #[arg(long, default_value_t = u64::MAX, value_name = "N")]
        before: u64,
        /// Number of runs
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Discard an interrupted run: the next run starts from the beginning. Everything else is kept, also the list of
    /// delivered files
    ///
    /// Not possible during a run. If a service runs the pipeline, stop a run first with `scanbridge service pause NAME`.
    Discard {
        /// Pipeline file
        file: PathBuf,
        /// Which instance
        #[command(flatten)]
        chosen: OneInstance,
    },
    /// Allow another `encrypt` for an output: delete the stored settings of its first encryption
    ///
    /// The receiver cannot join records before and after the change. Nothing is delivered again. Not possible during a
    /// run, like `discard`.
    ForgetEncryption {
        /// Pipeline file
        file: PathBuf,
        /// Which instance
        #[command(flatten)]
        chosen: OneInstance,
        /// The output
        #[arg(long, value_name = "ID")]
        output: String,
        /// Confirms it
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Archive the saved state (dead letters are kept); the next run starts from the beginning
    ///
    /// Not possible during a run, like `discard`.
    Reset {
        /// Pipeline file
        file: PathBuf,
        /// Which instance
        #[command(flatten)]
        chosen: OneInstance,
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
        /// Which instances
        #[command(flatten)]
        instances: ShownInstances,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print rejected findings with their rejection reasons
    Show {
        /// Pipeline file
        file: PathBuf,
        /// Which instances
        #[command(flatten)]
        instances: ShownInstances,
        /// Which dead letters
        #[command(flatten)]
        selection: LetterSelection,
        /// Output format; json prints one stored record per line
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Send rejected findings to their outputs again; accepted ones are removed from the dead letters
    ///
    /// If a service runs the pipeline, the service does this between two runs: a run in progress ends at the end of its
    /// report, and continues afterwards.
    Replay {
        /// Pipeline file
        file: PathBuf,
        /// Which instance
        #[command(flatten)]
        chosen: OneInstance,
        /// Which dead letters
        #[command(flatten)]
        selection: LetterSelection,
        /// Format of the summary at the end
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        summary: SummaryFormat,
        /// How the service calls it
        #[command(flatten)]
        service: ServiceOptions,
    },
    /// Delete rejected findings
    ///
    /// If a service runs the pipeline, the service does this between two runs, like `replay`.
    Purge {
        /// Pipeline file
        file: PathBuf,
        /// Which instance
        #[command(flatten)]
        chosen: OneInstance,
        /// Which dead letters
        #[command(flatten)]
        selection: LetterSelection,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
        /// How the service calls it
        #[command(flatten)]
        service: ServiceOptions,
    },
}

/// Options with which the service starts a command on a pipeline that it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct ServiceOptions {
    /// FILE is a version that `scanbridge config bundle` has printed
    #[arg(long, hide = true)]
    pub bundle: bool,
    /// File descriptor of the service that supervises the command
    #[arg(long, hide = true, value_name = "FD", value_parser = clap::value_parser!(i32).range(0..))]
    pub supervised: Option<i32>,
}

/// Conditions for dead letters; all that are given must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct LetterSelection {
    /// Only dead letters of this output or input
    #[arg(long, value_name = "ID")]
    pub output: Option<String>,
    /// Only dead letters whose rejection reason contains this text
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only dead letters of this definition, for example a QID
    #[arg(long, visible_alias = "qid", value_name = "ID")]
    pub definition: Option<String>,
    /// Only the dead letter with this ID, as `dead-letters show` prints it
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Only dead letters whose last delivery attempt is longer ago, for example 90d, 12h or 30m
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub older_than: Option<Duration>,
}

/// Parses an age: a number and `s`, `m`, `h` or `d`.
pub(super) fn parse_age(text: &str) -> Result<Duration, String> {
    let invalid = || format!("`{text}` is not a number with a unit: s, m, h or d");
    let (index, unit) = text.char_indices().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(invalid()),
    };
    let number: u64 = text[..index].parse().map_err(|_| invalid())?;
    number
        .checked_mul(seconds)
        .filter(|age| *age <= MAX_AGE_SECS)
        .map(Duration::from_secs)
        .ok_or_else(invalid)
}

/// 100 years.
const MAX_AGE_SECS: u64 = 36_525 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        for (text, seconds) in [("90d", 90 * 86_400), ("12h", 43_200), ("30m", 1_800), ("0s", 0)] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "7", "7w", "-7d", "1.5h", "99999999999999999999d", "9999999d"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}
