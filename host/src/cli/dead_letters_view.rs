//! Output of `dead-letters list` and `dead-letters show`.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::format::Format;
use super::plugin_view::pretty;
use super::state_view::minutes;
use super::table::{Columns, render_columns};
use crate::pipeline::{grouped, show_bytes};
use crate::state::{DeadLetter, DeadLetterCount, LetterGroup, Missed, MissedReport, Stage};
use crate::telemetry::without_controls;

/// The dead letters of one output or input, by reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupedLetters {
    /// Number of the instance of a pipeline with several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_instance: Option<u32>,
    /// The output or input, and its counts.
    #[serde(flatten)]
    pub count: DeadLetterCount,
    /// Number of dead letters that cannot be read.
    pub corrupt: u64,
    /// The others by reason, the largest group first.
    pub reasons: Vec<LetterGroup>,
}

/// Maximum number of reasons of an output in text output.
const SHOWN: usize = 20;

/// The dead letters of all instances as JSON.
#[must_use]
pub fn export_dead_letters(lists: &[GroupedLetters]) -> String {
    pretty(&json!(lists))
}

/// The dead letters of one instance by output and reason. Text is wrapped to `width` columns.
#[must_use]
pub fn list_dead_letters(folder: &Path, lists: &[GroupedLetters], width: usize) -> String {
    if lists.is_empty() {
        return no_dead_letters(None, folder);
    }
    let mut text = format!("state directory: {}\n", folder.display());
    for GroupedLetters { count, corrupt, reasons, run_instance: _ } in lists {
        let DeadLetterCount { stage, letters, bytes, missed_reports, .. } = count;
        let what = match stage {
            Stage::Input { input } => format!("{input} (invalid rows)"),
            Stage::Output { output } => output.clone(),
        };
        text.push_str(&format!("\n{what}: {} dead letters, {}", grouped(*letters), show_bytes(*bytes)));
        if *missed_reports > 0 {
            text.push_str(&format!(", lacks findings of {} reports", grouped(*missed_reports)));
        }
        if *corrupt > 0 {
            text.push_str(&format!(", {} CORRUPT", grouped(*corrupt)));
        }
        text.push('\n');
        if reasons.is_empty() {
            continue;
        }
        let rows = reasons.iter().take(SHOWN).map(|group| {
            let LetterGroup { reason, letters, first, last, attempts } = group;
            let reason = without_controls(reason).into_owned();
            [grouped(*letters), minutes(first), minutes(last), attempts.to_string(), reason]
        });
        let header = ["LETTERS", "FIRST", "LAST", "ATTEMPTS", "REASON"];
        text.push_str(&render_columns(header, rows, width, Columns::WRAP_LAST));
        if reasons.len() > SHOWN {
            text.push_str(&format!("and {} more reasons; --format json lists them\n", reasons.len() - SHOWN));
        }
    }
    text
}

/// Message for an empty list, optionally of one output or input.
#[must_use]
pub fn no_dead_letters(output: Option<&str>, folder: &Path) -> String {
    let of_output = output.map(|id| format!(" of `{id}`")).unwrap_or_default();
    format!("no dead letters{of_output} in {}\n", folder.display())
}

/// A report of which an output lacks findings that are not in the dead letters.
#[must_use]
pub fn show_missed_report(missed: &MissedReport, run_instance: Option<u32>, format: Format) -> String {
    if format == Format::Json {
        let line = json!({ "output": missed.output, "missed_report": missed });
        return json_line(line, run_instance);
    }
    let MissedReport { output, report, missed: Missed { findings, reason }, run, time } = missed;
    let (path, input, reason) = (without_controls(&report.path), &report.input, without_controls(reason));
    // The run that resumes does not know how many an interrupted run missed.
    let findings = if *findings == 0 { "findings".to_owned() } else { format!("{findings} findings") };
    format!("{time} {output}: lacks {findings} of the report {path} (run {run}, input {input}): {reason}\n")
}

/// The line above the dead letters of one of several instances.
#[must_use]
pub fn instance_heading(name: &str) -> String {
    format!("pipeline {name}:\n")
}

/// The dead letter with this number, of this instance if there are several: times, output or input, finding, rejection reason, run, attempts, report and ID.
#[must_use]
pub fn show_dead_letter(
    number: u64,
    letter: &DeadLetter,
    run_instance: Option<u32>,
    format: Format,
) -> String {
    if format == Format::Json {
        let mut line = json!(letter);
        line["id"] = json!(letter.id(number));
        line["first"] = json!(letter.first());
        return json_line(line, run_instance);
    }
    let field = |fields: &std::collections::BTreeMap<String, String>, name: &str| {
        let text = fields.get(name).map_or("-", String::as_str);
        without_controls(text).into_owned()
    };
    let record = &letter.record;
    let scheme = record.definition.get("scheme").unwrap_or(&letter.report.source.scheme);
    format!(
        "{} {}: {} {} {} port {}: {} (run {}, attempts {}, first {}, report {}, id {})\n",
        letter.time,
        letter.stage.instance(),
        field(&record.asset, "address"),
        scheme.to_uppercase(),
        field(&record.definition, "id"),
        field(&record.finding, "port"),
        without_controls(&letter.reason),
        letter.run,
        letter.attempts,
        letter.first(),
        without_controls(&letter.report.path),
        letter.id(number),
    )
}

fn json_line(mut line: Value, run_instance: Option<u32>) -> String {
    if let Some(number) = run_instance {
        line["run_instance"] = number.into();
    }
    line.to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_number_of_missing_findings_is_not_shown_as_zero() {
        let missed = |findings| Missed { findings, reason: "refused".to_owned() };
        let show = |findings| {
            let report = MissedReport {
                output: "siem".to_owned(),
                missed: missed(findings),
                ..MissedReport::default()
            };
            show_missed_report(&report, None, Format::Text)
        };
        assert!(show(3).contains("siem: lacks 3 findings of the report"));
        assert!(show(0).contains("siem: lacks findings of the report"));
    }
}
