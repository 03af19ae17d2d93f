//! The summary of a run: its status, its exit code and its text.

use std::time::Duration;

use scanbridge_observe::{RunEvent, show_elapsed};
use scanbridge_plugin_api::ErrorKind;
use serde::{Serialize, Serializer};

use super::failure::Failure;
use super::head::Head;
use super::input::InputSummary;
use super::output::OutputSummary;
use crate::compare::Compared;
use crate::config::{InputInstance, OutputInstance, Pipeline};
use crate::exit_code::{INTERRUPTED, exit_code};
use crate::pipeline::FrequentDefinition;

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

/// The summary of a run. As JSON it also has its format version and exit code.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Which run it is.
    pub head: Head,
    /// Result of the run.
    pub status: RunStatus,
    /// Whether the run was stopped before its end, or has left something that the next run resumes.
    pub interrupted: bool,
    /// Whether the run was stopped while its inputs waited for new reports. Failures of single reports were reported at
    /// their time, and do not determine the exit code.
    pub stopped_idle: bool,
    /// Its inputs, in the order of the pipeline file.
    pub inputs: Vec<InputSummary>,
    /// Its outputs, in the order of the pipeline file.
    pub outputs: Vec<OutputSummary>,
    /// The failures, in the order in which they happened.
    pub failures: Vec<Failure>,
    /// The most frequent definitions of vulnerabilities, at most 20, over all inputs.
    pub top_definitions: Vec<FrequentDefinition>,
    /// Its findings against those of the last run; `None` if they were not compared.
    pub compared: Option<Compared>,
    /// Duration.
    pub elapsed: Duration,
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            #[serde(flatten)]
            head: &'a Head,
            status: RunStatus,
            exit_code: u8,
            interrupted: bool,
            inputs: &'a [InputSummary],
            outputs: &'a [OutputSummary],
            failures: &'a [Failure],
            top_definitions: &'a [FrequentDefinition],
            compared: Option<Compared>,
            elapsed_ms: u64,
        }
        let Self { head, status, interrupted, inputs, outputs, failures, compared, .. } = self;
        let top_definitions = &self.top_definitions;
        let (schema, exit_code) = (Head::SCHEMA, self.exit_code());
        let elapsed_ms = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        let (status, interrupted, compared) = (*status, *interrupted, *compared);
        Document {
            schema,
            head,
            status,
            exit_code,
            interrupted,
            inputs,
            outputs,
            failures,
            top_definitions,
            compared,
            elapsed_ms,
        }
        .serialize(serializer)
    }
}

