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
    let by_kind = counts.findings();
    let named = [
        ("reports", reports),
        ("assets", counts.assets()),
        ("findings", by_kind.total()),
        ("bytes", bytes),
        ("incomplete", incomplete),
        ("refused", refused),
    ];
    let kinds = FindingKind::ALL.into_iter().map(|kind| (kind.word(), by_kind.of(kind)));
    let counts: Counts =
        named.into_iter().chain(kinds).map(|(name, count)| (name.to_owned(), count)).collect();
    InputTick { id: id.to_owned(), state, report, report_bytes, report_bytes_total, counts }
}
