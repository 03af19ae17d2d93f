//! A barrier as an input adds it, with the report that ends there.

use std::sync::Arc;
use std::time::Instant;

use scanbridge_observe::ReportEvent;
use scanbridge_plugin_api::{Position, ReportKey};

use crate::pipeline::row_faults::ReportTally;
use crate::state::SentReport;

/// A barrier: a position in the stream at which an input can resume.
#[derive(Debug)]
pub(in crate::pipeline) struct NewMark {
    /// Index of the input.
    pub(in crate::pipeline) input: usize,
    /// Position at which it resumes: empty for the beginning, `None` if it cannot resume.
    pub(in crate::pipeline) position: Option<Position>,
    /// Whether the barrier is inside a report of this input.
    pub(in crate::pipeline) in_report: bool,
    /// The report that ends here.
    pub(in crate::pipeline) ended: Option<EndedReport>,
}

/// A report that ends at a barrier.
#[derive(Debug)]
pub(in crate::pipeline) struct EndedReport {
    pub(in crate::pipeline) key: Arc<ReportKey>,
    /// For the list of delivered reports; `None` for one that is withdrawn.
    pub(in crate::pipeline) sent: Option<SentReport>,
    /// Its findings in this run.
    pub(in crate::pipeline) tally: Arc<ReportTally>,
    /// What the watchers receive when it is delivered.
    pub(in crate::pipeline) event: ReportEvent,
    /// When this run began to read it.
    pub(in crate::pipeline) started: Instant,
}
