//! The history in the ledger: runs and delivered reports.

use redb::{ReadableDatabase, ReadableTable, WriteTransaction};
use serde::Serialize;

use super::tables::{List, REPORTS, RUNS, to_json};
use super::{Ledger, StateError};
use crate::state::checkpoint::SentReport;
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
    let mut table = transaction.open_table(list)?;
    table.insert(number, to_json(value).as_slice())?;
    if let Some(last) = number.checked_sub(max_entries) {
        table.retain_in(..=last, |_, _| false)?;
    }
    Ok(())
}
