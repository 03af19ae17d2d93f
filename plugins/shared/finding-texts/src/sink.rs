//! Where texts go.

use scanbridge_cef_events::{Outcome, Sink};
use scanbridge_plugin_api::Result;
use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use scanbridge_plugin_api::model::Severity;

/// Receives texts.
pub trait TextSink {
    /// The next texts are about this asset. Called again for each batch that continues it.
    fn asset(&mut self, asset: AssetView<'_>) {
        let _ = asset;
    }

    /// Takes a text, without a line feed. `finding` is the row of its finding in the batch; `None`: the text is about the
    /// asset, or about a finding that may be of an earlier batch.
    ///
    /// # Errors
    /// The destination failed; the encoder stops.
    fn text(&mut self, finding: Option<u32>, text: &[u8]) -> Result<()>;
}

/// Passes CEF events on.
pub(crate) struct Events<'s, S> {
    pub(crate) sink: &'s mut S,
    pub(crate) finding: Option<u32>,
}

impl<S: TextSink> Sink for Events<'_, S> {
    fn asset(&mut self, asset: AssetView<'_>) {
        self.sink.asset(asset);
    }

    fn finding(&mut self, row: Option<u32>) {
        self.finding = row;
    }

    fn event(&mut self, line: &[u8], _: Option<Severity>) -> Result<Outcome> {
        self.sink.text(self.finding, line.strip_suffix(b"\n").unwrap_or(line))?;
        Ok(Outcome::Accepted)
    }
}

/// Passes the texts of the findings of a batch on.
pub(crate) struct Findings<'b, F> {
    pub(crate) batch: Batch<'b>,
    pub(crate) take: F,
}

impl<'b, F: FnMut(FindingView<'b>, &[u8]) -> Result<()>> TextSink for Findings<'b, F> {
    fn text(&mut self, finding: Option<u32>, text: &[u8]) -> Result<()> {
        match finding.and_then(|row| self.batch.finding(row)) {
            Some(finding) => (self.take)(finding, text),
            None => Ok(()),
        }
    }
}
