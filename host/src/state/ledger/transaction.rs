//! The checkpoint in the ledger, and what one transaction writes: at the start of a run, at a checkpoint, at the end.

use std::collections::BTreeMap;

use redb::WriteTransaction;
use scanbridge_plugin_api::StoredReport;

use super::counting::{append_invalid_rows, count_letters};
use super::history::{append_reports, append_run, append_summary};
use super::tables::{
    ABOUT, OUTPUTS, POSITIONS, RECEIPTS, UNCONFIRMED, apply_keys, apply_missed, put, put_unconfirmed,
};
use super::{Ledger, StateError};
use crate::state::checkpoint::{Checkpoint, EndOfRun, KeyChanges, OutputState, SinceCheckpoint};
use crate::state::record::{RunRecord, RunState};

impl Ledger {
    /// The checkpoint of a resumable run. `None` when the last run finished, or stored no checkpoint.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        let positions: Vec<(String, Vec<u8>)> = self.all(POSITIONS)?;
        if positions.is_empty() {
            return Ok(None);
        }
        let active_input = self.get::<Option<String>>(ABOUT, "under_way")?.flatten();
        let mut checkpoint = Checkpoint { active_input, ..Checkpoint::default() };
        checkpoint.positions.extend(positions);
        let mut receipts: BTreeMap<String, Vec<u8>> = self.all(RECEIPTS)?.into_iter().collect();
        let ends = self.dead_letter_ends()?;
        for (id, row) in self.all(OUTPUTS)? {
            let state = OutputState {
                receipt: receipts.remove(&id),
                dead_letters: ends.get(&id).copied().unwrap_or_default(),
                ..self.parse(&row)?
            };
            checkpoint.outputs.insert(id, state);
        }
        checkpoint.unconfirmed = self.unconfirmed()?;
        checkpoint.invalid_rows = self.get(ABOUT, "invalid_rows")?.unwrap_or_default();
        Ok(Some(checkpoint))
    }

    /// Ended reports that their input has not confirmed, by the `id` of the input.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn unconfirmed(&self) -> Result<BTreeMap<String, Vec<StoredReport>>, StateError> {
        let parse = |(id, reports): (String, Vec<u8>)| Ok((id, self.parse(&reports)?));
        self.all(UNCONFIRMED)?.into_iter().map(parse).collect()
    }

    /// When the checkpoint was stored, in UTC.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn stored(&self) -> Result<Option<String>, StateError> {
        self.get(ABOUT, "stored")
    }

    /// Adds a run to the history. `from` is the checkpoint that the run resumes, or a part of it: everything else of the
    /// stored checkpoint is deleted.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn begin(&self, run: &RunRecord, from: Option<&Checkpoint>) -> Result<(), StateError> {
        self.change(|transaction| {
            append_run(transaction, run)?;
            let Some(from) = from else { return delete_checkpoint(transaction) };
            transaction.open_table(POSITIONS)?.retain(|id, _| from.positions.contains_key(id))?;
            for table in [OUTPUTS, RECEIPTS] {
                transaction.open_table(table)?.retain(|id, _| from.outputs.contains_key(id))?;
            }
            Ok(())
        })
    }

    /// Stores a checkpoint, and what has happened since the previous one.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then the previous checkpoint remains.
    pub fn store(&self, checkpoint: &Checkpoint, since: &SinceCheckpoint) -> Result<(), StateError> {
        self.change(|transaction| put_checkpoint(transaction, checkpoint, since))
    }

    /// Records the end of a run. If the run finished, the checkpoint is deleted.
    ///
    /// # Errors
    /// When the ledger cannot be written. The next run then resumes at the last checkpoint and repeats nothing.
    pub fn end(&self, run: &RunRecord, end: &EndOfRun) -> Result<(), StateError> {
        self.change(|transaction| {
            append_run(transaction, run)?;
            put_unconfirmed(transaction, &end.unconfirmed)?;
            for (id, end) in &end.dead_letters {
                count_letters(transaction, id, end.number)?;
            }
            apply(transaction, &end.since)?;
            if let Some((summary, counts)) = &end.summary {
                append_summary(transaction, run, summary, counts)?;
            }
            if let Some(totals) = &end.totals {
                put(transaction, ABOUT, "totals", totals)?;
            }
            if run.state == RunState::Finished { delete_checkpoint(transaction) } else { Ok(()) }
        })
    }
}

impl Ledger {
    /// Stores keys of an instance that were changed outside a run.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn store_keys(&self, instance: &str, changes: KeyChanges) -> Result<(), StateError> {
        self.change(|transaction| apply_keys(transaction, &[(instance.to_owned(), changes)]))
    }

    /// Deletes the checkpoint of an interrupted run and its choice of reports, so that the next run starts from the
    /// beginning. Everything else is kept. Returns whether there was one.
    ///
    /// # Errors
    /// When the ledger cannot be read or written. Then nothing has changed.
    pub fn discard_checkpoint(&self) -> Result<bool, StateError> {
        let last = self.last_run()?.filter(|last| last.state != RunState::Finished && last.choice.is_some());
        let has_one = self.checkpoint()?.is_some() || last.is_some();
        self.change(|transaction| {
            if let Some(last) = last {
                append_run(transaction, &RunRecord { choice: None, ..last })?;
            }
            delete_checkpoint(transaction)
        })?;
        Ok(has_one)
    }
}

/// Stores a checkpoint, and what has happened since the previous one, as part of a transaction.
pub(super) fn put_checkpoint(
    transaction: &WriteTransaction,
    checkpoint: &Checkpoint,
    since: &SinceCheckpoint,
) -> Result<(), redb::Error> {
    put(transaction, ABOUT, "under_way", &checkpoint.active_input)?;
    put(transaction, ABOUT, "invalid_rows", &checkpoint.invalid_rows)?;
    put(transaction, ABOUT, "stored", &crate::state::now())?;
    let mut positions = transaction.open_table(POSITIONS)?;
    for (input, position) in &checkpoint.positions {
        positions.insert(input.as_str(), position.as_slice())?;
    }
    drop(positions);
    let mut receipts = transaction.open_table(RECEIPTS)?;
    for (output, state) in &checkpoint.outputs {
        match &state.receipt {
            Some(receipt) => receipts.insert(output.as_str(), receipt.as_slice())?,
            None => receipts.remove(output.as_str())?,
        };
        put(transaction, OUTPUTS, output, state)?;
    }
    for (output, state) in &checkpoint.outputs {
        count_letters(transaction, output, state.dead_letters.number)?;
    }
    put_unconfirmed(transaction, &checkpoint.unconfirmed)?;
    apply(transaction, since)
}

pub(super) fn apply(transaction: &WriteTransaction, since: &SinceCheckpoint) -> Result<(), redb::Error> {
    apply_keys(transaction, &since.keys)?;
    apply_missed(transaction, &since.missed)?;
    append_invalid_rows(transaction, &since.invalid_rows)?;
    append_reports(transaction, &since.reports)
}

pub(super) fn delete_checkpoint(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    for table in [POSITIONS, OUTPUTS, RECEIPTS] {
        transaction.open_table(table)?.retain(|_, _| false)?;
    }
    let mut about = transaction.open_table(ABOUT)?;
    about.remove("under_way")?;
    about.remove("invalid_rows")?;
    about.remove("stored")?;
    Ok(())
}
