//! The items of the stream that an input sends to every output: begin, batches, end, barriers.

use std::sync::Arc;

use scanbridge_plugin_api::ReportKey;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};

use super::batch::SharedBatch;
use super::row_faults::ReportTally;
use crate::state::ReportRecord;

/// An item of the stream that an input sends to every output.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Begin(ReportBegin),
    Batch(Arc<SharedBatch>),
    End {
        end: Arc<ReportEnd>,
        /// Whether findings of the report were dropped for this output.
        has_gap: bool,
    },
    /// A checkpoint barrier: the input can resume here. All outputs commit everything before it.
    Mark(Mark),
}

/// The start of a report, for the outputs.
#[derive(Debug, Clone)]
pub(super) struct ReportBegin {
    pub(super) report: Arc<ReportStart>,
    pub(super) key: Arc<ReportKey>,
    /// Whether the input continues it at the position of the checkpoint.
    pub(super) continued: bool,
    /// Whether it consists of dead letters, that is, of single findings.
    pub(super) partial: bool,
    /// Its findings in this run.
    pub(super) tally: Arc<ReportTally>,
}

impl ReportBegin {
    /// Restores a report from the ledger.
    pub(super) fn of_state(report: ReportRecord) -> Self {
        let report = Arc::new(report.into());
        Self { report, key: Arc::default(), continued: false, partial: false, tally: Arc::default() }
    }
}

/// A checkpoint barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) number: u64,
    /// Whether a report ends here. The outputs then publish it.
    pub(super) ends_report: bool,
}

impl Item {
    /// Number of valid findings; validates a batch on the first call.
    pub(super) fn findings(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.findings(),
            _ => 0,
        }
    }

    /// Bytes and findings of a batch by the lengths of its texts and tables; zero for other items.
    pub(super) fn size(&self) -> (u64, u64) {
        match self {
            Self::Batch(batch) => batch.size,
            _ => (0, 0),
        }
    }
}
