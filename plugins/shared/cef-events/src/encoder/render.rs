//! The events of a few findings, to show them.

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportStart, Severity};
use scanbridge_plugin_api::{Rendered, Result};

use super::Encoder;
use crate::asset_buffer::AssetBufferSettings;
use crate::settings::EventSettings;
use crate::sink::{Outcome, Sink};

/// Collects the events with the rows of their findings.
struct Records<F> {
    prefix: F,
    row: u32,
    records: Vec<Rendered>,
}

impl Encoder {
    /// An encoder with the same settings, for another report. It neither merges nor sorts events.
    #[must_use]
    pub fn fresh(&self) -> Self {
        let settings = EventSettings { buffer: AssetBufferSettings::default(), ..self.settings.clone() };
        Self::new(settings, self.budget)
    }

    /// The events of the findings of a batch, by an encoder of its own. `prefix` writes what is before an event of this
    /// severity. Events that belong to an asset follow its last finding. Events are neither merged nor sorted.
    ///
    /// # Errors
    /// A plugin bug.
    pub fn render(
        &self,
        report: &ReportStart,
        batch: Batch<'_>,
        prefix: impl FnMut(&mut Vec<u8>, Option<Severity>),
    ) -> Result<Vec<Rendered>> {
        let mut encoder = self.fresh();
        encoder.begin(report);
        let (mut sink, mut asset) = (Records { prefix, row: 0, records: Vec::new() }, None);
        for finding in batch.findings() {
            let row = finding.asset().row();
            if asset.replace(row) != Some(row) {
                encoder.switch_to(finding.asset(), &mut sink)?;
            }
            sink.row = finding.row();
            encoder.events(finding, &mut sink)?;
            let rejected = encoder.take_rejected().into_iter();
            sink.records.extend(rejected.map(|rejection| Rendered::omitted(rejection.row, rejection.reason)));
        }
        encoder.finish(&mut sink)?;
        Ok(sink.records)
    }
}

impl<F: FnMut(&mut Vec<u8>, Option<Severity>)> Sink for Records<F> {
    fn event(&mut self, line: &[u8], severity: Option<Severity>) -> Result<Outcome> {
        let mut record = Vec::new();
        (self.prefix)(&mut record, severity);
        record.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        self.records.push(Rendered::new(self.row, String::from_utf8_lossy(&record)));
        Ok(Outcome::Accepted)
    }
}
