//! The retry buffer of an output.

use super::batch::{Item, ReportBegin};
use std::collections::VecDeque;

/// Items that the output has received since its last commit: they are repeated when the output is opened again.
#[derive(Debug, Default)]
pub(super) struct RetryBuffer {
    pub(super) items: VecDeque<Item>,
    pub(super) bytes: u64,
    pub(super) findings: u64,
    /// Set when more came than fits, because no barrier came.
    pub(super) overflown: bool,
    /// The current report at the time of the last commit.
    pub(super) report: Option<ReportBegin>,
    /// Whether the output had received findings of that report: an output that takes over then misses its beginning.
    pub(super) has_begun: bool,
}

impl RetryBuffer {
    /// Size of the buffer for this distance between checkpoints, in bytes.
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

/// Minimum size of the buffer. Between two checkpoints there can be their usual distance and one asset. If that is
/// more, an outage ends the run, because memory is bounded; the next run repeats it from the source.
const LEAST_PENDING_BYTES: u64 = 32 << 20;
