//! The summary of a run: its counts and failures.

use std::fmt::Write as _;
use std::time::Duration;

use scanbridge_plugin_api::{ErrorKind, PluginError};
use serde::{Serialize, Serializer};

use super::kind_counts::KindCounts;
use super::validate::{InvalidRows, OddCells};
use crate::config::{InputInstance, OutputInstance, Pipeline};
use crate::exit_code::{INTERRUPTED, exit_code};
use crate::plugins::Metric;
use crate::state::StateError;
use crate::telemetry::without_controls;

/// Result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything was delivered.
    Ok,
    /// Some findings were delivered, some were not.
    Partial,
    /// Nothing was delivered, or an input or a required output failed.
    Failed,
}

/// One failure of a run, for the summary and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The `id:` of the instance.
    pub instance: String,
    /// What failed.
    pub message: String,
    /// What the operator can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code that this failure alone would have.
    pub exit_code: u8,
}

impl Failure {
    pub(crate) fn new(instance: &str, error: &PluginError) -> Self {
        Self {
            instance: instance.to_owned(),
            // Contains file names and responses of peers: line breaks and escape sequences are escaped.
            message: without_controls(&error.message).into_owned(),
            hint: error.hint.as_deref().map(|hint| without_controls(hint).into_owned()),
            exit_code: exit_code(error.kind),
        }
    }

    /// The operator stopped the run before it started.
    pub(crate) fn interrupted(message: &str) -> Self {
        Self { instance: "run".to_owned(), message: message.to_owned(), hint: None, exit_code: INTERRUPTED }
    }

    /// The saved state cannot be used.
    pub(crate) fn of_state(instance: &str, error: &StateError) -> Self {
        Self {
            instance: instance.to_owned(),
            message: without_controls(&error.message).into_owned(),
            hint: error.hint.clone(),
            exit_code: error.exit_code,
        }
    }
}

/// The first of these failures, for a command on the saved state.
#[must_use]
pub(crate) fn to_state_error(failures: &[Failure]) -> StateError {
    let first = failures.first();
    StateError {
        message: first.map(|failure| failure.message.clone()).unwrap_or_default(),
        hint: first.and_then(|failure| failure.hint.clone()),
        exit_code: first.map_or(70, |failure| failure.exit_code),
    }
}

/// Counts of an input.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct InputSummary {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Reports that were read, complete or not.
    pub reports: u64,
    /// Number of complete ones.
    #[serde(skip)]
    pub(super) complete: u64,
    /// Assets in them.
    pub assets: u64,
    /// Findings in them.
    pub findings: KindCounts,
    /// Invalid rows by reason. No output gets them; they are not counted in `assets` and `findings`.
    pub invalid: InvalidRows,
    /// Cells that are not of the form of their column, by column. Their rows are delivered.
    pub odd_cells: OddCells,
    /// Size of the reports at their source, in bytes.
    pub bytes: u64,
    /// Truncated or invalid reports. Those that were not read are not also counted in `refused`.
    pub incomplete: u64,
    /// Reports that were not read for any other reason: missing, empty, of another kind.
    pub refused: u64,
    /// Reports that the next run resumes.
    pub unfinished: u64,
    /// Whether this run resumed an interrupted one; then the counts include only what this run read.
    pub resumed: bool,
    /// What the plugin measured in this run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// Disposition of the findings in an output. The findings that the inputs sent are `records + filtered + rejected +
/// diverted + delivered_before + undelivered`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutputSummary {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Findings delivered.
    pub records: u64,
    /// Delivered findings by kind.
    pub records_by_kind: KindCounts,
    /// Records in addition to the findings, for example events about open ports.
    pub derived: u64,
    /// Findings that the output rejected.
    pub rejected: u64,
    /// Findings that were filtered out.
    pub filtered: u64,
    /// Repetitions of findings after a failure; a finding may count several times.
    pub retried: u64,
    /// Findings that were sent to the failover output instead.
    pub diverted: u64,
    /// Rejected findings that did not fit into the dead letter file.
    pub dead_letters_lost: u64,
    /// Undelivered findings: the output failed, or their report was incomplete and rolled back.
    pub undelivered: u64,
    /// Bytes written for delivered findings.
    pub bytes: u64,
    /// Findings of reports that this output had published before the interruption that the run resumes.
    pub delivered_before: u64,
    /// What the plugin measured in this run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// The summary of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Result of the run.
    pub status: RunStatus,
    /// Its inputs, in the order of the pipeline file.
    pub inputs: Vec<InputSummary>,
    /// Its outputs, in the order of the pipeline file.
    pub outputs: Vec<OutputSummary>,
    /// The failures, in the order in which they happened.
    pub failures: Vec<Failure>,
    /// Duration, in milliseconds.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

