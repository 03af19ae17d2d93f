//! Which definitions a batch brings, and which the receiver has already.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use super::raw::{DEFINITION_LEAD, RawDefinitions};
use super::row::{DefinitionRow, offset};
use crate::model::{DefinitionField, Field};

/// The number of a definition among those that were sent in its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefinitionNumber(u32);

impl DefinitionNumber {
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// Numbers by content key. A look-up is made for every finding of a scan, and the keys are hashes already.
type Numbers = HashMap<u128, u32, foldhash::fast::RandomState>;

/// What an input has sent. Its instance keeps this between batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentDefinitions(Arc<Mutex<Sent>>);

#[derive(Debug)]
struct Sent {
    numbers: Numbers,
    bytes: usize,
    /// In how many batches.
    batches: usize,
    generation: u64,
}

impl Default for Sent {
    /// A generation that nothing else in the process has, so that a number is never taken for one of another sender.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            numbers: Numbers::default(),
            bytes: 0,
            batches: 0,
            generation: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// When this many bytes have been sent, the numbers start anew: it bounds what the receivers hold.
const GENERATION_BYTES: usize = 4 << 20;
/// As above, for what the receivers hold and look through for each batch that brought definitions.
const GENERATION_BATCHES: usize = 1024;

/// The definitions of the batch that is being filled.
#[derive(Debug)]
pub(super) struct NewDefinitions {
    sent: SentDefinitions,
    /// What was sent before this batch, taken over from `sent` while the batch is being filled.
    numbers: Numbers,
    pub(super) generation: u64,
    raw: RawDefinitionsUnderway,
}

#[derive(Debug, Default)]
struct RawDefinitionsUnderway {
    first: u32,
    bytes: Vec<u8>,
    table: Vec<u32>,
}

impl Default for NewDefinitions {
    fn default() -> Self {
        Self::after(&SentDefinitions::default())
    }
}

impl NewDefinitions {
    pub(super) fn after(sent: &SentDefinitions) -> Self {
        let shared = Arc::clone(&sent.0);
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if state.bytes >= GENERATION_BYTES || state.batches >= GENERATION_BATCHES {
            *state = Sent::default();
        }
        let first = offset(state.numbers.len());
        Self {
            sent: sent.clone(),
            // A batch that is never finished must leave no number behind, so it works on what it will give back.
            numbers: std::mem::take(&mut state.numbers),
            generation: state.generation,
            raw: RawDefinitionsUnderway { first, ..RawDefinitionsUnderway::default() },
        }
    }

    pub(super) fn push(&mut self, row: &DefinitionRow) -> DefinitionNumber {
        let key = content_key(row);
        let next = offset(self.numbers.len());
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            for part in 0..DEFINITION_LEAD {
                self.raw.table.push((key >> (32 * part)) as u32);
            }
            row.write_to(&mut self.raw.bytes, &mut self.raw.table);
        }
        DefinitionNumber(number)
    }

    /// How many bytes of text the batch brings.
    pub(super) fn len(&self) -> usize {
        self.raw.bytes.len()
    }

    /// How many bytes their table takes.
    pub(super) fn table_bytes(&self) -> usize {
        4 * self.raw.table.len()
    }

    pub(super) fn finish(mut self) -> RawDefinitions {
        let raw = std::mem::take(&mut self.raw);
        let mut state = self.sent.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.numbers = std::mem::take(&mut self.numbers);
        state.bytes += raw.bytes.len() + 4 * raw.table.len();
        state.batches += usize::from(!raw.table.is_empty());
        drop(state);
        // What is sent is held for a while: no more of it than is needed.
        let (mut bytes, mut table) = (raw.bytes, raw.table);
        bytes.shrink_to_fit();
        table.shrink_to_fit();
        RawDefinitions { first: raw.first, bytes: bytes.into(), table: table.into() }
    }
}

impl Drop for NewDefinitions {
    /// A batch that is given up: what was sent before stays sent.
    fn drop(&mut self) {
        if self.numbers.is_empty() {
            return;
        }
        let first = self.raw.first;
        self.numbers.retain(|_, number| *number < first);
        let mut state = self.sent.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.numbers = std::mem::take(&mut self.numbers);
    }
}

/// Equal keys mean equal cells, so that an output can keep what it made of a text (cleaned, cut, escaped) and
/// use it for the next finding. Not a defence against somebody who builds collisions on purpose: XXH3 is no
/// cryptographic hash.
fn content_key(row: &DefinitionRow) -> u128 {
    let (bytes, spans) = row.content();
    let mut places = [0; 8 * DefinitionField::NAMES.len()];
    for (place, (start, end)) in places.chunks_exact_mut(8).zip(spans) {
        place[..4].copy_from_slice(&start.to_le_bytes());
        place[4..].copy_from_slice(&end.to_le_bytes());
    }
    xxh3_128(bytes).rotate_left(64) ^ xxh3_128(&places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(sent: &SentDefinitions, title: &str) -> (u64, RawDefinitions) {
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Title, title);
        let mut definitions = NewDefinitions::after(sent);
        definitions.push(&row);
        (definitions.generation, definitions.finish())
    }

    #[test]
    fn what_was_sent_is_not_sent_again_until_enough_was_sent() {
        let sent = SentDefinitions::default();
        let (first, raw) = send(&sent, "a");
        assert_eq!((raw.first, raw.bytes.len()), (0, 1));
        let (again, raw) = send(&sent, "a");
        assert_eq!((raw.first, raw.bytes.len(), again), (1, 0, first));
        send(&sent, &"x".repeat(GENERATION_BYTES));
        let (anew, raw) = send(&sent, "a");
        assert_eq!((raw.first, raw.bytes.len()), (0, 1));
        assert_ne!(anew, first);
        for number in 0..GENERATION_BATCHES {
            send(&sent, &number.to_string());
        }
        assert_ne!(send(&sent, "a").0, anew, "many small batches end a generation as well");
    }

    #[test]
    fn a_batch_that_is_given_up_has_sent_nothing() {
        let sent = SentDefinitions::default();
        send(&sent, "a");
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Title, "b");
        NewDefinitions::after(&sent).push(&row);
        let (_, raw) = send(&sent, "b");
        assert_eq!((raw.first, raw.bytes.len()), (1, 1));
        assert_eq!(send(&sent, "a").1.bytes.len(), 0);
    }
}
