//! Where finished events go.

use scanbridge_plugin_api::Result;
use scanbridge_plugin_api::model::Severity;

/// Receives finished events, each a line with its line feed.
pub trait Sink {
    /// The next events belong to the finding in this row of the batch. Events of an asset follow those of its last finding.
    fn finding(&mut self, row: u32) {
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
    /// The event does not fit `max_message_bytes`, even without its texts.
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