impl Summary {
    /// Summary of a command that had nothing to do.
    #[must_use]
    pub fn nothing_done() -> Self {
        Self {
            status: RunStatus::Ok,
            inputs: Vec::new(),
            outputs: Vec::new(),
            failures: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Summary of a run that could not open an instance: nothing was read or written.
    #[must_use]
    pub fn not_started(pipeline: &Pipeline, failures: Vec<Failure>) -> Self {
        let input = |input: &InputInstance| InputSummary {
            id: input.instance.id.clone(),
            plugin: input.instance.plugin.clone(),
            ..InputSummary::default()
        };
        let output = |output: &OutputInstance| OutputSummary {
            id: output.instance.id.clone(),
            plugin: output.instance.plugin.clone(),
            ..OutputSummary::default()
        };
        Self {
            status: RunStatus::Failed,
            inputs: pipeline.inputs.iter().map(input).collect(),
            outputs: pipeline.outputs.iter().map(output).collect(),
            failures,
            elapsed: Duration::ZERO,
        }
    }

    /// Merges two summaries.
    #[must_use]
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.status = match (self.status, other.status) {
            (RunStatus::Ok, RunStatus::Ok) => RunStatus::Ok,
            (RunStatus::Failed, RunStatus::Failed) => RunStatus::Failed,
            _ => RunStatus::Partial,
        };
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self.failures.extend(other.failures);
        self.elapsed += other.elapsed;
        self
    }

    /// The exit code of the run: 130 if it was interrupted, 70 after a plugin bug, otherwise that of the first
    /// failure. 65 if nothing failed but findings were rejected.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let failed_with = |code: u8| self.failures.iter().any(|failure| failure.exit_code == code);
        let rejected = self.outputs.iter().any(|output| output.rejected > 0);
        match self.failures.first() {
            Some(_) if failed_with(INTERRUPTED) => INTERRUPTED,
            Some(_) if failed_with(exit_code(ErrorKind::Bug)) => exit_code(ErrorKind::Bug),
            Some(first) => first.exit_code,
            None if rejected => exit_code(ErrorKind::Rejected),
            None => 0,
        }
    }

    /// Text: one line for each input, each output and each failure, and a last line with the status.
    #[must_use]
    pub fn text(&self) -> String {
        let inputs = self.inputs.iter().map(InputSummary::line);
        let outputs = self.outputs.iter().map(OutputSummary::line);
        let failures = self.failures.iter().map(Failure::lines);
        let ending = match self.status {
            RunStatus::Ok => "all delivered",
            RunStatus::Partial => "partly delivered",
            RunStatus::Failed => "FAILED",
        };
        let last = format!("{ending} after {:.1} s\n", self.elapsed.as_secs_f64());
        inputs.chain(outputs).chain(failures).chain([last]).collect()
    }
}

impl InputSummary {
    fn line(&self) -> String {
        let mut line = format!("read    {} ({}): {}", self.id, self.plugin, count(self.reports, "report"));
        if self.reports > 0 {
            // The size of a report is known only at its end.
            if self.bytes > 0 {
                let _ = write!(line, " of {}", show_bytes(self.bytes));
            }
            let (assets, findings) = (count(self.assets, "asset"), count(self.findings.total(), "finding"));
            let _ = write!(line, ", {assets}, {findings} ({})", self.findings);
        }
        add_counts(&mut line, [(self.invalid.total(), "INVALID rows"), (0, "")]);
        add_counts(&mut line, [(self.incomplete, "INCOMPLETE"), (self.refused, "REFUSED")]);
        add_counts(&mut line, [(self.unfinished, UNFINISHED), (0, "")]);
        let note = if self.resumed { RESUMED } else { "" };
        line + note + "\n"
    }
}

impl OutputSummary {
    fn line(&self) -> String {
        let mut line = format!("written {} ({}): {}", self.id, self.plugin, count(self.records, "finding"));
        add_counts(&mut line, [(self.derived, "derived"), (self.filtered, "filtered out")]);
        add_counts(&mut line, [(self.retried, "resent"), (self.diverted, "sent to its failover")]);
        add_counts(&mut line, [(self.rejected, "REJECTED"), (self.undelivered, "NOT DELIVERED")]);
        add_counts(
            &mut line,
            [(self.dead_letters_lost, "dead letters LOST"), (self.delivered_before, "delivered before")],
        );
        line + &format!(", {}\n", show_bytes(self.bytes))
    }
}

impl Failure {
    fn lines(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("        {hint}\n")).unwrap_or_default();
        format!("failed  {}: {}\n{hint}", self.instance, self.message)
    }
}

