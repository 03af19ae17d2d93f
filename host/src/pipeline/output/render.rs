//! Shows findings as an output would write them.

use std::sync::Arc;

use scanbridge_plugin_api::batch::Selection;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{PluginError, Rendered};

use super::destination::Destination;
use super::selection::{Rows, assets_of};
use crate::pipeline::batch::{SharedBatch, ValidatedBatch};
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
        let (report, batch) = (Arc::clone(report), Arc::clone(batch));
        self.call("render", move |handle| {
            let validated = batch.validate()?;
            let assets = assets_of(validated, &findings);
            let rendered = handle.render(&report, &validated.batch, Selection::new(&assets, &findings))?;
            Ok(rendered.unwrap_or_else(|| as_json(validated, &findings)))
        })
    }
}

fn as_json(validated: &ValidatedBatch, findings: &[u32]) -> Vec<Rendered> {
    validated.batch.read(|batch| {
        let findings = findings.iter().filter_map(|row| batch.finding(*row));
        let rendered = findings.map(|finding| {
            let record = Record::of(finding, batch.columns());
            let json = serde_json::to_string(&record).expect("plain data can be serialized");
            Rendered::new(finding.row(), json)
        });
        rendered.collect()
    })
}
