//! Dead letters in the ledger. They are written ahead, and count when a transaction stores the number of the last one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use redb::{Durability, ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};

use super::tables::{DEAD_LETTER_ENDS, DEAD_LETTERS, put_ends};
use super::{Ledger, StateError};
use crate::state::checkpoint::{DeadLetterEnd, MissedReport};
use crate::state::dead_letter::{DeadLetter, Stage};

/// The dead letters of one output, or of the invalid rows of one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetterCount {
    /// The output or input.
    #[serde(flatten)]
    pub stage: Stage,
    /// Number of dead letters.
    pub letters: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// When the first of them was written, in UTC.
    pub oldest: String,
    /// When the last of them was written, in UTC.
    pub newest: String,
    /// Number of reports of which findings are missing that are not in the dead letters.
    pub missed_reports: u64,
}

/// Number of dead letters that are read or written at once: limits memory, and the time of a transaction.
const CHUNK: usize = 500;

impl Ledger {
    /// The last dead letter of this output that counts.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn dead_letter_end(&self, output: &str) -> Result<DeadLetterEnd, StateError> {
        Ok(self.get(DEAD_LETTER_ENDS, output)?.unwrap_or_default())
    }

    pub(super) fn dead_letter_ends(&self) -> Result<BTreeMap<String, DeadLetterEnd>, StateError> {
        let parse = |(id, end): (String, Vec<u8>)| Ok((id, self.parse(&end)?));
        self.all(DEAD_LETTER_ENDS)?.into_iter().map(parse).collect()
    }

    /// Writes dead letters, as JSON, with ascending numbers from `first`. They become durable, and count, with the
    /// transaction that stores their numbers.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn write_dead_letters(
        &self,
        output: &str,
        first: u64,
        letters: &[Vec<u8>],
    ) -> Result<(), StateError> {
        for (chunk, start) in letters.chunks(CHUNK).zip((first..).step_by(CHUNK)) {
            self.change_with(Durability::None, |transaction| {
                let mut table = transaction.open_table(DEAD_LETTERS)?;
                for (letter, number) in chunk.iter().zip(start..) {
                    table.insert((output, number), letter.as_slice())?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Removes the dead letters of an output after this number: an interrupted run wrote them, and their findings are
    /// delivered again.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn remove_dead_letters_after(&self, output: &str, number: u64) -> Result<(), StateError> {
        let has_more = || -> Result<bool, redb::Error> {
            let table = self.database.begin_read()?.open_table(DEAD_LETTERS)?;
            Ok(table.range((output, number + 1)..=(output, u64::MAX))?.next().is_some())
        };
        if !has_more().map_err(|error| self.failed(&error))? {
            return Ok(());
        }
        self.change_with(Durability::None, |transaction| {
            let mut table = transaction.open_table(DEAD_LETTERS)?;
            table.retain_in((output, number + 1)..=(output, u64::MAX), |_, _| false)?;
            Ok(())
        })
    }

    /// Removes the dead letters of an output up to this number, for example after a replay. In the same transaction,
    /// those up to `last` count. Returns the number of removed ones.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn remove_dead_letters(&self, output: &str, up_to: u64, last: u64) -> Result<u64, StateError> {
        let before = self.dead_letter_end(output)?;
        let last = last.max(before.number);
        let (mut removed, mut removed_bytes, mut added_bytes) = (0, 0, 0);
        self.change(|transaction| {
            let mut table = transaction.open_table(DEAD_LETTERS)?;
            for entry in table.range((output, before.number + 1)..=(output, last))? {
                added_bytes += entry?.1.value().len() as u64;
            }
            table.retain_in((output, 0)..=(output, up_to), |_, letter| {
                removed += 1;
                removed_bytes += letter.len() as u64;
                false
            })?;
            drop(table);
            let bytes = (before.bytes + added_bytes).saturating_sub(removed_bytes);
            put_ends(transaction, [(output, DeadLetterEnd { number: last, bytes })])
        })?;
        Ok(removed)
    }

    /// Counts the dead letters of every output and input that has any.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>, StateError> {
        #[derive(Deserialize)]
        struct StageAndTime {
            time: String,
            #[serde(flatten)]
            stage: Stage,
        }
        let mut counts = Vec::new();
        // With the number of missed reports.
        let mut stages: BTreeMap<String, (Stage, u64)> = BTreeMap::new();
        for MissedReport { output, report, .. } in self.missed()? {
            let stage = if output == report.input {
                Stage::Input { input: output.clone() }
            } else {
                Stage::Output { output: output.clone() }
            };
            stages.entry(output).or_insert((stage, 0)).1 += 1;
        }
        let mut ends = self.dead_letter_ends()?;
        stages.keys().for_each(|id| _ = ends.entry(id.clone()).or_default());
        for (id, end) in ends {
            let (mut letters, mut bytes) = (0, 0);
            let mut read = || -> Result<Vec<Vec<u8>>, redb::Error> {
                let table = self.database.begin_read()?.open_table(DEAD_LETTERS)?;
                let mut first_and_last = Vec::new();
                for entry in table.range((id.as_str(), 0)..=(id.as_str(), end.number))? {
                    let (_, letter) = entry?;
                    (letters, bytes) = (letters + 1, bytes + letter.value().len() as u64);
                    first_and_last.truncate(1);
                    first_and_last.push(letter.value().to_vec());
                }
                Ok(first_and_last)
            };
            let known = read().map_err(|error| self.failed(&error))?;
            let known: Result<Vec<StageAndTime>, _> = known.iter().map(|letter| self.parse(letter)).collect();
            let known = known?;
            let of_letters = known.first().map(|letter| (letter.stage.clone(), 0));
            let Some((stage, missed_reports)) = stages.remove(&id).or(of_letters) else { continue };
            let time =
                |letter: Option<&StageAndTime>| letter.map_or_else(String::new, |letter| letter.time.clone());
            let (oldest, newest) = (time(known.first()), time(known.last()));
            counts.push(DeadLetterCount { stage, letters, bytes, oldest, newest, missed_reports });
        }
        Ok(counts)
    }

    /// The dead letters up to these count from now on.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn count_dead_letters(&self, ends: &BTreeMap<String, DeadLetterEnd>) -> Result<(), StateError> {
        self.change(|transaction| put_ends(transaction, ends.iter().map(|(id, end)| (id.as_str(), *end))))
    }

    /// Copies the dead letters of another ledger into this one, which has none.
    ///
    /// # Errors
    /// When one of the two cannot be read or written.
    pub fn copy_dead_letters(&self, from: &Arc<Self>) -> Result<(), StateError> {
        for (output, end) in from.dead_letter_ends()? {
            let mut next = 0;
            loop {
                let chunk = from.read_dead_letters(&output, next, end.number)?;
                let (Some((first, _)), Some((last, _))) = (chunk.front(), chunk.back()) else { break };
                let first = *first;
                next = last + 1;
                // Their numbers have no gaps: dead letters are removed only at the two ends.
                let letters: Vec<Vec<u8>> = chunk.into_iter().map(|(_, letter)| letter).collect();
                self.write_dead_letters(&output, first, &letters)?;
            }
            self.change(|transaction| put_ends(transaction, [(output.as_str(), end)]))?;
        }
        Ok(())
    }

    /// Up to [`CHUNK`] dead letters of an output with numbers from `from` to `to`, with their numbers.
    fn read_dead_letters(
        &self,
        output: &str,
        from: u64,
        to: u64,
    ) -> Result<VecDeque<(u64, Vec<u8>)>, StateError> {
        let read = || -> Result<VecDeque<(u64, Vec<u8>)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(DEAD_LETTERS)?;
            let mut letters = VecDeque::new();
            for entry in table.range((output, from)..=(output, to))?.take(CHUNK) {
                let (at, letter) = entry?;
                letters.push_back((at.value().1, letter.value().to_vec()));
            }
            Ok(letters)
        };
        read().map_err(|error| self.failed(&error))
    }
}

