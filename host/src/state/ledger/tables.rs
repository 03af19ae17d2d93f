//! Tables of the ledger, and what is written to them as part of a transaction.

use std::collections::BTreeMap;

use redb::{TableDefinition, WriteTransaction};
use scanbridge_plugin_api::{ReportKey, StoredReport};
use serde::Serialize;

use crate::state::checkpoint::{KeyChanges, MissedChange};

/// A table of bytes by name.
pub(super) type Bytes = TableDefinition<'static, &'static str, &'static [u8]>;

/// A list of JSON values by ascending number.
pub(super) type List = TableDefinition<'static, u64, &'static [u8]>;

/// The format, the pipeline file, the input that was inside a report, its invalid rows, and the time of the checkpoint.
pub(super) const ABOUT: Bytes = TableDefinition::new("about");
/// Positions of the checkpoint, by input.
pub(super) const POSITIONS: Bytes = TableDefinition::new("positions");
/// States of the checkpoint as JSON, by output.
pub(super) const OUTPUTS: Bytes = TableDefinition::new("outputs");
/// Receipts of the checkpoint, by output.
pub(super) const RECEIPTS: Bytes = TableDefinition::new("receipts");
/// The history of delivered reports.
pub(super) const REPORTS: List = TableDefinition::new("reports");
/// The history of runs.
pub(super) const RUNS: List = TableDefinition::new("runs");
/// The summaries of the last runs, by the number of the run. Added later: older ledgers do not have it.
pub(super) const SUMMARIES: List = TableDefinition::new("summaries");
/// Counts by day, `2026-01-31`. Added later: older ledgers do not have it.
pub(super) const DAYS: Bytes = TableDefinition::new("days");
/// Reports that the inputs have not confirmed, as JSON, by input.
pub(super) const UNCONFIRMED: Bytes = TableDefinition::new("unconfirmed");
/// Values by instance and key.
pub(super) const KEYS: TableDefinition<'static, (&'static str, &'static str), &'static [u8]> =
    TableDefinition::new("keys");
/// Dead letters as JSON, by output or input and ascending number.
pub(super) const DEAD_LETTERS: TableDefinition<'static, (&'static str, u64), &'static [u8]> =
    TableDefinition::new("dead_letters");
/// The numbers of the dead letters that count, by output and [`DeadLetter::key`](crate::state::DeadLetter::key). Added
/// later: [`Ledger::open`](super::Ledger::open) adds it to older ledgers.
pub(super) const DEAD_LETTER_KEYS: TableDefinition<'static, (&'static str, u128), u64> =
    TableDefinition::new("finding_keys");
/// The same with the keys of an earlier rule. [`Ledger::open`](super::Ledger::open) replaces it.
pub(super) const EARLIER_KEYS: TableDefinition<'static, (&'static str, u128), u64> =
    TableDefinition::new("dead_letter_keys");
/// The last dead letter of each output or input that counts.
pub(super) const DEAD_LETTER_ENDS: Bytes = TableDefinition::new("dead_letter_ends");
/// Missed reports as JSON, by output and report.
pub(super) const MISSED: Bytes = Bytes::new("missed");

/// With which settings an output was encrypted first, as JSON, by output. Added later: older ledgers do not have it.
pub(super) const ENCRYPTIONS: Bytes = Bytes::new("encryptions");

/// Writes a value as JSON.
pub(super) fn put<T: Serialize>(
    transaction: &WriteTransaction,
    table: Bytes,
    key: &str,
    value: &T,
) -> Result<(), redb::Error> {
    transaction.open_table(table)?.insert(key, to_json(value).as_slice())?;
    Ok(())
}

/// Applies changes of keys as part of a transaction.
pub(super) fn apply_keys(
    transaction: &WriteTransaction,
    changes: &[(String, KeyChanges)],
) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(KEYS)?;
    for (instance, changes) in changes {
        for (key, value) in changes {
            match value {
                Some(value) => table.insert((instance.as_str(), key.as_str()), value.as_slice())?,
                None => table.remove((instance.as_str(), key.as_str()))?,
            };
        }
    }
    Ok(())
}

/// Applies changes of missed reports as part of a transaction.
pub(super) fn apply_missed(
    transaction: &WriteTransaction,
    changes: &[MissedChange],
) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(MISSED)?;
    for change in changes {
        match change {
            MissedChange::Add(missed) => {
                table.insert(name_of(&missed.output, &missed.report).as_str(), to_json(missed).as_slice())?;
            }
            MissedChange::Remove { output, report } => {
                table.remove(name_of(output, report).as_str())?;
            }
        }
    }
    Ok(())
}

/// Stores which reports the inputs have not confirmed, as part of a transaction.
pub(super) fn put_unconfirmed(
    transaction: &WriteTransaction,
    unconfirmed: &BTreeMap<String, Vec<StoredReport>>,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(UNCONFIRMED)?;
    table.retain(|input, _| unconfirmed.get(input).is_some_and(|reports| !reports.is_empty()))?;
    for (input, reports) in unconfirmed.iter().filter(|(_, reports)| !reports.is_empty()) {
        table.insert(input.as_str(), to_json(reports).as_slice())?;
    }
    Ok(())
}

/// The key in the table: an `id:` has no line breaks.
fn name_of(output: &str, report: &ReportKey) -> String {
    format!("{output}\n{}", String::from_utf8_lossy(&to_json(report)))
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data can be serialized")
}
