//! What checkpoints are made of: the barriers that are not stored yet, how far each output is, and the last checkpoint.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use scanbridge_observe::ReportEvent;
use scanbridge_plugin_api::{Position, ReportKey, Stored, StoredReport};

use super::kept::Kept;
use super::new_mark::NewMark;
use super::receipts::{OutputIds, OutputProgress};
use crate::pipeline::row_faults::{ReportTally, RowFaults};
use crate::state::{Checkpoint, InstanceKeys, Ledger, SinceCheckpoint};

/// The inputs at the start of the run.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Inputs {
    pub(in crate::pipeline) ids: Vec<String>,
    /// Their keys. A replay has none.
    pub(in crate::pipeline) keys: Vec<Arc<InstanceKeys>>,
    /// Their invalid rows.
    pub(in crate::pipeline) faults: Vec<Arc<RowFaults>>,
}

/// What the delivered reports of a run lack, also of the parts that an interrupted run has read. By `id`.
#[derive(Debug, Clone, Default)]
pub(in crate::pipeline) struct Unsettled {
    /// Number of reports of which an output lacks findings.
    pub(in crate::pipeline) missed: BTreeMap<String, u64>,
    /// Number of findings that an output rejected.
    pub(in crate::pipeline) rejected: BTreeMap<String, u64>,
    /// Number of invalid rows of an input.
    pub(in crate::pipeline) invalid: BTreeMap<String, u64>,
}

/// A report that is stored, but not published yet.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) key: Arc<ReportKey>,
    pub(super) event: ReportEvent,
    pub(super) tally: Arc<ReportTally>,
    pub(super) started: Instant,
}

/// A report whose outcome is known, but may become `delivered`.
#[derive(Debug)]
pub(super) struct AwaitingReport {
    /// The `id:` of its input.
    pub(super) input: String,
    pub(super) report: StoredReport,
    /// The outputs whose failover pair has not completed it.
    pub(super) awaiting: BTreeSet<usize>,
    /// Whether nothing else of it is missed.
    pub(super) is_only_awaiting: bool,
}

/// What is known of the barriers.
#[derive(Debug)]
pub(super) struct State {
    /// `None` for runs without saved state, and after the run.
    pub(super) ledger: Option<Arc<Ledger>>,
    /// Set if the output keeps the checkpoint; the ledger then has a copy.
    pub(super) kept: Option<Kept>,
    pub(super) inputs: Inputs,
    /// Number of inputs that have read everything.
    pub(super) ended_inputs: usize,
    /// Barriers that are not stored yet, by number.
    pub(super) marks: VecDeque<(u64, NewMark)>,
    pub(super) last_mark: u64,
    pub(super) stored: u64,
    /// The last barrier that every counted output has stored and published.
    pub(super) settled: u64,
    pub(super) outputs: Vec<OutputProgress>,
    /// The checkpoint as stored in the ledger.
    pub(super) checkpoint: Checkpoint,
    /// Inputs that cannot resume at their current position: nothing is stored until they can.
    pub(super) unresumable_inputs: BTreeSet<usize>,
    /// What has happened since the last checkpoint in the ledger, without the changes of keys.
    pub(super) since: SinceCheckpoint,
    /// What the reports that ended in this run lack.
    pub(super) unsettled: Unsettled,
    /// Number of the run, for missed reports.
    pub(super) run: u64,
    /// The `id:`s of optional outputs that could not be opened, with the error: they miss every report.
    pub(super) absent: Vec<(String, String)>,
    /// Stored barriers that are not published yet: number, input, position, report.
    pub(super) unpublished: VecDeque<(u64, usize, Option<Position>, Option<StoredReport>)>,
    /// What `stored` must report to each input.
    pub(super) notifications: Vec<Option<Stored>>,
    /// Stored reports that are not published yet, with the number of their barrier.
    pub(super) undelivered: VecDeque<(u64, Undelivered)>,
    /// Reports that every counted output has published, and that the watchers have not received.
    pub(super) delivered: Vec<(Arc<ReportKey>, ReportEvent)>,
    /// Reports that await a part of a failover pair.
    pub(super) awaiting: Vec<AwaitingReport>,
    /// How many checkpoints the ledger has got, and when the last one.
    pub(super) written: (u64, String),
}

impl State {
    pub(super) fn new(
        ledger: Option<Arc<Ledger>>,
        from: Checkpoint,
        inputs: Inputs,
        outputs: Vec<OutputIds>,
        (run, absent): (u64, Vec<(String, String)>),
    ) -> Self {
        let outputs = outputs.into_iter().map(|output| OutputProgress::of(output, &from)).collect();
        let notifications = inputs.ids.iter().map(|id| {
            let reports = from.unconfirmed.get(id).cloned().filter(|reports| !reports.is_empty())?;
            let position = Position(from.positions.get(id).cloned().unwrap_or_default());
            Some(Stored::new(position, reports))
        });
        let notifications = notifications.collect();
        Self {
            ledger,
            kept: None,
            inputs,
            ended_inputs: 0,
            marks: VecDeque::new(),
            last_mark: 0,
            stored: 0,
            settled: 0,
            outputs,
            checkpoint: from,
            unresumable_inputs: BTreeSet::new(),
            since: SinceCheckpoint::default(),
            unsettled: Unsettled::default(),
            run,
            absent,
            unpublished: VecDeque::new(),
            notifications,
            undelivered: VecDeque::new(),
            delivered: Vec::new(),
            awaiting: Vec::new(),
            written: (0, String::new()),
        }
    }

    pub(super) fn all_keys(&self) -> impl Iterator<Item = &Arc<InstanceKeys>> {
        self.inputs.keys.iter().chain(self.outputs.iter().flat_map(|output| &output.keys))
    }
}
