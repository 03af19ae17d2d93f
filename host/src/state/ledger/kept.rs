//! The copy of a checkpoint that an output keeps, and what has to be on this machine before the output commits.
//!
//! Dead letters, missed reports and the history of reports are only here. They are written and synced before the commit
//! that they belong to, with its number, and count from that commit on. If the host is killed in between, the next run sees
//! by the number of the loaded checkpoint whether the commit has happened.

use std::collections::BTreeMap;

use redb::Durability;
use scanbridge_plugin_api::keeper::Pairs;
use serde::{Deserialize, Serialize};

use super::counting::count_letters;
use super::tables::{ABOUT, KEYS, put, put_unconfirmed};
use super::transaction::{apply, delete_checkpoint, put_checkpoint};
use super::{Ledger, StateError};
use crate::state::checkpoint::{Checkpoint, SinceCheckpoint};

/// What counts from a commit on.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Prepared {
    /// The number of the share; each has commits of its own.
    share: u32,
    /// The number of the commit.
    commit: u64,
    /// The number of the last dead letter, by output.
    dead_letters: BTreeMap<String, u64>,
    since: SinceCheckpoint,
}

const PREPARED: &str = "prepared";

impl Ledger {
    /// Stores what counts from this commit of the output on. It is on disk when this returns.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn prepare(
        &self,
        (share, commit): (u32, u64),
        checkpoint: &Checkpoint,
        since: &SinceCheckpoint,
    ) -> Result<(), StateError> {
        let ends = checkpoint.outputs.iter().map(|(id, state)| (id.clone(), state.dead_letters.number));
        let prepared = Prepared { share, commit, dead_letters: ends.collect(), since: since.clone() };
        self.change(|transaction| put(transaction, ABOUT, PREPARED, &prepared))
    }

    /// The number of the last dead letter of this output that is prepared; 0 if nothing is.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn prepared_dead_letters(&self, output: &str) -> Result<u64, StateError> {
        let prepared = self.get::<Prepared>(ABOUT, PREPARED)?.unwrap_or_default();
        Ok(prepared.dead_letters.get(output).copied().unwrap_or_default())
    }

    /// Stores the copy of a checkpoint that the output has committed, and what was prepared for it. Not synced: after a
    /// power failure, the output has the checkpoint, and [`Ledger::replace_by_loaded`] repeats the rest.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn store_copy(&self, checkpoint: &Checkpoint, since: &SinceCheckpoint) -> Result<(), StateError> {
        self.change_with(Durability::None, |transaction| {
            transaction.open_table(ABOUT)?.remove(PREPARED)?;
            put_checkpoint(transaction, checkpoint, since)
        })
    }

    /// Takes over the loaded checkpoint of the output, with the keys of the input: they replace those in the ledger.
    /// `resumes`: whether the run continues there, or starts from the beginning. `commit` is the number of the last commit of
    /// `share`: what was prepared for it counts; what was prepared for a later one is discarded, because that commit did not
    /// happen. What was prepared for another share counts, because nothing is known of that one.
    ///
    /// # Errors
    /// When the ledger cannot be read or written. Then nothing has changed.
    pub fn replace_by_loaded(
        &self,
        (share, commit): (u32, u64),
        (checkpoint, resumes): (&Checkpoint, bool),
        (input, keys): (&str, &Pairs),
    ) -> Result<(), StateError> {
        let counts = |prepared: &Prepared| prepared.share != share || prepared.commit <= commit;
        let prepared = self.get::<Prepared>(ABOUT, PREPARED)?.filter(counts);
        self.change(|transaction| {
            transaction.open_table(ABOUT)?.remove(PREPARED)?;
            if let Some(prepared) = prepared {
                for (output, last) in &prepared.dead_letters {
                    count_letters(transaction, output, *last)?;
                }
                apply(transaction, &prepared.since)?;
            }
            let mut table = transaction.open_table(KEYS)?;
            table.retain(|(owner, _), _| owner != input)?;
            for (key, value) in keys {
                table.insert((input, key.as_str()), value.as_slice())?;
            }
            drop(table);
            delete_checkpoint(transaction)?;
            if resumes {
                return put_checkpoint(transaction, checkpoint, &SinceCheckpoint::default());
            }
            put_unconfirmed(transaction, &checkpoint.unconfirmed)
        })
    }
}
