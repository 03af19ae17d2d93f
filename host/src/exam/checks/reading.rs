//! What an input has read in a run.

use std::collections::BTreeSet;
use std::path::Path;

use scanbridge_plugin_api::{InputCapabilities, ReportKey};
use serde_json::Value;

use crate::exam::job::{ReadEvent, ReadStep, Resume, Step, input_capabilities};
use crate::exam::process::{DIR_IN_JOURNALS, Trace};
use crate::exam::report::{Finding, failed};
use crate::exam::subject::{Exam, Setup, Space, Subject, calls};

/// All findings of all batches, in order.
pub(in crate::exam) fn findings(trace: &Trace) -> Vec<String> {
    let batches = trace.steps().filter_map(|step| match &step.event {
        ReadEvent::Batch(batch) => Some(&batch.findings),
        _ => None,
    });
    batches.flatten().cloned().collect()
}

/// One report that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Report {
    pub(super) start: Value,
    pub(super) continued: bool,
    pub(super) findings: Vec<String>,
    /// Whether it ended, and then whether it was complete.
    pub(super) complete: Option<bool>,
    pub(super) reason: String,
}

/// What a run has read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) reports: Vec<Report>,
    pub(super) refused: Vec<String>,
    /// Whether the input has finished.
    pub(super) finished: bool,
    /// A field of a report's start that is another one when the report is continued.
    pub(super) changed_field: Option<String>,
}

impl Reading {
    /// Reads the steps of a run.
    ///
    /// # Errors
    /// A broken order of steps, or a batch that cannot be used.
    pub(super) fn of(trace: &Trace) -> Result<Self, Finding> {
        Self::of_steps(trace.steps())
    }

    /// As [`Reading::of`], for the first steps of a run.
    pub(super) fn of_steps<'t>(steps: impl Iterator<Item = &'t ReadStep>) -> Result<Self, Finding> {
        let mut reading = Self::default();
        let mut is_open = false;
        for step in steps {
            match &step.event {
                ReadEvent::Start { report, continued, .. } => {
                    if is_open {
                        return failed("a report begins inside another one");
                    }
                    is_open = true;
                    let (start, continued) = (report.clone(), *continued);
                    reading.reports.push(Report { start, continued, ..Report::default() });
                }
                ReadEvent::Batch(batch) => {
                    let Some(report) = reading.reports.last_mut().filter(|_| is_open) else {
                        return failed("a batch comes outside a report");
                    };
                    if let Some(invalid) = &batch.invalid {
                        return failed(format!("a batch is invalid: {invalid}"));
                    }
                    report.findings.extend(batch.findings.iter().cloned());
                }
                ReadEvent::End { complete, reason, .. } => {
                    let Some(report) = reading.reports.last_mut().filter(|_| is_open) else {
                        return failed("a report ends that has not begun");
                    };
                    is_open = false;
                    report.complete = Some(*complete);
                    report.reason.clone_from(reason);
                    if !complete && reason.is_empty() {
                        return failed("a report ends incomplete without a reason");
                    }
                }
                ReadEvent::Refused { path, message } => reading.refused.push(format!("{path}: {message}")),
                ReadEvent::Idle | ReadEvent::Mark if is_open => {
                    return failed("the input is idle, or gives only a position, inside a report");
                }
                ReadEvent::Finished if is_open => return failed("the input finishes inside a report"),
                ReadEvent::Finished => reading.finished = true,
                ReadEvent::Idle | ReadEvent::Mark => {}
            }
        }
        Ok(reading)
    }

    /// An interrupted run, and the run that resumed it.
    pub(super) fn resumed_by(mut self, rest: Self) -> Self {
        for (index, report) in rest.reports.into_iter().enumerate() {
            match self.reports.last_mut().filter(|last| index == 0 && last.complete.is_none()) {
                Some(last) if report.continued => {
                    let changed = |(name, value): (&String, &Value)| {
                        (report.start[name] != *value).then(|| name.clone())
                    };
                    let fields = last.start.as_object();
                    let changed = fields.and_then(|fields| fields.iter().find_map(changed));
                    self.changed_field = self.changed_field.take().or(changed);
                    last.findings.extend(report.findings);
                    (last.complete, last.reason) = (report.complete, report.reason);
                }
                // An interrupted report that is begun again: what was read of it is discarded.
                Some(last) => *last = report,
                None => self.reports.push(report),
            }
        }
        self
    }

    /// What identifies each report in later runs.
    pub(super) fn keys(&self) -> Vec<String> {
        let key = |report: &Report| {
            let fields = ["id", "path", "time", "revision"];
            fields.map(|name| format!("{name}: {}", report.start[name])).join(", ")
        };
        self.reports.iter().map(key).collect()
    }

    /// Only the last report, and its key in a run with this directory.
    pub(super) fn into_last_report(mut self, dir: &Path) -> Option<(ReportKey, Self)> {
        let report = self.reports.pop()?;
        let text = |name: &str| {
            let text = report.start[name].as_str().unwrap_or_default();
            text.replace(DIR_IN_JOURNALS, &dir.display().to_string())
        };
        let key = ReportKey::default()
            .with_input("exam")
            .with_id(text("id"))
            .with_path(text("path"))
            .with_time(text("time"))
            .with_revision(text("revision"));
        self.reports = vec![report];
        Some((key, self))
    }

    /// All reports with their findings, to be compared.
    pub(super) fn lines(&self) -> Vec<String> {
        let with_path = |report: &Report| {
            let mut lines = vec![format!("report {}", path(report))];
            lines.extend(report.findings.iter().cloned());
            lines.push(format!("end, complete: {:?}", report.complete));
            lines
        };
        self.reports.iter().flat_map(with_path).collect()
    }

    /// A finding that was read twice.
    pub(super) fn double(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        let all = self.reports.iter().flat_map(|report| &report.findings);
        all.map(String::as_str)
            .find(|finding| !seen.insert(*finding))
            .map(|finding| finding.char_indices().nth(160).map_or(finding, |(end, _)| &finding[..end]))
    }

    pub(super) fn findings(&self) -> usize {
        self.reports.iter().map(|report| report.findings.len()).sum()
    }
}

/// The path of a report, for messages.
pub(super) fn path(report: &Report) -> &str {
    report.start["path"].as_str().unwrap_or_default()
}

/// Reads everything in a directory.
pub(super) fn read_all(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    space: &Space,
    resume: Resume,
) -> Result<Trace, Finding> {
    let steps = [Step::Open(resume), Step::Read { positions: None }, Step::Close];
    exam.run(subject, space, calls(steps), Setup::default())
}

/// What an instance can do.
pub(super) fn capabilities(subject: &Subject<'_>, trace: &Trace) -> InputCapabilities {
    let declared = subject.descriptor.input_capabilities();
    trace.returned().next().map_or(declared, |(_, opened)| input_capabilities(&opened.value, declared))
}