const UNFINISHED: &str = "UNFINISHED (the next run resumes it at the last checkpoint)";
/// Also true if the checkpoint is at the beginning of the report, or the report is read from the beginning.
const RESUMED: &str = " (resumed run: counts include only what this run read)";

fn add_counts(line: &mut String, counts: [(u64, &str); 2]) {
    for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
        // Writing to a String cannot fail.
        let _ = write!(line, ", {number} {what}");
    }
}

/// A size with at most one decimal.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub(super) fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn milliseconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::model::FindingKind;

    use super::*;

    fn summary(codes: &[u8], rejected: u64) -> Summary {
        let failure = |code: &u8| Failure {
            instance: "siem".to_owned(),
            message: "cannot write out.cef: no space left".to_owned(),
            hint: Some("free some space and run again".to_owned()),
            exit_code: *code,
        };
        let mut findings = KindCounts::default();
        findings.add(FindingKind::Vulnerability, 1200);
        findings.add(FindingKind::Information, 1);
        let input = InputSummary {
            id: "scans".to_owned(),
            plugin: "QualysGuardFile".to_owned(),
            reports: 1,
            assets: 17,
            findings,
            bytes: 5_400_000,
            ..InputSummary::default()
        };
        let output = OutputSummary {
            id: "siem".to_owned(),
            plugin: "ArcSightCEF".to_owned(),
            records: 1000,
            derived: 40,
            filtered: 201 - rejected,
            rejected,
            bytes: 999,
            ..OutputSummary::default()
        };
        let failures: Vec<Failure> = codes.iter().map(failure).collect();
        let status = if failures.is_empty() { RunStatus::Ok } else { RunStatus::Partial };
        let elapsed = Duration::from_millis(1250);
        Summary { status, inputs: vec![input], outputs: vec![output], failures, elapsed }
    }

    #[test]
    fn exit_code_is_that_of_the_most_important_failure() {
        for (codes, rejected, code) in
            [(&[][..], 0, 0), (&[], 1, 65), (&[66, 65], 1, 66), (&[65, 70], 0, 70), (&[70, 130], 0, 130)]
        {
            assert_eq!(summary(codes, rejected).exit_code(), code, "{codes:?}");
        }
    }

    #[test]
    fn text_has_one_line_per_input_output_and_failure() {
        assert_eq!(
            summary(&[74], 1).text(),
            "read    scans (QualysGuardFile): 1 report of 5.1 MiB, 17 assets, 1201 findings (vulnerability 1200, potential 0, information 1, service 0)\nwritten siem (ArcSightCEF): 1000 findings, 40 derived, 200 filtered out, 1 REJECTED, 999 B\nfailed  siem: cannot write out.cef: no space left\n        free some space and run again\npartly delivered after 1.2 s\n"
        );
    }

    #[test]
    fn input_line_has_no_empty_counts_and_counts_a_report_once() {
        let input = |input: InputSummary| {
            InputSummary { id: "scans".to_owned(), plugin: "QualysGuardFile".to_owned(), ..input }.line()
        };
        let nothing = InputSummary { refused: 1, ..InputSummary::default() };
        assert_eq!(input(nothing), "read    scans (QualysGuardFile): 0 reports, 1 REFUSED\n");
        let unfinished = InputSummary { reports: 1, unfinished: 1, resumed: true, ..InputSummary::default() };
        assert_eq!(
            input(unfinished),
            "read    scans (QualysGuardFile): 1 report, 0 assets, 0 findings (vulnerability 0, potential 0, information 0, service 0), 1 UNFINISHED (the next run resumes it at the last checkpoint) (resumed run: counts include only what this run read)\n"
        );
    }

    #[test]
    fn resent_findings_are_counted() {
        let output = OutputSummary { id: "siem".to_owned(), retried: 64, ..OutputSummary::default() };
        assert!(output.line().contains(": 0 findings, 64 resent, 0 B\n"), "{}", output.line());
    }

    #[test]
    fn json_field_names_are_unchanged() {
        let json = serde_json::to_value(summary(&[], 0)).unwrap();
        assert_eq!(json["status"], "ok");
        assert_eq!(json["elapsed_ms"], 1250);
        assert_eq!(json["inputs"][0]["findings"]["vulnerability"], 1200);
        for name in ["id", "plugin", "reports", "assets", "findings", "bytes", "incomplete"] {
            assert!(json["inputs"][0].get(name).is_some(), "inputs[].{name}");
        }
        for name in ["id", "plugin", "records", "rejected", "filtered", "retried", "bytes"] {
            assert!(json["outputs"][0].get(name).is_some(), "outputs[].{name}");
        }
    }
}
