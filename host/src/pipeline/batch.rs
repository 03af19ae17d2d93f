//! A batch between an input and the outputs: shared by the outputs, validated once, and returned to its input after
//! the last use.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use scanbridge_plugin_api::ReportKey;
use scanbridge_plugin_api::batch::{BadBatch, Columns, Known, RawBatch, ValidBatch};
use scanbridge_plugin_api::model::{FindingKind, ReportEnd, ReportStart};

use super::summary::KindCounts;
use crate::state::{DeadLetterHistory, ReportRecord};

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
}

impl ReportBegin {
    /// Restores a report from the ledger.
    pub(super) fn of_state(report: ReportRecord) -> Self {
        let report = Arc::new(report.into());
        Self { report, key: Arc::default(), continued: false, partial: false }
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
    /// Bytes and findings of a batch; zero for other items.
    pub(super) fn size(&self) -> (u64, u64) {
        match self {
            Self::Batch(batch) => batch.size,
            _ => (0, 0),
        }
    }
}

/// Counts findings that an output missed. A batch may not have been validated yet, so the number is final only when
/// all batches are freed.
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
    /// The batch before validation, and the history of its dead letters by row.
    unvalidated: Mutex<(RawBatch, Vec<DeadLetterHistory>)>,
    validated: OnceLock<Result<ValidatedBatch, BadBatch>>,
    known: Known,
    columns: Arc<Columns>,
    counts: Arc<InputCounts>,
    recycle: Sender<RawBatch>,
    /// Bytes and findings, computed from the lengths of the tables; known before validation.
    size: (u64, u64),
    missed_by: Mutex<Vec<MissedFindings>>,
}

/// A valid batch.
#[derive(Debug)]
pub(super) struct ValidatedBatch {
    pub(super) batch: ValidBatch,
    pub(super) findings: KindCounts,
    history: Vec<DeadLetterHistory>,
}

/// What an input has sent so far.
#[derive(Debug)]
pub(super) struct InputCounts {
    /// The `id` of the input, for messages about its batches.
    id: String,
    pub(super) assets: AtomicU64,
    findings: [AtomicU64; 4],
    /// Whether a batch was invalid; its findings are not counted.
    pub(super) has_invalid_batch: AtomicBool,
}

impl InputCounts {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            assets: AtomicU64::new(0),
            findings: Default::default(),
            has_invalid_batch: AtomicBool::new(false),
        }
    }

    pub(super) fn findings(&self) -> KindCounts {
        let mut counts = KindCounts::default();
        for (kind, count) in FindingKind::ALL.into_iter().zip(&self.findings) {
            counts.add(kind, count.load(Ordering::Relaxed));
        }
        counts
    }

    fn add(&self, batch: &ValidatedBatch) {
        let started_assets =
            batch.batch.read(|batch| batch.assets().filter(|asset| !asset.is_continued()).count());
        self.assets.fetch_add(started_assets as u64, Ordering::Relaxed);
        for (kind, total) in FindingKind::ALL.into_iter().zip(&self.findings) {
            total.fetch_add(batch.findings.of(kind), Ordering::Relaxed);
        }
    }
}

impl SharedBatch {
    pub(super) fn new(
        raw: RawBatch,
        history: Vec<DeadLetterHistory>,
        known: Known,
        columns: Arc<Columns>,
        counts: Arc<InputCounts>,
        recycle: Sender<RawBatch>,
    ) -> Self {
        let size = size(&raw, &columns);
        let (unvalidated, validated) = (Mutex::new((raw, history)), OnceLock::new());
        Self { unvalidated, validated, known, columns, counts, recycle, size, missed_by: Mutex::default() }
    }

    /// The `id` of the input that sent it.
    pub(super) fn input(&self) -> &str {
        &self.counts.id
    }

    /// Number of findings, by the length of its table.
    pub(super) fn findings(&self) -> u64 {
        self.size.1
    }

    /// Validates the batch and counts its findings, on the first call. This runs on the thread of an output, while
    /// the input parses the next batch.
    pub(super) fn validate(&self) -> Result<&ValidatedBatch, BadBatch> {
        let validated = self.validated.get_or_init(|| self.validate_once());
        self.counts.has_invalid_batch.fetch_or(validated.is_err(), Ordering::Relaxed);
        validated.as_ref().map_err(Clone::clone)
    }

    fn validate_once(&self) -> Result<ValidatedBatch, BadBatch> {
        let mut unvalidated = self.unvalidated.lock().unwrap_or_else(PoisonError::into_inner);
        let (raw, history) = std::mem::take(&mut *unvalidated);
        let batch = ValidBatch::new(raw, self.known.clone(), Arc::clone(&self.columns))?;
        let mut findings = KindCounts::default();
        batch.read(|batch| batch.findings().for_each(|finding| findings.add(finding.kind(), 1)));
        let validated = ValidatedBatch { batch, findings, history };
        self.counts.add(&validated);
        Ok(validated)
    }
}

impl ValidatedBatch {
    /// History of the finding in this row, if it is a dead letter.
    pub(super) fn history(&self, row: u32) -> Option<DeadLetterHistory> {
        self.history.get(usize::try_from(row).ok()?).copied()
    }
}

impl Drop for SharedBatch {
    fn drop(&mut self) {
        // A batch that no output used was read too, so it counts.
        let findings = self.validate().map(|validated| validated.findings.total()).unwrap_or_default();
        for missed in self.missed_by.get_mut().unwrap_or_else(PoisonError::into_inner) {
            missed.0.fetch_add(findings, Ordering::Relaxed);
        }
        if let Some(Ok(validated)) = self.validated.take() {
            // If the input has finished, the memory is freed.
            let _ = self.recycle.send(validated.batch.into_raw());
        }
    }
}

fn size(raw: &RawBatch, columns: &Columns) -> (u64, u64) {
    // A row of findings begins with its asset, its definition and the start of its first cell.
    let row = 3 + columns.schema().findings.len();
    let bytes = raw.bytes.len() + 4 * (raw.assets.len() + raw.findings.len());
    (bytes.max(1) as u64, (raw.findings.len() / row) as u64)
}
