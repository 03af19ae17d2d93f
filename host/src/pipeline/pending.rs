//! What an output has been given and has not committed yet.

use std::collections::VecDeque;
use std::sync::Arc;

use scanbridge_plugin_api::model::ReportStart;

use super::batch::Item;

/// What was given to the output since its last commit: it is repeated when the output has to be opened again.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) items: VecDeque<Item>,
    pub(super) bytes: u64,
    pub(super) findings: u64,
    /// More came than is kept, because no place to commit at came.
    pub(super) overflown: bool,
    /// The report that was under way at the last commit.
    pub(super) report: Option<Arc<ReportStart>>,
    /// Whether findings of that report had come by then: who takes over comes too late for it to be whole.
    pub(super) has_begun: bool,
}

impl Pending {
    /// How many bytes are kept where checkpoints lie so far apart.
    pub(super) fn most(between_checkpoints: u64) -> u64 {
        LEAST_PENDING_BYTES.max(between_checkpoints.saturating_mul(2))
    }

    pub(super) fn push(&mut self, item: &Item, most: u64) {
        let (bytes, findings) = item.size();
        self.findings += findings;
        if self.bytes + bytes > most {
            self.overflown = true;
            self.items.clear();
        }
        if !self.overflown {
            self.bytes += bytes;
            self.items.push_back(item.clone());
        }
    }
}

/// The least that is kept for a repetition. Between two checkpoints lies their usual distance and one asset: where
/// that is more, an outage ends the run, for memory is bounded, and the next run repeats it from the source.
const LEAST_PENDING_BYTES: u64 = 32 << 20;
