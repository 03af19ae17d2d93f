//! Dead letters count from a transaction on. In it, those of findings that were rejected before are merged with the
//! earlier ones, so an output has one dead letter for each finding.

use redb::{ReadableTable, WriteTransaction};

use super::tables::{DEAD_LETTER_ENDS, DEAD_LETTER_KEYS, DEAD_LETTERS, EARLIER_KEYS, to_json};
use super::{Ledger, StateError};
use crate::state::checkpoint::DeadLetterEnd;
use crate::state::dead_letter::DeadLetter;

/// The last dead letter of this output that counts.
pub(super) fn end_of(transaction: &WriteTransaction, output: &str) -> Result<DeadLetterEnd, redb::Error> {
    let ends = transaction.open_table(DEAD_LETTER_ENDS)?;
    let end = ends.get(output)?.map(|end| serde_json::from_slice(end.value()));
    let end = end.transpose().map_err(|error| redb::Error::Corrupted(error.to_string()))?;
    Ok(end.unwrap_or_default())
}

/// From this transaction on, the dead letters of the output up to this number count. A new one replaces that of the same
/// finding, and continues its attempts.
pub(super) fn count_letters(
    transaction: &WriteTransaction,
    output: &str,
    last: u64,
) -> Result<DeadLetterEnd, redb::Error> {
    let mut end = end_of(transaction, output)?;
    if last > end.number {
        end.bytes += merge_letters(transaction, output, end.number + 1, last)?;
        end.number = last;
    }
    put_end(transaction, output, end)?;
    Ok(end)
}

/// Adds dead letters of invalid rows, as part of a transaction. They count with it.
pub(super) fn append_invalid_rows(
    transaction: &WriteTransaction,
    letters: &[(String, Vec<Vec<u8>>)],
) -> Result<(), redb::Error> {
    for (input, letters) in letters {
        let mut number = end_of(transaction, input)?.number;
        let mut table = transaction.open_table(DEAD_LETTERS)?;
        for letter in letters {
            number += 1;
            table.insert((input.as_str(), number), letter.as_slice())?;
        }
        drop(table);
        count_letters(transaction, input, number)?;
    }
    Ok(())
}

pub(super) fn put_end(
    transaction: &WriteTransaction,
    output: &str,
    end: DeadLetterEnd,
) -> Result<(), redb::Error> {
    transaction.open_table(DEAD_LETTER_ENDS)?.insert(output, to_json(&end).as_slice())?;
    Ok(())
}

/// Returns by how many bytes the dead letters that count grow. They never shrink: a later one contains the earlier one.
fn merge_letters(
    transaction: &WriteTransaction,
    output: &str,
    first: u64,
    last: u64,
) -> Result<u64, redb::Error> {
    let mut letters = transaction.open_table(DEAD_LETTERS)?;
    let mut keys = transaction.open_table(DEAD_LETTER_KEYS)?;
    let mut bytes = 0;
    let mut next = first;
    loop {
        let found = letters.range((output, next)..=(output, last))?.next().transpose()?;
        let Some((number, stored)) = found.map(|(at, letter)| (at.value().1, letter.value().to_vec())) else {
            return Ok(bytes);
        };
        next = number + 1;
        let mut length = stored.len() as u64;
        let parsed = serde_json::from_slice::<DeadLetter>(&stored).ok();
        if let Some((mut letter, key)) = parsed.and_then(|letter| letter.key().map(|key| (letter, key))) {
            let earlier = keys.insert((output, key), number)?.map(|earlier| earlier.value());
            let earlier = match earlier.filter(|earlier| *earlier != number) {
                Some(earlier) => letters.remove((output, earlier))?.map(|letter| letter.value().to_vec()),
                None => None,
            };
            if let Some(earlier) = earlier {
                if let Ok(parsed) = serde_json::from_slice(&earlier) {
                    letter.add_earlier(&parsed);
                }
                let merged = letter.to_json();
                letters.insert((output, number), merged.as_slice())?;
                length = (merged.len() as u64).saturating_sub(earlier.len() as u64);
            }
        }
        bytes += length;
        if next > last {
            return Ok(bytes);
        }
    }
}

impl Ledger {
    /// Merges the dead letters of a ledger of an earlier release, which has one for each rejection, or knows findings by
    /// other keys.
    pub(super) fn merge_earlier_letters(&self) -> Result<(), StateError> {
        let ends = self.dead_letter_ends()?;
        self.change(|transaction| {
            for (output, DeadLetterEnd { number, .. }) in &ends {
                put_end(transaction, output, DeadLetterEnd::default())?;
                count_letters(transaction, output, *number)?;
            }
            transaction.open_table(DEAD_LETTER_KEYS)?;
            transaction.delete_table(EARLIER_KEYS)?;
            Ok(())
        })
    }

    /// Size of the dead letter of this finding that counts, in bytes; 0 if there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn size_of_letter(&self, output: &str, key: u128) -> Result<u64, StateError> {
        use redb::ReadableDatabase;
        let read = || -> Result<u64, redb::Error> {
            let transaction = self.database.begin_read()?;
            let Some(number) = transaction.open_table(DEAD_LETTER_KEYS)?.get((output, key))? else {
                return Ok(0);
            };
            let letter = transaction.open_table(DEAD_LETTERS)?.get((output, number.value()))?;
            Ok(letter.map_or(0, |letter| letter.value().len() as u64))
        };
        read().map_err(|error| self.failed(&error))
    }
}
