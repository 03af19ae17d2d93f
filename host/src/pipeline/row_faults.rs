//! The invalid rows and odd cells of one input: counts, the first of them in the log, and dead letters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use scanbridge_plugin_api::batch::Columns;
use scanbridge_plugin_api::model::AssetField;

use super::odd_cells::OddCells;
use super::validate::{InvalidRow, InvalidRows, RowFault, RowReport};
use crate::compare::ReportComparison;
use crate::config::OnInvalid;
use crate::state::{DeadLetter, Record, ReportRecord, Stage};

/// What is known of the findings of one report, in this run. Its batches share it.
#[derive(Debug, Default)]
pub(super) struct ReportTally {
    report: ReportRecord,
    /// Valid findings.
    findings: AtomicU64,
    /// The comparison with the last run, if there is one.
    compared: Option<ReportComparison>,
    /// Assets.
    assets: AtomicU64,
    /// Findings that each output has delivered, by `id`.
    delivered: Mutex<BTreeMap<String, u64>>,
    /// Whether the log says that an invalid row has no dead letter.
    has_lost: AtomicBool,
}

impl ReportTally {
    pub(super) fn new(report: ReportRecord, compared: Option<ReportComparison>) -> Self {
        Self { report, compared, ..Self::default() }
    }

    pub(super) fn compared(&self) -> Option<&ReportComparison> {
        self.compared.as_ref()
    }

    pub(super) fn report(&self) -> &ReportRecord {
        &self.report
    }

    pub(super) fn add(&self, report: &RowReport) {
        self.findings.fetch_add(report.findings.total(), Ordering::Relaxed);
        self.assets.fetch_add(report.assets, Ordering::Relaxed);
    }

    pub(super) fn assets(&self) -> u64 {
        self.assets.load(Ordering::Relaxed)
    }

    /// Sets what an output has delivered; it replaces an earlier value, which the output has rolled back.
    pub(super) fn set_delivered(&self, output: &str, findings: u64) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.insert(output.to_owned(), findings);
    }

    /// Findings that each output has delivered, by `id`.
    pub(super) fn delivered(&self) -> BTreeMap<String, u64> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn findings(&self) -> u64 {
        self.findings.load(Ordering::Relaxed)
    }
}

/// The invalid rows and odd cells of one input.
#[derive(Debug)]
pub(super) struct RowFaults {
    /// The `id` of the input.
    input: String,
    plugin: String,
    on_invalid: OnInvalid,
    /// Number of the run, for dead letters.
    run: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    invalid: InvalidRows,
    odd_cells: OddCells,
    /// Invalid rows in the log.
    shown: u32,
    /// See [`RowFaults::fatal`].
    first: Option<String>,
    /// The dead letters that are not in the ledger yet, as JSON, each with the last barrier before its batch.
    pending: Vec<(u64, Vec<u8>)>,
    /// Their size, in bytes, and that of the dead letters that [`RowFaults::take_before`] has returned and that are not
    /// in the ledger yet.
    pending_bytes: usize,
    /// Invalid rows without a dead letter, with the last barrier before their batch. One entry for each barrier.
    lost: Vec<(u64, u64)>,
    /// The last barrier before each report that began and did not continue another run's.
    begun: Vec<u64>,
    /// Bytes of dead letters that the ledger may still get; `None` if this run stores none.
    room: Option<u64>,
}

/// What [`RowFaults::take_before`] returns.
#[derive(Debug, Default)]
pub(super) struct InvalidSince {
    /// Whether a report began.
    pub(super) has_begun: bool,
    /// Dead letters, as JSON.
    pub(super) letters: Vec<Vec<u8>>,
    /// Invalid rows without a dead letter.
    pub(super) lost: u64,
}

/// Maximum number of invalid rows of an input in the log; the summary counts all.
const MAX_SHOWN: u32 = 20;

/// Maximum size of the dead letters of an input between two checkpoints, in bytes. An input with more invalid rows has a
/// bug: the first ones show it, and the report counts as missed, so its source is kept.
const MAX_PENDING_BYTES: usize = 4 << 20;

