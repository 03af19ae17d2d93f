//! Reports of which an output lacks findings that are not all in its dead letters.

use std::collections::BTreeMap;

use redb::WriteTransaction;
use scanbridge_plugin_api::{Outcome, ReportKey, StoredReport};

use super::{Bytes, Ledger, StateError, UNCONFIRMED, to_json};
use crate::state::checkpoint::{MissedChange, MissedReport};

/// Missed reports as JSON, by output and report.
pub(super) const MISSED: Bytes = Bytes::new("missed");

impl Ledger {
    /// The reports of which outputs lack findings, by output and report.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn missed(&self) -> Result<Vec<MissedReport>, StateError> {
        self.all(MISSED)?.into_iter().map(|(_, missed)| self.parse(&missed)).collect()
    }

    /// Settles missed reports of an output: it has received them (`Delivered`), or the operator abandons the findings
    /// (`Waived`). The inputs of reports that no other output misses are informed by the next run.
    ///
    /// # Errors
    /// When the ledger cannot be read or written. Then nothing has changed.
    pub fn settle_missed(
        &self,
        output: &str,
        reports: &[ReportKey],
        outcome: Outcome,
    ) -> Result<(), StateError> {
        let (settled, others): (Vec<_>, Vec<_>) = self
            .missed()?
            .into_iter()
            .partition(|missed| missed.output == output && reports.contains(&missed.report));
        let mut unconfirmed = self.unconfirmed()?;
        for MissedReport { report, .. } in &settled {
            if others.iter().any(|other| other.report == *report) {
                continue;
            }
            let stored = StoredReport::new(report.clone(), outcome);
            unconfirmed.entry(report.input.clone()).or_default().push(stored);
        }
        let changes = settled
            .into_iter()
            .map(|MissedReport { output, report, .. }| MissedChange::Remove { output, report });
        let changes: Vec<_> = changes.collect();
        self.change(|transaction| {
            apply(transaction, &changes)?;
            put_unconfirmed(transaction, &unconfirmed)
        })
    }
}

/// Applies changes as part of a transaction.
pub(super) fn apply(transaction: &WriteTransaction, changes: &[MissedChange]) -> Result<(), redb::Error> {
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
