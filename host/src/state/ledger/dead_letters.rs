//! Dead letters in the ledger. They are written ahead, and count when a transaction stores the number of the last one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use redb::{Durability, ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};

use super::counting::{count_letters, put_end};
use super::tables::{DEAD_LETTER_ENDS, DEAD_LETTER_KEYS, DEAD_LETTERS};
use super::{Ledger, StateError};
use crate::state::checkpoint::{DeadLetterEnd, MissedReport};
use crate::state::dead_letter::{DeadLetter, Stage};
use crate::state::letter_filter::LetterFilter;

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

    /// Removes the dead letters of an output up to this number that meet the conditions, for example after a replay. In
    /// the same transaction, those up to `last` count. Returns the number of removed ones.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn remove_dead_letters(
        &self,
        output: &str,
        up_to: u64,
        last: u64,
        filter: &LetterFilter,
    ) -> Result<u64, StateError> {
        let mut removed = 0;
        self.change(|transaction| {
            let mut end = count_letters(transaction, output, last)?;
            let mut keys_of_removed = Vec::new();
            transaction.open_table(DEAD_LETTERS)?.retain_in(
                (output, 0)..=(output, up_to),
                |(_, number), letter| {
                    if !filter.matches_json(number, letter) {
                        return true;
                    }
                    removed += 1;
                    end.bytes = end.bytes.saturating_sub(letter.len() as u64);
                    let letter = serde_json::from_slice::<DeadLetter>(letter).ok();
                    keys_of_removed.extend(letter.and_then(|letter| letter.key()).map(|key| (key, number)));
                    false
                },
            )?;
            let mut keys = transaction.open_table(DEAD_LETTER_KEYS)?;
            for (key, number) in keys_of_removed {
                let is_its_own = keys.get((output, key))?.is_some_and(|known| known.value() == number);
                if is_its_own {
                    keys.remove((output, key))?;
                }
            }
            put_end(transaction, output, end)
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
            // A corrupt dead letter must not hide the others.
            let known = known.iter().filter_map(|letter| serde_json::from_slice::<StageAndTime>(letter).ok());
            let known: Vec<StageAndTime> = known.collect();
            let of_letters = known.first().map(|letter| (letter.stage.clone(), 0));
            let corrupt = (letters > 0).then(|| (Stage::Output { output: id.clone() }, 0));
            let stage = stages.remove(&id).or(of_letters).or(corrupt);
            let Some((stage, missed_reports)) = stage else { continue };
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
        self.change(|transaction| {
            ends.iter().try_for_each(|(id, end)| count_letters(transaction, id, end.number).map(|_| ()))
        })
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
                let Some((last, _)) = chunk.back() else { break };
                next = last + 1;
                self.change_with(Durability::None, |transaction| {
                    let mut table = transaction.open_table(DEAD_LETTERS)?;
                    for (number, letter) in &chunk {
                        table.insert((output.as_str(), *number), letter.as_slice())?;
                    }
                    Ok(())
                })?;
            }
            self.change(|transaction| count_letters(transaction, &output, end.number).map(|_| ()))?;
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
    filter: LetterFilter,
}

impl DeadLetterReader {
    /// The dead letters that count now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn new(ledger: &Arc<Ledger>, output: &str) -> Result<Self, StateError> {
        let last = ledger.dead_letter_end(output)?.number;
        let output = output.to_owned();
        let (ledger, filter) = (Arc::clone(ledger), LetterFilter::default());
        Ok(Self { ledger, output, next: 0, last, chunk: VecDeque::new(), filter })
    }

    /// Only the dead letters that meet these conditions. Corrupt ones are returned, too.
    #[must_use]
    pub fn with_filter(self, filter: LetterFilter) -> Self {
        Self { filter, ..self }
    }

    /// Removes the dead letters of this reader up to this number. In the same transaction, those up to `last` count.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn remove_up_to(&self, number: u64, last: u64) -> Result<(), StateError> {
        self.ledger.remove_dead_letters(&self.output, number.min(self.last), last, &self.filter).map(|_| ())
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
        loop {
            let (number, letter) = match self.next_stored()? {
                Ok(stored) => stored,
                Err(error) => return Some(Err(error)),
            };
            match serde_json::from_slice::<DeadLetter>(&letter) {
                Ok(letter) if self.filter.matches(number, &letter) => return Some(Ok((number, letter))),
                Ok(_) => {}
                Err(error) => return Some(Err(self.corrupt(number, &error))),
            }
        }
    }
}

impl DeadLetterReader {
    fn next_stored(&mut self) -> Option<Result<(u64, Vec<u8>), StateError>> {
        if self.chunk.is_empty() && self.next <= self.last {
            match self.ledger.read_dead_letters(&self.output, self.next, self.last) {
                Ok(chunk) => self.chunk = chunk,
                Err(error) => {
                    self.next = u64::MAX;
                    return Some(Err(error));
                }
            }
        }
        let stored = self.chunk.pop_front();
        self.next = stored.as_ref().map_or(u64::MAX, |(number, _)| number.saturating_add(1));
        stored.map(Ok)
    }

    fn corrupt(&self, number: u64, error: &serde_json::Error) -> StateError {
        StateError {
            message: format!("dead letter {number} of {} is corrupt: {error}", self.output),
            hint: Some("remove these dead letters with `scanbridge dead-letters purge`".to_owned()),
            exit_code: 65,
        }
    }
}
