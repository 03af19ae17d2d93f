//! The retry buffer of an output.

use std::collections::VecDeque;

use crate::pipeline::item::{Item, ReportBegin};

/// Items that the output has received since its last commit. They are repeated when the output is reopened.
#[derive(Debug, Default)]
pub(super) struct RetryBuffer {
    pub(super) items: VecDeque<Item>,
    pub(super) bytes: u64,
    pub(super) findings: u64,
    /// Set when the items since the last barrier exceed the limit.
    pub(super) overflowed: bool,
    /// The current report at the time of the last commit.
    pub(super) report: Option<ReportBegin>,
    /// Whether the output had received findings of that report. An output that takes over then misses its beginning.
    pub(super) has_findings: bool,
}

impl RetryBuffer {
    /// Maximum size of the buffer in bytes, for this interval between checkpoints. An output that cannot resume has no
    /// checkpoints inside a report: of a long report the buffer would always be full, so it is small.
    pub(super) fn max_bytes(between_checkpoints: u64, resumes: bool) -> u64 {
        if resumes {
            return MIN_BYTES.max(between_checkpoints.saturating_add(between_checkpoints / 2));
        }
        MIN_BYTES_WITHOUT_RESUME
    }

    pub(super) fn push(&mut self, item: &Item, max_bytes: u64) {
        let (bytes, _) = item.size();
        self.findings += item.findings();
        if self.bytes + bytes > max_bytes {
            self.overflowed = true;
            self.items.clear();
        }
        if !self.overflowed {
            self.bytes += bytes;
            self.items.push_back(item.clone());
        }
    }
}

/// Minimum size of the buffer: the usual interval between two checkpoints plus one asset. If more data arrives, an
/// outage ends the run, because memory is bounded; the next run repeats the data from the source.
const MIN_BYTES: u64 = 6 << 20;
const MIN_BYTES_WITHOUT_RESUME: u64 = 4 << 20;
