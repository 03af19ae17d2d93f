//! Prints the summary of a run or replay: also of one that was not started.

use super::preparation::NOTHING_STARTED;
use super::terminal::{print_notice, print_output, print_text};
use crate::cli::SummaryFormat;
use crate::config::{Problem, ProblemLevel, Problems};
use crate::pipeline::{Failure, RunLog, Summary, Watcher};
use crate::telemetry;

/// Prints the summary of a run and returns its exit code. Text goes to standard error when standard output has the
/// data of an output; JSON is always the last line of standard output, because a script asked for it.
pub(super) fn print_summary(summary: &Summary, format: SummaryFormat, stdout_has_data: bool) -> u8 {
    let code = summary.exit_code();
    match format {
        SummaryFormat::None if code == 0 => code,
        SummaryFormat::Text if !stdout_has_data => print_output(&summary.text(), code),
        SummaryFormat::Text | SummaryFormat::None => {
            print_notice(&summary.text());
            code
        }
        SummaryFormat::Json => {
            let json = serde_json::to_string(summary).expect("a summary consists of strings and numbers");
            print_output(&(json + "\n"), code)
        }
    }
}

/// Prints why nothing was started. With `--summary json`, also prints a summary.
pub(super) fn print_not_started(summary: &Summary, format: SummaryFormat) -> u8 {
    print_failures(&summary.failures, NOTHING_STARTED);
    summary_only(summary, format)
}

/// The JSON summary of a command whose errors are printed already. Returns the exit code.
pub(super) fn summary_only(summary: &Summary, format: SummaryFormat) -> u8 {
    match format {
        SummaryFormat::Json => print_summary(summary, format, false),
        SummaryFormat::Text | SummaryFormat::None => summary.exit_code(),
    }
}

/// Prints each failure with its hint, then their number and `outcome`.
pub(super) fn print_failures(failures: &[Failure], outcome: &str) {
    let mut text = String::new();
    for failure in failures {
        if telemetry::logs_errors() {
            RunLog::new(false).on_event(&failure.event());
        }
        text += &format!("error: {}: {}\n", failure.instance, failure.message);
        text += &failure.hint.as_ref().map(|hint| format!("  = help: {hint}\n")).unwrap_or_default();
    }
    let plural = if failures.len() == 1 { "" } else { "s" };
    print_text(&format!("{text}{} error{plural}{outcome}\n", failures.len()));
}

/// The errors of a pipeline file, as failures of the run.
pub(super) fn failures_of(problems: &Problems) -> Vec<Failure> {
    let errors = problems.list.iter().filter(|problem| problem.level == ProblemLevel::Error);
    errors.map(failure_of).collect()
}

fn failure_of(problem: &Problem) -> Failure {
    let Problem { message, location, label, help, .. } = problem;
    let position = location.excerpt.as_ref().map(|excerpt| format!(":{}:{}", excerpt.line, excerpt.column));
    let label = if label.is_empty() { String::new() } else { format!("; {label}") };
    let message = format!("{}{}: {message}{label}", location.file.display(), position.unwrap_or_default());
    Failure::of_command(
        "pipeline",
        &message,
        Some(help.as_str()).filter(|help| !help.is_empty()),
        Problems::EXIT_CODE,
    )
}
