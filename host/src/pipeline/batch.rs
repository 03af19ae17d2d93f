//! A batch on its way: shared by the outputs, validated once, and given back to its input after the last use.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use scanbridge_plugin_api::batch::{BadBatch, Columns, Known, RawBatch, ValidBatch};
use scanbridge_plugin_api::model::{FindingKind, ReportEnd, ReportStart};

use super::summary::KindCounts;

/// What an input sends to every output.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Begin(Arc<ReportStart>),
    Batch(Arc<SharedBatch>),
    End(Arc<ReportEnd>),
}

/// A batch that several outputs read.
#[derive(Debug)]
pub(super) struct SharedBatch {
    unexamined: Mutex<RawBatch>,
    examined: OnceLock<Result<Examined, BadBatch>>,
    known: Known,
    columns: Arc<Columns>,
    counts: Arc<InputCounts>,
    home: Sender<RawBatch>,
}

/// A batch that is in order.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) batch: ValidBatch,
    pub(super) findings: KindCounts,
}

/// What an input has sent so far.
#[derive(Debug, Default)]
pub(super) struct InputCounts {
    pub(super) assets: AtomicU64,
    findings: [AtomicU64; 4],
    /// Whether a batch was not in order: what it held is in no count.
    pub(super) broken: AtomicBool,
}

impl InputCounts {
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
        known: Known,
        columns: Arc<Columns>,
        counts: Arc<InputCounts>,
        home: Sender<RawBatch>,
    ) -> Self {
        Self { unexamined: Mutex::new(raw), examined: OnceLock::new(), known, columns, counts, home }
    }

    /// Validates the batch and counts what is in it, the first time that an output asks. This runs on the
    /// output's thread, beside the input that parses the next batch.
    pub(super) fn examine(&self) -> Result<&Examined, BadBatch> {
        let examined = self.examined.get_or_init(|| self.examine_now());
        self.counts.broken.fetch_or(examined.is_err(), Ordering::Relaxed);
        examined.as_ref().map_err(Clone::clone)
    }

    fn examine_now(&self) -> Result<Examined, BadBatch> {
        let raw = std::mem::take(&mut *self.unexamined.lock().unwrap_or_else(PoisonError::into_inner));
        let batch = ValidBatch::new(raw, self.known.clone(), Arc::clone(&self.columns))?;
        let mut findings = KindCounts::default();
        batch.read(|batch| batch.findings().for_each(|finding| findings.add(finding.kind(), 1)));
        let examined = Examined { batch, findings };
        self.counts.add(&examined);
        Ok(examined)
    }
}

impl Drop for SharedBatch {
    fn drop(&mut self) {
        let raw = match self.examined.take() {
            Some(Ok(examined)) => examined.batch.into_raw(),
            Some(Err(_)) => return,
            None => std::mem::take(self.unexamined.get_mut().unwrap_or_else(PoisonError::into_inner)),
        };
        // The input may have finished; then its memory goes with it.
        let _ = self.home.send(raw);
    }
}
