//! The summary of a run: its status, its exit code and its text.

use std::time::Duration;

use scanbridge_observe::RunEvent;
use scanbridge_plugin_api::ErrorKind;
use serde::{Serialize, Serializer};

use super::failure::Failure;
use super::input::InputSummary;
use super::output::OutputSummary;
use crate::config::{InputInstance, OutputInstance, Pipeline};
use crate::exit_code::{INTERRUPTED, exit_code};

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

    /// The event for the watchers of the run.
    pub(crate) fn event(&self) -> RunEvent {
        let summary = serde_json::to_value(self).expect("a summary consists of strings and numbers");
        RunEvent::Summary { summary }
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

fn milliseconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::model::FindingKind;

    use super::*;
    use crate::pipeline::KindCounts;

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
