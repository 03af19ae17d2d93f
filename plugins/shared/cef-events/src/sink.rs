//! Where finished events go.

use scanbridge_plugin_api::Result;
use scanbridge_plugin_api::batch::AssetView;
use scanbridge_plugin_api::model::Severity;

/// Receives finished events, each a line with its line feed.
pub trait Sink {
    /// The next events are about this asset. Called again for each batch that continues it.
    fn asset(&mut self, asset: AssetView<'_>) {
        let _ = asset;
    }

    /// The next events belong to the finding in this row of the batch; `None`: to the asset. While events are merged or
    /// sorted it is always `None`: an event can then be that of another finding, also of an earlier batch.
    fn finding(&mut self, row: Option<u32>) {
        let _ = row;
    }

    /// Takes an event.
    ///
    /// # Errors
    /// The destination failed; the encoder stops.
    fn event(&mut self, line: &[u8], severity: Option<Severity>) -> Result<Outcome>;
}

/// Whether an event was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The event was taken.
    Accepted,
    /// The event does not fit the maximum size of a line, even without its texts.
    OverBudget,
    /// The destination refused this event because of its size; others can follow.
    Refused {
        /// Its size with its header.
        bytes: usize,
    },
}

/// Why the destination refused an event of this size.
#[must_use]
pub fn refusal(bytes: usize) -> String {
    format!(
        "event too large: {bytes} bytes with its header, which the socket refuses (EMSGSIZE); set a smaller \
         `max_message_bytes`"
    )
}