/// The dead letters of an output in the order in which they were written, with their numbers. Reads a part of them at
/// a time. A dead letter that cannot be parsed makes only its own item an error.
#[derive(Debug, Clone)]
pub struct DeadLetterReader {
    ledger: Arc<Ledger>,
    output: String,
    next: u64,
    last: u64,
    chunk: VecDeque<(u64, Vec<u8>)>,
}

impl DeadLetterReader {
    /// The dead letters that count now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn new(ledger: &Arc<Ledger>, output: &str) -> Result<Self, StateError> {
        let last = ledger.dead_letter_end(output)?.number;
        let output = output.to_owned();
        Ok(Self { ledger: Arc::clone(ledger), output, next: 0, last, chunk: VecDeque::new() })
    }

    /// Removes the dead letters up to this number. In the same transaction, those up to `last` count.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn remove_up_to(&self, number: u64, last: u64) -> Result<(), StateError> {
        self.ledger.remove_dead_letters(&self.output, number.min(self.last), last).map(|_| ())
    }

    /// The `id:` of the output.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }
}

impl Iterator for DeadLetterReader {
    type Item = Result<(u64, DeadLetter), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty() && self.next <= self.last {
            match self.ledger.read_dead_letters(&self.output, self.next, self.last) {
                Ok(chunk) => self.chunk = chunk,
                Err(error) => {
                    self.next = u64::MAX;
                    return Some(Err(error));
                }
            }
        }
        let Some((number, letter)) = self.chunk.pop_front() else {
            self.next = u64::MAX;
            return None;
        };
        self.next = number.saturating_add(1);
        let letter = serde_json::from_slice(&letter);
        Some(letter.map(|letter| (number, letter)).map_err(|error| StateError {
            message: format!("dead letter {number} of {} is corrupt: {error}", self.output),
            hint: Some("remove these dead letters with `scanbridge dead-letters purge`".to_owned()),
            exit_code: 65,
        }))
    }
}
