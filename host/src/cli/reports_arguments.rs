//! Command-line arguments of `scanbridge reports`. Scripts depend on them: names and meanings must not change.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::format::{Format, ListFormat, SummaryFormat};
use super::state_arguments::{OneInstance, ServiceOptions, parse_age};

/// `scanbridge reports …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ReportsCommand {
    /// List the stored reports of a source, newest first. Changes nothing, also while the pipeline runs
    #[command(after_help = LIST_EXIT_CODES)]
    List {
        /// Pipeline file
        file: PathBuf,
        /// Which reports
        #[command(flatten)]
        filter: ReportFilter,
        /// Only reports in this state
        #[arg(long, value_enum, default_value_t, value_name = "STATE")]
        state: StateFilter,
        /// Maximum number of reports [default: all]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: ListFormat,
        /// How the service calls it
        #[command(flatten)]
        service: ServiceOptions,
    },
    /// Send chosen reports in the order in which they are given, each once
    ///
    /// The choice is part of the saved state: after an interruption the next run continues with the same reports, and ends.
    /// If a service runs the pipeline, the service stores the choice and sends the reports in its turn, between two runs.
    #[command(after_help = SEND_EXIT_CODES)]
    Send(SendArguments),
    /// Let reports count as sent without sending them, for example old ones before the first run
    ///
    /// If a service runs the pipeline, the service does this between two runs.
    #[command(after_help = SKIP_EXIT_CODES)]
    Skip {
        /// Pipeline file
        file: PathBuf,
        /// Which reports
        #[command(flatten)]
        reports: SelectedReports,
        /// All unsent reports that were made before this time: 2026-01-31, 2026-01-31T12:00:00Z, or an age: 90d, 12h
        #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = ["ids", "ids_from", "all_new"])]
        before: Option<String>,
        /// Let the reports count as unsent again
        #[arg(long, conflicts_with_all = ["before", "all_new"])]
        undo: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
        /// How the service calls it
        #[command(flatten)]
        service: ServiceOptions,
    },
    /// Choose reports from a list in the terminal, and send them
    ///
    /// Space marks a report, the right arrow marks all, the left arrow none; typing searches. Enter sends the marked reports
    /// after a question, Esc leaves. Not for services and scripts: it needs a terminal.
    #[command(after_help = PICK_EXIT_CODES)]
    Pick(PickArguments),
}

/// Arguments of `scanbridge reports send`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SendArguments {
    /// Pipeline file
    pub file: PathBuf,
    /// Which reports
    #[command(flatten)]
    pub reports: SelectedReports,
    /// Also send reports that were sent before
    #[arg(long)]
    pub again: bool,
    /// Format of the summary at the end of the run
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub summary: SummaryFormat,
    /// Do not show a progress bar (never shown without a terminal)
    #[arg(long)]
    pub no_progress: bool,
    /// Discard an interrupted run instead of refusing to send
    #[arg(long)]
    pub restart: bool,
    /// If this pipeline is already running, wait until that run has finished. If a service runs it, wait until the service
    /// has sent the reports, and end with the exit code of that run
    #[arg(long)]
    pub wait: bool,
    /// Write a report of the run for people: one HTML file with charts, without scripts
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write metrics in the Prometheus text format at the end, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// Arguments of `scanbridge reports pick`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PickArguments {
    /// Pipeline file
    pub file: PathBuf,
    /// Which reports
    #[command(flatten)]
    pub filter: ReportFilter,
    /// Also offer reports that were sent before
    #[arg(long)]
    pub again: bool,
}

/// Conditions for the reports of a list; all that are given must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ReportFilter {
    /// The `id` of the input; needed if several inputs have stored reports
    #[arg(long, value_name = "ID")]
    pub input: Option<String>,
    /// Which instance
    #[command(flatten)]
    pub chosen: OneInstance,
    /// Only reports that were made at this time or later: 2026-01-31, 2026-01-31T12:00:00Z, or an age: 90d, 12h
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<String>,
    /// Only reports that were made before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<String>,
    /// Only reports with this text in their title or ID; case is ignored
    #[arg(long = "match", value_name = "TEXT")]
    pub text: Option<String>,
}

/// Reports that are named, or all unsent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct SelectedReports {
    /// The `id` of the input; needed if several inputs have stored reports
    #[arg(long, value_name = "ID")]
    pub input: Option<String>,
    /// Which instance
    #[command(flatten)]
    pub chosen: OneInstance,
    /// The report with this ID, as `reports list` prints it; can be repeated
    #[arg(long = "id", value_name = "ID", conflicts_with_all = ["ids_from", "all_new"])]
    pub ids: Vec<String>,
    /// The reports whose IDs are in this file (- for standard input), one per line; also lines of `reports list --format
    /// ndjson`
    #[arg(long, value_name = "FILE", conflicts_with = "all_new")]
    pub ids_from: Option<PathBuf>,
    /// All unsent reports, oldest first
    #[arg(long)]
    pub all_new: bool,
}

impl SelectedReports {
    /// Whether any report is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.ids_from.is_none() && !self.all_new
    }
}

/// Which states `reports list` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum StateFilter {
    /// Ready and not sent
    #[default]
    New,
    /// Sent, or counted as sent
    Sent,
    /// Not finished at the source
    NotReady,
    /// Refused by the last run that read them
    Refused,
    /// All
    All,
}

const LIST_EXIT_CODES: &str = "\
Exit codes: 0 also if there is no report; 64 if an input must be named; 69, 76, 77 from the source; 78 if the
configuration is invalid, or the source has no reports to choose from.";

const SEND_EXIT_CODES: &str = "\
Exit codes: as of `run`. 66 if nothing is left to send; 75 if the pipeline is in use by another run, or an interrupted run
must be finished first. If a service runs the pipeline: 0 if it has stored the choice, with --wait the code of the run.";

const SKIP_EXIT_CODES: &str = "\
Exit codes: 0 all changed or already so, 64 usage error, 75 if the pipeline is in use, or one of the reports is chosen
and not sent yet; otherwise as of `list`.";

const PICK_EXIT_CODES: &str = "\
Exit codes: 0 if it was left and nothing failed, 64 without a terminal, 130 after Ctrl-C; otherwise the code of
the worst run that sent reports.";

/// Parses a time, or an age before now, into the form of the plugin contract: UTC in whole seconds.
fn parse_time(text: &str) -> Result<String, String> {
    let utc = |time: DateTime| TimeZone::UTC.to_timestamp(time).ok();
    let age = || {
        let age = SignedDuration::try_from(parse_age(text).ok()?).ok()?;
        Timestamp::now().checked_sub(age).ok()
    };
    // The time stamp first: a date and time reads one and ignores its zone.
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| text.parse::<DateTime>().ok().and_then(utc));
    let time = time.or_else(|| text.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))));
    let time = time.or_else(age);
    let time = time.ok_or_else(|| {
        format!("`{text}` is neither a time (2026-01-31, 2026-01-31T12:00:00Z) nor an age (90d, 12h)")
    })?;
    Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_time_stamps_or_ages() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T12:30:00Z", "2026-01-31T12:30:00Z"),
            ("2026-01-31T12:30:00+02:00", "2026-01-31T10:30:00Z"),
            ("2026-01-31T12:30", "2026-01-31T12:30:00Z"),
        ] {
            assert_eq!(parse_time(text).as_deref(), Ok(expected), "{text}");
        }
        let (day, now) = (parse_time("1d").unwrap(), parse_time("0s").unwrap());
        assert!(day < now, "{day} {now}");
        for text in ["", "yesterday", "31.01.2026", "2026-02-30", "7w"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
