//! A batch on its way: shared by the outputs, validated once, and given back to its input after the last use.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use scanbridge_plugin_api::batch::{BadBatch, Columns, Known, RawBatch, ValidBatch};
use scanbridge_plugin_api::model::{FindingKind, ReportEnd, ReportStart};

use super::summary::KindCounts;
use crate::state::LetterHistory;

/// What an input sends to every output.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Begin(Arc<ReportStart>),
    Batch(Arc<SharedBatch>),
    End {
        end: Arc<ReportEnd>,
        /// Whether findings of the report were left out for this output.
        has_gap: bool,
    },
    /// A place where the input could go on: everything before it is to be committed.
    Mark(u64),
}

impl Item {
    /// The bytes and findings of a batch; nothing for what marks a report.
    pub(super) fn size(&self) -> (u64, u64) {
        match self {
            Self::Batch(batch) => batch.size,
            _ => (0, 0),
        }
    }
}

/// Counts findings that an output did not get. How many they are is known when their batches are gone, for until
/// then nobody may have looked into them.
#[derive(Debug, Clone, Default)]
pub(super) struct MissedFindings(Arc<AtomicU64>);

impl MissedFindings {
    pub(super) fn add(&self, item: &Item) {
        if let Item::Batch(batch) = item {
            batch.missed_by.lock().unwrap_or_else(PoisonError::into_inner).push(self.clone());
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A batch that several outputs read.
#[derive(Debug)]
pub(super) struct SharedBatch {
    /// The batch, and what its findings have behind them, by row.
    unexamined: Mutex<(RawBatch, Vec<LetterHistory>)>,
    examined: OnceLock<Result<Examined, BadBatch>>,
    known: Known,
    columns: Arc<Columns>,
    counts: Arc<InputCounts>,
    home: Sender<RawBatch>,
    /// Bytes and findings, as its tables tell before anybody has looked into them.
    size: (u64, u64),
    missed_by: Mutex<Vec<MissedFindings>>,
}

/// A batch that is in order.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) batch: ValidBatch,
    pub(super) findings: KindCounts,
    history: Vec<LetterHistory>,
}

/// What an input has sent so far.
#[derive(Debug)]
pub(super) struct InputCounts {
    /// The `id` of the input, for messages about its batches.
    id: String,
    pub(super) assets: AtomicU64,
    findings: [AtomicU64; 4],
    /// Whether a batch was not in order: what it held is in no count.
    pub(super) broken: AtomicBool,
}

impl InputCounts {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            assets: AtomicU64::new(0),
            findings: Default::default(),
            broken: AtomicBool::new(false),
        }
    }

    pub(super) fn findings(&self) -> KindCounts {
        let mut counts = KindCounts::default();
        for (kind, count) in FindingKind::ALL.into_iter().zip(&self.findings) {
            counts.add(kind, count.load(Ordering::Relaxed));
        }
        counts
    }

    fn add(&self, batch: &Examined) {
        let begun = batch.batch.read(|batch| batch.assets().filter(|asset| !asset.is_continued()).count());
        self.assets.fetch_add(begun as u64, Ordering::Relaxed);
        for (kind, total) in FindingKind::ALL.into_iter().zip(&self.findings) {
            total.fetch_add(batch.findings.of(kind), Ordering::Relaxed);
        }
    }
}

impl SharedBatch {
    pub(super) fn new(
        raw: RawBatch,
        history: Vec<LetterHistory>,
        known: Known,
        columns: Arc<Columns>,
        counts: Arc<InputCounts>,
        home: Sender<RawBatch>,
    ) -> Self {
        let size = size(&raw, &columns);
        let (unexamined, examined) = (Mutex::new((raw, history)), OnceLock::new());
        Self { unexamined, examined, known, columns, counts, home, size, missed_by: Mutex::default() }
    }

    /// The `id` of the input that sent it.
    pub(super) fn input(&self) -> &str {
        &self.counts.id
    }

    /// How many findings it holds, by the length of its table.
    pub(super) fn findings(&self) -> u64 {
        self.size.1
    }

    /// Validates the batch and counts what is in it, the first time that an output asks. This runs on the
    /// output's thread, beside the input that parses the next batch.
    pub(super) fn examine(&self) -> Result<&Examined, BadBatch> {
        let examined = self.examined.get_or_init(|| self.examine_now());
        self.counts.broken.fetch_or(examined.is_err(), Ordering::Relaxed);
        examined.as_ref().map_err(Clone::clone)
    }

    fn examine_now(&self) -> Result<Examined, BadBatch> {
        let mut unexamined = self.unexamined.lock().unwrap_or_else(PoisonError::into_inner);
        let (raw, history) = std::mem::take(&mut *unexamined);
        let batch = ValidBatch::new(raw, self.known.clone(), Arc::clone(&self.columns))?;
        let mut findings = KindCounts::default();
        batch.read(|batch| batch.findings().for_each(|finding| findings.add(finding.kind(), 1)));
        let examined = Examined { batch, findings, history };
        self.counts.add(&examined);
        Ok(examined)
    }
}

impl Examined {
    /// What the finding in this row has behind it, if it is a dead letter.
    pub(super) fn history(&self, row: u32) -> Option<LetterHistory> {
        self.history.get(usize::try_from(row).ok()?).copied()
    }
}

impl Drop for SharedBatch {
    fn drop(&mut self) {
        // Also a batch that no output took was read, and counts.
        let findings = self.examine().map(|examined| examined.findings.total()).unwrap_or_default();
        for missed in self.missed_by.get_mut().unwrap_or_else(PoisonError::into_inner) {
            missed.0.fetch_add(findings, Ordering::Relaxed);
        }
        if let Some(Ok(examined)) = self.examined.take() {
            // The input may have finished; then its memory goes with it.
            let _ = self.home.send(examined.batch.into_raw());
        }
    }
}

fn size(raw: &RawBatch, columns: &Columns) -> (u64, u64) {
    // A row of findings begins with its asset, its definition and the start of its first cell.
    let row = 3 + columns.schema().findings.len();
    let bytes = raw.bytes.len() + 4 * (raw.assets.len() + raw.findings.len());
    (bytes.max(1) as u64, (raw.findings.len() / row) as u64)
}
