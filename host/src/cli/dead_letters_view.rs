//! Output of `dead-letters list` and `dead-letters show`.

use std::path::Path;

use serde_json::json;

use super::arguments::Format;
use super::plugin_view::pretty;
use super::table::render;
use crate::state::{DeadLetter, DeadLetterCount, Missed, MissedReport, Stage};
use crate::telemetry::without_controls;

/// The counts, one line per output. Text is wrapped to `width` columns.
#[must_use]
pub fn list_dead_letter_counts(
    folder: &Path,
    counts: &[DeadLetterCount],
    format: Format,
    width: usize,
) -> String {
    if format == Format::Json {
        return pretty(&json!(counts));
    }
    if counts.is_empty() {
        return no_dead_letters(None, folder);
    }
    let rows = counts.iter().map(|count| {
        [
            match &count.stage {
                Stage::Input { input } => format!("{input} (invalid rows)"),
                Stage::Output { output } => output.clone(),
            },
            count.letters.to_string(),
            count.bytes.to_string(),
            count.oldest.clone(),
            count.newest.clone(),
            count.missed_reports.to_string(),
        ]
    });
    let table = render(["INSTANCE", "LETTERS", "BYTES", "OLDEST", "NEWEST", "MISSED REPORTS"], rows, width);
    format!("state directory: {}\n\n{table}", folder.display())
}

/// Message for an empty list, optionally of one output or input.
#[must_use]
pub fn no_dead_letters(output: Option<&str>, folder: &Path) -> String {
    let of_output = output.map(|id| format!(" of `{id}`")).unwrap_or_default();
    format!("no dead letters{of_output} in {}\n", folder.display())
}

/// A report of which an output lacks findings that are not in the dead letters.
#[must_use]
pub fn show_missed_report(missed: &MissedReport, format: Format) -> String {
    if format == Format::Json {
        let line = json!({ "output": missed.output, "missed_report": missed });
        return line.to_string() + "\n";
    }
    let MissedReport { output, report, missed: Missed { findings, reason }, run, time } = missed;
    let (path, input, reason) = (without_controls(&report.path), &report.input, without_controls(reason));
    // The run that resumes does not know how many an interrupted run missed.
    let findings = if *findings == 0 { "findings".to_owned() } else { format!("{findings} findings") };
    format!("{time} {output}: lacks {findings} of the report {path} (run {run}, input {input}): {reason}\n")
}

/// One dead letter: time, output or input, finding, rejection reason, run, attempts and report.
#[must_use]
pub fn show_dead_letter(letter: &DeadLetter, format: Format) -> String {
    if format == Format::Json {
        return serde_json::to_string(letter).expect("a dead letter consists of strings and numbers") + "\n";
    }
    let field = |fields: &std::collections::BTreeMap<String, String>, name: &str| {
        let text = fields.get(name).map_or("-", String::as_str);
        without_controls(text).into_owned()
    };
    let record = &letter.record;
    let scheme = record.definition.get("scheme").unwrap_or(&letter.report.source.scheme);
    format!(
        "{} {}: {} {} {} port {}: {} (run {}, attempts {}, report {})\n",
        letter.time,
        letter.stage.instance(),
        field(&record.asset, "address"),
        scheme.to_uppercase(),
        field(&record.definition, "id"),
        field(&record.finding, "port"),
        without_controls(&letter.reason),
        letter.run,
        letter.attempts,
        without_controls(&letter.report.path),
    )
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
            show_missed_report(&report, Format::Text)
        };
        assert!(show(3).contains("siem: lacks 3 findings of the report"));
        assert!(show(0).contains("siem: lacks findings of the report"));
    }
}
