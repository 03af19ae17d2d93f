//! A batch between an input and the outputs: shared by the outputs, validated once, and returned to its input after
//! the last use.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::{
    BadBatch, Columns, DefinitionTable, RawBatch2, ResolvedDefinitions, Selection, ValidBatch,
};

use super::KindCounts;
use super::input::InputCounts;
use super::row_faults::ReportTally;
use super::validate::{ValidRows, check_rows};

/// A batch that several outputs read.
#[derive(Debug)]
pub(super) struct SharedBatch {
    /// The batch before validation.
    unvalidated: Mutex<(RawBatch2, ResolvedDefinitions)>,
    validated: OnceLock<Result<ValidatedBatch, PluginError>>,
    origin: BatchOrigin,
    recycle: Sender<RawBatch2>,
    /// See [`size_of_batch`].
    pub(super) size: (u64, u64),
}

/// A valid batch.
#[derive(Debug)]
pub(super) struct ValidatedBatch {
    pub(super) batch: ValidBatch,
    /// Its valid findings.
    pub(super) findings: KindCounts,
    valid: Option<ValidRows>,
}

/// Where a batch comes from.
#[derive(Debug, Clone)]
pub(super) struct BatchOrigin {
    pub(super) columns: Arc<Columns>,
    pub(super) counts: Arc<InputCounts>,
    /// The report that it belongs to.
    pub(super) tally: Arc<ReportTally>,
    /// The last barrier of the input before the batch.
    pub(super) after: u64,
    /// The number of the batch in its input, from 0.
    pub(super) number: u64,
}

impl SharedBatch {
    /// Finds the definitions of the batch. `definitions` has those that the input has sent before.
    ///
    /// # Errors
    /// When the batch refers to a definition that the input has not sent.
    pub(super) fn new(
        mut raw: RawBatch2,
        definitions: &mut DefinitionTable,
        origin: BatchOrigin,
        recycle: Sender<RawBatch2>,
    ) -> Result<Self, PluginError> {
        let size = size_of_batch(&raw, &origin.columns);
        let resolved = definitions.resolve(&mut raw, origin.columns.schema());
        let resolved = resolved
            .map_err(|bad| PluginError::bug(format!("plugin bug: the input sent an invalid batch: {bad}")))?;
        let (unvalidated, validated) = (Mutex::new((raw, resolved)), OnceLock::new());
        Ok(Self { unvalidated, validated, origin, recycle, size })
    }

    /// The `id` of the input that sent it.
    pub(super) fn input(&self) -> &str {
        self.origin.counts.faults.input()
    }

    /// Number of valid findings; validates the batch on the first call. An invalid batch counts nowhere, because its
    /// content is unknown.
    pub(super) fn findings(&self) -> u64 {
        self.validate().map_or(0, |validated| validated.findings.total())
    }

    /// Validates the batch, checks its rows and counts its findings, on the first call. This runs on the thread of the
    /// first output that takes the batch, while the input parses the next one, or on the thread that drops it.
    ///
    /// # Errors
    /// When the batch is malformed, or has an invalid row and the input has `on_invalid: fail`: nothing of its report is
    /// delivered.
    pub(super) fn validate(&self) -> Result<&ValidatedBatch, PluginError> {
        let validated = self.validated.get_or_init(|| {
            let validated = self.validate_once();
            self.add_to_profile(validated.as_ref().ok());
            validated
        });
        self.origin.counts.has_invalid_batch.fetch_or(validated.is_err(), Ordering::Relaxed);
        validated.as_ref().map_err(Clone::clone)
    }

    fn add_to_profile(&self, validated: Option<&ValidatedBatch>) {
        let BatchOrigin { counts, number, .. } = &self.origin;
        match validated {
            Some(valid) => {
                valid.batch.read(|batch| counts.profile.add(*number, Some(batch.select(valid.selection()))));
            }
            None => counts.profile.add(*number, None),
        }
    }

    fn validate_once(&self) -> Result<ValidatedBatch, PluginError> {
        let BatchOrigin { columns, counts, tally, after, .. } = &self.origin;
        let mut unvalidated = self.unvalidated.lock().unwrap_or_else(PoisonError::into_inner);
        let (raw, definitions) = std::mem::take(&mut *unvalidated);
        let batch = ValidBatch::new(raw, definitions, Arc::clone(columns));
        let batch = batch.map_err(|bad| malformed(&tally.report().path, &bad))?;
        let mut first = None;
        let report = check_rows(&batch, |row| {
            first.get_or_insert(row.fault);
            counts.faults.reject(row, columns, tally, *after);
        });
        if let Some(fault) = first.and_then(|fault| counts.faults.fatal(fault)) {
            return Err(invalid_row(&tally.report().path, &fault));
        }
        counts.add(&report);
        tally.add(&report);
        let validated = ValidatedBatch { batch, findings: report.findings.by_kind(), valid: report.valid };
        if let Some(compared) = tally.compared() {
            if report.invalid.total() > 0 {
                compared.has_gap();
            }
            validated.batch.read(|batch| compared.add(batch.select(validated.selection())));
        }
        Ok(validated)
    }
}

impl ValidatedBatch {
    /// The rows that outputs may get.
    pub(super) fn selection(&self) -> Selection<'_> {
        self.valid.as_ref().map(ValidRows::selection).unwrap_or_default()
    }

    /// Whether a row is invalid.
    pub(super) fn has_invalid_rows(&self) -> bool {
        self.valid.is_some()
    }
}

impl Drop for SharedBatch {
    fn drop(&mut self) {
        if let Some(Ok(validated)) = self.validated.take() {
            // If the input has finished, the memory is freed.
            let _ = self.recycle.send(validated.batch.into_raw());
        }
    }
}

fn malformed(path: &str, bad: &BadBatch) -> PluginError {
    PluginError::bug(format!("plugin bug: the input sent an invalid batch while reading {path}: {bad}"))
}

/// The error of an invalid row with `on_invalid: fail`.
fn invalid_row(path: &str, fault: &str) -> PluginError {
    PluginError::bad_data(format!("invalid row in {path}: {fault}; nothing of the report is delivered"))
        .with_hint(
            "report it to the author of the plugin; with `on_invalid: reject` the valid rows are delivered",
        )
}

/// Bytes and findings of a batch, computed from the lengths of its texts and tables; known before validation. The
/// definitions that come with it count: they stay in memory as long as a batch that refers to them.
fn size_of_batch(raw: &RawBatch2, columns: &Columns) -> (u64, u64) {
    let texts = raw.text.len() + raw.new_text.len();
    let bytes = texts + 4 * (raw.assets.len() + raw.findings.len() + raw.new_rows.len());
    (bytes.max(1) as u64, raw.finding_count(columns.schema()) as u64)
}
