//! Shows findings as an output would write them.

use std::sync::Arc;

use scanbridge_observe::RunEvent;
use scanbridge_plugin_api::batch::{Selection, ValidBatch};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{PluginError, Rendered};

use super::destination::Destination;
use super::selection::{Rows, assets_of};
use crate::pipeline::batch::{SharedBatch, ValidatedBatch};
use crate::pipeline::control::Control;
use crate::pipeline::tap::{sample, shortened};
use crate::state::Record;

impl Destination {
    /// The valid findings of a batch that pass the filters.
    pub(in crate::pipeline) fn passing(&self, validated: &ValidatedBatch) -> Vec<u32> {
        let mut rows = Rows::default();
        rows.select(validated, &self.filters);
        rows.to_list(validated)
    }

    /// These findings as the output would write them; as JSON of the host if it cannot tell. Changes nothing.
    pub(in crate::pipeline) fn render(
        &mut self,
        report: &Arc<ReportStart>,
        batch: &Arc<SharedBatch>,
        findings: Vec<u32>,
    ) -> Result<Vec<Rendered>, PluginError> {
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        let validated = batch.validate()?;
        let assets = assets_of(validated, &findings);
        let (report, batch) = (self.start_as_sent(report), self.as_sent(batch, validated, &findings)?);
        self.call("render", move |handle| {
            batch.with(|batch| {
                let rendered = handle.render(&report, batch, Selection::new(&assets, &findings))?;
                Ok(rendered.unwrap_or_else(|| as_json(batch, &findings)))
            })
        })
    }
}

/// Shows samples of the batch that was written last, if they are requested.
impl Destination {
    pub(super) fn tap(&mut self, batch: &Arc<SharedBatch>, validated: &ValidatedBatch, control: &Control) {
        let rows = self.rows.to_list(validated);
        let taps = control.stop.taps();
        let (count, remaining) = taps.take(self.id(), rows.len(), control.stop.now());
        let report = self.current.report.as_ref().map(|report| Arc::clone(&report.begin.report));
        let Some(report) = report.filter(|_| count > 0) else { return };
        let rendered = match self.render(&report, batch, sample(&rows, count)) {
            Ok(rendered) => rendered,
            Err(error) => {
                taps.end(self.id());
                tracing::warn!(instance = self.id(), "cannot show what is written: {error}");
                vec![Rendered::omitted(0, error.message)]
            }
        };
        let last = rendered.len().saturating_sub(1);
        for (index, Rendered { text, omitted, .. }) in rendered.into_iter().enumerate() {
            control.watchers.notify(&RunEvent::Tapped {
                output: self.id().to_owned(),
                rendered: shortened(text),
                omitted: shortened(omitted),
                // The receiver has everything with the last record.
                remaining: if index == last { remaining } else { remaining.max(1) },
            });
        }
    }
}

fn as_json(batch: &ValidBatch, findings: &[u32]) -> Vec<Rendered> {
    batch.read(|batch| {
        let findings = findings.iter().filter_map(|row| batch.finding(*row));
        let rendered = findings.map(|finding| {
            let record = Record::of(finding, batch.columns());
            let json = serde_json::to_string(&record).expect("plain data can be serialized");
            Rendered::new(finding.row(), json)
        });
        rendered.collect()
    })
}