impl RowFaults {
    /// `room` is the size of dead letters that the ledger may still get, in bytes; `None` for a run that stores none of
    /// invalid rows.
    pub(super) fn new(input: &str, plugin: &str, on_invalid: OnInvalid, run: u64, room: Option<u64>) -> Self {
        let state = Mutex::new(State { room, ..State::default() });
        Self { input: input.to_owned(), plugin: plugin.to_owned(), on_invalid, run, state }
    }

    pub(super) fn input(&self) -> &str {
        &self.input
    }

    /// With `on_invalid: fail`: the first invalid row, which makes its report invalid and ends the run.
    pub(super) fn fatal(&self, fault: RowFault) -> Option<String> {
        let is_fatal = self.on_invalid == OnInvalid::Fail;
        is_fatal.then(|| self.lock().first.get_or_insert_with(|| fault.to_string()).clone())
    }

    /// Adds the counts of a batch.
    pub(super) fn add(&self, report: &RowReport) {
        if report.invalid.total() > 0 || report.odd_cells.total() > 0 {
            let mut state = self.lock();
            state.invalid.add_all(&report.invalid);
            state.odd_cells.add_all(&report.odd_cells);
        }
    }

    /// Invalid rows by reason, and odd cells by column.
    pub(super) fn counts(&self) -> (InvalidRows, OddCells) {
        let state = self.lock();
        (state.invalid, state.odd_cells.clone())
    }

    /// Handles an invalid row of a batch that was sent after this barrier: logs the first ones, because all could hide
    /// everything else, and makes a dead letter of it.
    pub(super) fn reject(&self, row: &InvalidRow<'_>, columns: &Columns, tally: &ReportTally, after: u64) {
        let mut state = self.lock();
        if state.shown < MAX_SHOWN {
            state.shown += 1;
            self.show(row);
        }
        let Some(room) = state.room.filter(|_| self.on_invalid == OnInvalid::Reject) else { return };
        let letter = DeadLetter {
            stage: Stage::Input { input: self.input.clone() },
            run: self.run,
            first: String::new(),
            time: crate::state::now(),
            reason: row.fault.to_string(),
            attempts: 1,
            report: tally.report.clone(),
            encryption: String::new(),
            record: match row.finding {
                Some(finding) => Record::of(finding, columns),
                None => Record::of_asset(row.asset, columns),
            },
        };
        let letter = letter.to_json();
        let bytes = letter.len();
        if state.pending_bytes + bytes > MAX_PENDING_BYTES || bytes as u64 > room {
            match state.lost.iter_mut().find(|(mark, _)| *mark == after) {
                Some((_, lost)) => *lost += 1,
                None => state.lost.push((after, 1)),
            }
            if !tally.has_lost.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    instance = self.input,
                    "too many invalid rows: further ones of this report are counted, but not stored as dead letters"
                );
            }
            return;
        }
        state.pending_bytes += bytes;
        state.room = Some(room - bytes as u64);
        state.pending.push((after, letter));
    }

    fn show(&self, row: &InvalidRow<'_>) {
        let asset = match row.asset.address() {
            "" => row.asset.get(AssetField::Dns),
            address => address,
        };
        let id = row.finding.map_or("", |finding| finding.definition().id());
        let what = if row.finding.is_some() { "finding" } else { "asset" };
        tracing::warn!(
            instance = self.input,
            plugin = self.plugin,
            asset,
            id,
            "invalid {what}, delivered to no output: {}",
            row.fault
        );
    }

    /// A report that is read from its beginning follows this barrier.
    pub(super) fn begin_report(&self, after: u64) {
        self.lock().begun.push(after);
    }

    /// Takes the invalid rows of the batches before this barrier. They belong to its transaction.
    pub(super) fn take_before(&self, mark: u64) -> InvalidSince {
        let mut state = self.lock();
        let has_begun = state.begun.extract_if(.., |after| *after < mark).count() > 0;
        let letters = state.pending.extract_if(.., |(after, _)| *after < mark).map(|(_, letter)| letter);
        let letters = letters.collect();
        let lost = state.lost.extract_if(.., |(after, _)| *after < mark).map(|(_, lost)| lost).sum();
        InvalidSince { has_begun, letters, lost }
    }

    /// Dead letters of this size are in the ledger.
    pub(super) fn written(&self, bytes: usize) {
        let mut state = self.lock();
        state.pending_bytes = state.pending_bytes.saturating_sub(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
