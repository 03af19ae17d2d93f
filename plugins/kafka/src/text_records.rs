//! Findings as records of a text format. All records of an asset have its key, also those that are about no finding.

use scanbridge_finding_texts::{Encoded, LineLimit, TextEncoder, TextFormat, TextSink};
use scanbridge_plugin_api::batch::{AssetView, Batch};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{LateRow, Open, Rendered, Result};

use crate::format::Format;
use crate::key;
use crate::sender::{Sender, Text};

/// Makes the records of a topic.
#[derive(Debug)]
pub(crate) struct TextRecords {
    format: Format,
    encoder: TextEncoder,
    /// The key of the current asset, for what follows when it is complete.
    key: String,
}

impl TextRecords {
    /// `event_bytes` is the maximum size of a CEF event.
    ///
    /// # Errors
    /// An option of the format, or the identity of the connector, is invalid.
    pub(crate) fn new(
        format: TextFormat,
        open: &Open<'_>,
        started: &str,
        event_bytes: usize,
    ) -> Result<Self> {
        let limit = LineLimit { bytes: event_bytes, name: "`record_bytes`" };
        let encoder = TextEncoder::new(format, open.options, &open.frame.connector, started, limit)?;
        Ok(Self { format: Format::Text(format), encoder, key: String::new() })
    }

    /// Begins a report. What the one before it still needs is dropped.
    pub(crate) fn begin(&mut self, report: &ReportStart) {
        self.encoder.begin(report);
    }

    /// Sends the records of a batch.
    ///
    /// # Errors
    /// Those of [`Sender::text`].
    pub(crate) fn batch(&mut self, batch: Batch<'_>, topic: &str, sender: &Sender<'_>) -> Result<Encoded> {
        let Self { format, encoder, key } = self;
        encoder.batch(batch, &mut Sink { format: *format, key, topic, sender, batch: batch.number() })
    }

    /// Whether [`Self::finish`] may send records.
    pub(crate) fn is_pending(&self) -> bool {
        self.encoder.is_pending()
    }

    /// Sends what the last asset still needs: it is complete. Returns the number of records that are about no finding.
    ///
    /// # Errors
    /// Those of [`Sender::text`].
    pub(crate) fn finish(&mut self, topic: &str, sender: &Sender<'_>) -> Result<u64> {
        let Self { format, encoder, key } = self;
        // These records name no finding, so no batch either.
        encoder.finish(&mut Sink { format: *format, key, topic, sender, batch: 0 })
    }

    /// Drops what the last asset still needs: the report is not delivered.
    pub(crate) fn abandon(&mut self) {
        self.encoder.abandon();
    }

    /// Logs at the end of a report what is missing or changed in its records.
    pub(crate) fn log(&self) {
        self.encoder.log();
    }

    /// The values of the records of these findings.
    ///
    /// # Errors
    /// A plugin bug.
    pub(crate) fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        self.encoder.render(report, batch)
    }
}

struct Sink<'a> {
    format: Format,
    key: &'a mut String,
    topic: &'a str,
    sender: &'a Sender<'a>,
    batch: u64,
}

impl TextSink for Sink<'_> {
    fn asset(&mut self, asset: AssetView<'_>) {
        self.key.clear();
        key::append(self.key, &self.sender.headers.source, asset);
    }

    fn text(&mut self, finding: Option<u32>, value: &[u8]) -> Result<()> {
        let row = finding.map(|row| LateRow::new(self.batch, row));
        self.sender.text(self.topic, Text { format: self.format, key: self.key, value, row })
    }
}
