//! What an input does at this moment, for the watchers of the run.

use scanbridge_observe::{Counts, InputState, InputTick};
use scanbridge_plugin_api::model::FindingKind;

use super::counts::{InputCounts, LiveInput};
use super::worker::InputWorker;
use crate::plugins::context::Context;

impl InputWorker<'_> {
    /// Publishes the state of the input and its counts.
    pub(super) fn show(&self, state: InputState) {
        let report = self.report.as_ref().map(|report| &report.begin.report);
        let title = report.map(|report| if report.title.is_empty() { &report.path } else { &report.title });
        let summary = &self.summary;
        *self.counts.live() = LiveInput {
            state,
            report: title.cloned(),
            reports: summary.reports,
            bytes: summary.bytes,
            incomplete: summary.incomplete,
            refused: summary.refused,
        };
    }
}

/// The current state of this input.
pub(in crate::pipeline) fn tick(id: &str, counts: &InputCounts, context: Option<&Context>) -> InputTick {
    let LiveInput { state, report, reports, bytes, incomplete, refused } = counts.live().clone();
    let (report_bytes, report_bytes_total) =
        context.filter(|_| report.is_some()).map(Context::progress).unwrap_or_default();
    let findings = counts.findings();
    let named = [
        ("reports", reports),
        ("assets", counts.assets()),
        ("findings", findings.total()),
        ("bytes", bytes),
        ("incomplete", incomplete),
        ("refused", refused),
    ];
    let mut counts: Counts = named.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    for (kind, severities) in FindingKind::ALL.into_iter().zip(findings.0) {
        for (severity, count) in severities.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            counts.insert(format!("findings_by_severity.{}.{severity}", kind.word()), count);
        }
    }
    InputTick { id: id.to_owned(), state, report, report_bytes, report_bytes_total, counts }
}