impl Summary {
    /// A summary without inputs and outputs: of a command that had nothing to do, or that failed before it knew them.
    #[must_use]
    pub fn without_instances(head: Head, failures: Vec<Failure>) -> Self {
        Self {
            head: head.ended(),
            status: if failures.is_empty() { RunStatus::Ok } else { RunStatus::Failed },
            interrupted: false,
            stopped_idle: false,
            inputs: Vec::new(),
            outputs: Vec::new(),
            failures,
            top_definitions: Vec::new(),
            compared: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Summary of a run that could not open an instance: nothing was read or written.
    #[must_use]
    pub fn not_started(head: Head, pipeline: &Pipeline, failures: Vec<Failure>) -> Self {
        let input = |input: &InputInstance| InputSummary {
            id: input.instance.id.clone(),
            plugin: input.instance.plugin.clone(),
            fips: input.instance.fips,
            ..InputSummary::default()
        };
        let output = |output: &OutputInstance| OutputSummary {
            id: output.instance.id.clone(),
            plugin: output.instance.plugin.clone(),
            fips: output.instance.fips,
            ..OutputSummary::default()
        };
        Self {
            inputs: pipeline.inputs.iter().map(input).collect(),
            outputs: pipeline.outputs.iter().map(output).collect(),
            ..Self::without_instances(head, failures)
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
        self.head.ended = other.head.ended;
        self.interrupted |= other.interrupted;
        self.stopped_idle &= other.stopped_idle;
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self.failures.extend(other.failures);
        self.elapsed += other.elapsed;
        // Those of one part are not those of the whole.
        self.top_definitions.clear();
        self
    }

    /// The exit code of the run: 130 if it was interrupted, 70 after a plugin bug, otherwise that of the first
    /// failure. 65 if nothing failed but findings were rejected. 0 if the run was stopped while it waited for new
    /// reports, unless more than single reports and findings failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let failures = self.failures.iter().filter(|failure| !(self.stopped_idle && failure.of_report));
        let failed_with = |code: u8| failures.clone().any(|failure| failure.exit_code == code);
        let rejected = !self.stopped_idle && self.outputs.iter().any(|output| output.rejected > 0);
        match failures.clone().next() {
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
            RunStatus::Failed if self.head.dry_run => "dry run FAILED",
            _ if self.head.dry_run => "dry run, nothing delivered,",
            RunStatus::Ok if self.outputs.iter().any(|output| output.unconfirmed > 0) => {
                "all sent, not all of it confirmed,"
            }
            RunStatus::Ok => "all delivered",
            RunStatus::Partial => "partly delivered",
            RunStatus::Failed => "FAILED",
        };
        let elapsed = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        let last = format!("{ending} after {}\n", show_elapsed(elapsed));
        let compared = self.compared.and_then(|compared| compared.line());
        inputs.chain(outputs).chain(compared).chain(failures).chain([last]).collect()
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::model::FindingKind;

    use super::*;
    use crate::pipeline::KindCounts;
    use crate::plugins::{Metric, MetricKind};

    fn summary(codes: &[u8], rejected: u64) -> Summary {
        let (message, hint) = ("cannot write out.cef: no space left", "free some space and run again");
        let failure = |code: &u8| Failure::of_command("siem", message, Some(hint), *code);
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
        let empty = Summary::without_instances(Head::default(), failures);
        Summary { status, inputs: vec![input], outputs: vec![output], elapsed, ..empty }
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
    fn stop_while_idle_ends_with_0_unless_more_than_reports_failed() {
        let report = Failure { of_report: true, ..summary(&[65], 0).failures.remove(0) };
        let other = summary(&[74], 0).failures.remove(0);
        for (failures, stopped_idle, code) in [
            (vec![report.clone()], true, 0),
            (vec![report.clone()], false, 65),
            (vec![report.clone(), other.clone()], true, 74),
            (vec![report, other], false, 65),
        ] {
            let summary = Summary { failures, stopped_idle, ..summary(&[], 1) };
            assert_eq!(summary.exit_code(), code, "{summary:?}");
        }
    }

    #[test]
    fn records_that_no_receiver_has_confirmed_are_not_called_delivered() {
        let metric = Metric {
            name: "unconfirmed_records".to_owned(),
            kind: MetricKind::Counter,
            help: "events sent over UDP, not confirmed".to_owned(),
            value: 1_400.0,
        };
        let mut summary = summary(&[], 0);
        let output = summary.outputs.remove(0).with_metrics(vec![metric]);
        assert_eq!(output.unconfirmed, 1_400);
        summary.outputs.push(output);
        let text = summary.text();
        assert!(text.contains(", 999 B, 1,400 events sent over UDP, not confirmed\n"), "{text}");
        assert!(text.ends_with("all sent, not all of it confirmed, after 1.25 s\n"), "{text}");
    }

    #[test]
    fn text_has_one_line_per_input_output_and_failure() {
        assert_eq!(
            summary(&[74], 1).text(),
            "read    scans (QualysGuardFile): 1 report of 5.1 MiB, 17 assets, 1,201 findings (vulnerability 1,200, potential 0, information 1, service 0)\nwritten siem (ArcSightCEF): 1,000 findings, 40 derived, 200 filtered out, 1 REJECTED, 999 B\nfailed  siem: cannot write out.cef: no space left\n        free some space and run again\npartly delivered after 1.25 s\n"
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
