//! The history in the ledger: runs and delivered reports.

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableHandle, WriteTransaction};
use scanbridge_observe::Totals;
use serde::Serialize;
use serde_json::Value;

use super::tables::{ABOUT, DAYS, List, REPORTS, RUNS, SUMMARIES, to_json};
use super::{Ledger, StateError};
use crate::state::checkpoint::SentReport;
use crate::state::day_counts::DayCounts;
use crate::state::record::RunRecord;

/// Maximum number of entries in the history.
const MAX_REPORTS: u64 = 10_000;
pub(super) const MAX_RUNS: u64 = 200;

impl Ledger {
    /// The last run in the history.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn last_run(&self) -> Result<Option<RunRecord>, StateError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(RUNS)?;
            Ok(table.last()?.map(|(_, run)| run.value().to_vec()))
        };
        let run = read().map_err(|error| self.failed(&error))?;
        run.map(|run| self.parse(&run)).transpose()
    }

    /// The runs in the history, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRecord>, StateError> {
        self.list(RUNS)
    }

    /// The delivered reports in the history, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn reports(&self) -> Result<Vec<SentReport>, StateError> {
        self.list(REPORTS)
    }
}

impl Ledger {
    /// The sums over all runs.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn totals(&self) -> Result<Totals, StateError> {
        Ok(self.get(ABOUT, "totals")?.unwrap_or_default())
    }

    /// The summaries of the last runs, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn summaries(&self) -> Result<Vec<Value>, StateError> {
        if self.has_table(SUMMARIES.name())? { self.list(SUMMARIES) } else { Ok(Vec::new()) }
    }

    /// The summaries of runs with a lower number than this, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn summaries_before(&self, run: u64, limit: usize) -> Result<Vec<Value>, StateError> {
        if !self.has_table(SUMMARIES.name())? {
            return Ok(Vec::new());
        }
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(SUMMARIES)?;
            let entries = table.range(..run)?.rev().take(limit);
            entries.map(|entry| Ok(entry?.1.value().to_vec())).collect()
        };
        let summaries = read().map_err(|error| self.failed(&error))?;
        summaries.iter().map(|summary| self.parse(summary)).collect()
    }

    /// Counts by day, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn days(&self) -> Result<Vec<(String, DayCounts)>, StateError> {
        if !self.has_table(DAYS.name())? {
            return Ok(Vec::new());
        }
        self.all(DAYS)?.into_iter().map(|(day, counts)| Ok((day, self.parse(&counts)?))).collect()
    }

    pub(super) fn has_table(&self, name: &str) -> Result<bool, StateError> {
        let read = || -> Result<bool, redb::Error> {
            Ok(self.database.begin_read()?.list_tables()?.any(|table| table.name() == name))
        };
        read().map_err(|error| self.failed(&error))
    }
}

/// Adds the summary of a run that ends, and its counts to those of its day.
pub(super) fn append_summary(
    transaction: &WriteTransaction,
    run: &RunRecord,
    summary: &[u8],
    counts: &DayCounts,
) -> Result<(), redb::Error> {
    append_bytes(transaction, SUMMARIES, run.number, summary, MAX_RUNS)?;
    let ended = run.ended.as_deref().unwrap_or(&run.started);
    let Some(day) = ended.get(..DAY_LENGTH) else { return Ok(()) };
    let mut days = transaction.open_table(DAYS)?;
    let before = days.get(day)?.and_then(|counts| serde_json::from_slice::<DayCounts>(counts.value()).ok());
    days.insert(day, to_json(&before.unwrap_or_default().plus(counts)).as_slice())?;
    while days.len()? > MAX_DAYS {
        days.pop_first()?;
    }
    Ok(())
}

/// Length of `2026-01-31`.
const DAY_LENGTH: usize = 10;
/// Number of days with runs that are kept.
const MAX_DAYS: u64 = 400;

/// Adds a run, or replaces its entry.
pub(super) fn append_run(transaction: &WriteTransaction, run: &RunRecord) -> Result<(), redb::Error> {
    append(transaction, RUNS, run.number, run, MAX_RUNS)
}

/// Adds delivered reports.
pub(super) fn append_reports(
    transaction: &WriteTransaction,
    reports: &[SentReport],
) -> Result<(), redb::Error> {
    let first = next_number(transaction, REPORTS)?;
    for (number, report) in (first..).zip(reports) {
        append(transaction, REPORTS, number, report, MAX_REPORTS)?;
    }
    Ok(())
}

fn next_number(transaction: &WriteTransaction, list: List) -> Result<u64, redb::Error> {
    let table = transaction.open_table(list)?;
    let last = table.last()?.map(|(number, _)| number.value());
    Ok(last.map_or(1, |last| last + 1))
}

/// Appends an entry and deletes the oldest ones.
fn append<T: Serialize>(
    transaction: &WriteTransaction,
    list: List,
    number: u64,
    value: &T,
    max_entries: u64,
) -> Result<(), redb::Error> {
    append_bytes(transaction, list, number, &to_json(value), max_entries)
}

fn append_bytes(
    transaction: &WriteTransaction,
    list: List,
    number: u64,
    value: &[u8],
    max_entries: u64,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(list)?;
    table.insert(number, value)?;
    if let Some(last) = number.checked_sub(max_entries) {
        table.retain_in(..=last, |_, _| false)?;
    }
    Ok(())
}
