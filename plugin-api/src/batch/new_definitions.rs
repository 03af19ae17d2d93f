//! The definitions that a batch refers to, and those of them that the receiver does not have yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::columns::RowLayout;
use super::key::{self, KeyHasher};
use super::layout::{DEFINITION_LEAD, KEY_WORDS, TARGET_BYTES, with_reserve};
use super::row::{DefinitionRow, offset};
use super::stored_row;

/// A definition that findings of the batch can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefinitionIndex {
    row: u32,
    key: u128,
}

impl DefinitionIndex {
    /// The content key, for [`BatchBuilder::push_known`](super::BatchBuilder::push_known) in later batches.
    #[must_use]
    pub fn key(self) -> u128 {
        self.key
    }

    /// The row in the keys of the batch.
    pub(super) fn row(self) -> u32 {
        self.row
    }
}

/// Numbers of definitions in their epoch. Read once for each finding, and the keys are hashes already.
type Numbers = HashMap<u128, u32, foldhash::fast::RandomState>;

/// What an input has sent. Its instance keeps this between batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentDefinitions(Arc<Mutex<Sent>>);

/// The definitions of an epoch.
#[derive(Debug, Default)]
struct Sent {
    epoch: u32,
    /// By the hash of a row under construction, which requires no copy of the cells in column order.
    by_row: Numbers,
    by_key: Numbers,
    definitions: Vec<SentDefinition>,
    hasher: KeyHasher,
    bytes: usize,
    /// Number of rows with cells that were new in their epoch, since the last one with known cells.
    unshared: usize,
    /// Number of batches that brought definitions.
    batches: usize,
    /// Number of batches begun, also those that were not finished.
    begun: u32,
    /// The most that a batch has brought.
    largest_rows: usize,
    largest_text: usize,
}

#[derive(Debug, Clone, Copy)]
struct SentDefinition {
    key: u128,
    /// The number of the last batch that refers to it, and the row of its key there.
    batch: u32,
    row: u32,
}

/// After this many bytes of definitions a new epoch begins: it bounds what sender and receivers keep.
const EPOCH_BYTES: usize = 2 << 20;
/// After this many rows with new cells, rows under construction are no longer looked up.
const UNSHARED: usize = 256;
/// About what sender and receiver need for a definition in addition to its cells: its entries in their tables.
const ENTRY_BYTES: usize = 400;
/// The same for batches that brought definitions.
const EPOCH_BATCHES: usize = 1024;

/// The definitions of the batch that is being filled.
#[derive(Debug)]
pub(super) struct NewDefinitions {
    shared: SentDefinitions,
    /// Taken from `shared` while the batch is being filled.
    sent: Sent,
    /// Number of definitions that were sent before this batch.
    before: usize,
    keys: Vec<u32>,
    rows: Vec<u32>,
    text: Vec<u8>,
}

/// The definitions of a finished batch.
pub(super) struct FinishedDefinitions {
    pub(super) epoch: u32,
    pub(super) keys: Vec<u32>,
    pub(super) rows: Vec<u32>,
    pub(super) text: Vec<u8>,
}

impl Sent {
    /// Forgets the definitions and keeps the memory of the tables: the next epoch needs as much.
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.by_row.clear();
        self.by_key.clear();
        self.definitions.clear();
        (self.bytes, self.batches) = (0, 0);
    }
}

impl NewDefinitions {
    /// Fills `keys`, which is the memory of an earlier batch.
    pub(super) fn after(shared: &SentDefinitions, mut keys: Vec<u32>) -> Self {
        keys.clear();
        let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.bytes >= EPOCH_BYTES || state.batches >= EPOCH_BATCHES {
            state.begin_epoch();
        }
        // A batch that is never finished must leave no definition behind, so it changes what it will give back.
        let mut sent = std::mem::take(&mut *state);
        // Kept, so that a batch that begins meanwhile does not send with the keys of this epoch.
        state.epoch = sent.epoch;
        sent.begun += 1;
        Self {
            shared: shared.clone(),
            before: sent.definitions.len(),
            sent,
            keys,
            rows: Vec::new(),
            text: Vec::new(),
        }
    }

    /// The definition with these cells; the cells are added if they are new in the epoch.
    pub(super) fn push(&mut self, row: &DefinitionRow, layout: &RowLayout) -> DefinitionIndex {
        if self.sent.unshared >= UNSHARED {
            let number = self.add(row, layout);
            return self.refer_to(number);
        }
        let hash = self.sent.hasher.hash_of_row(row.bytes(), row.touched());
        let number = match self.sent.by_row.get(&hash) {
            Some(number) => {
                self.sent.unshared = 0;
                *number
            }
            None => {
                let number = self.add(row, layout);
                self.sent.by_row.insert(hash, number);
                number
            }
        };
        self.refer_to(number)
    }

    /// The definition with this key; the stored cells are added if they were not sent in this epoch. None if the cells
    /// are not as [`DefinitionRow::store`] writes them, or the columns have another order.
    pub(super) fn push_stored<E>(
        &mut self,
        key: u128,
        length: usize,
        layout: &RowLayout,
        read: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Option<DefinitionIndex>, E> {
        if let Some(known) = self.push_known(key) {
            return Ok(Some(known));
        }
        if layout.order.is_some() {
            return Ok(None);
        }
        self.reserve();
        let (text_end, rows_end) = (self.text.len(), self.rows.len());
        self.text.resize(text_end + length, 0);
        let is_read = read(&mut self.text[text_end..]);
        self.rows.push(0);
        let (bytes, start) = (&self.text[text_end..], offset(text_end));
        let texts = is_read.map(|()| stored_row::write_to(bytes, start, layout.columns, &mut self.rows));
        let Ok(Some(texts)) = texts else {
            self.text.truncate(text_end);
            self.rows.truncate(rows_end);
            return texts.map(|_| None);
        };
        self.text.truncate(text_end + texts);
        let number = self.number(key);
        let index = self.refer_to(number);
        self.rows[rows_end] = index.row;
        Ok(Some(index))
    }

    /// The definition with this key, if its cells were sent in this epoch.
    pub(super) fn push_known(&mut self, key: u128) -> Option<DefinitionIndex> {
        let number = *self.sent.by_key.get(&key)?;
        Some(self.refer_to(number))
    }

    /// Adds the cells, unless a row with equal ones was built in another order.
    fn add(&mut self, row: &DefinitionRow, layout: &RowLayout) -> u32 {
        self.reserve();
        let (text_end, rows_end) = (self.text.len(), self.rows.len());
        self.rows.push(0);
        row.write_to(layout, &mut self.text, &mut self.rows);
        let key = self.sent.hasher.key_of(&self.text, &self.rows[rows_end + DEFINITION_LEAD..]);
        if let Some(number) = self.sent.by_key.get(&key) {
            self.text.truncate(text_end);
            self.rows.truncate(rows_end);
            // Rows with the same cells in ever different orders must end the epoch as well.
            if self.sent.unshared < UNSHARED {
                self.sent.bytes += size_of::<(u128, u32)>();
            }
            self.sent.unshared = 0;
            return *number;
        }
        self.sent.unshared += 1;
        let number = self.number(key);
        self.rows[rows_end] = self.refer_to(number).row;
        number
    }

    /// The number of a definition that is new in the epoch.
    fn number(&mut self, key: u128) -> u32 {
        let number = offset(self.sent.definitions.len());
        self.sent.by_key.insert(key, number);
        self.sent.definitions.push(SentDefinition { key, batch: 0, row: 0 });
        number
    }

    /// Makes space before the first definition of the batch.
    fn reserve(&mut self) {
        if self.rows.is_empty() {
            let largest = self.sent.largest_text;
            self.text.reserve_exact(if largest == 0 { TARGET_BYTES } else { with_reserve(largest) });
            self.rows.reserve_exact(with_reserve(self.sent.largest_rows));
        }
    }

    /// The row of the definition's key in this batch.
    fn refer_to(&mut self, number: u32) -> DefinitionIndex {
        let batch = self.sent.begun;
        let definition = &mut self.sent.definitions[number as usize];
        if definition.batch != batch {
            (definition.batch, definition.row) = (batch, offset(self.keys.len() / KEY_WORDS));
            self.keys.extend(key::to_words(definition.key));
        }
        DefinitionIndex { row: definition.row, key: definition.key }
    }

    /// The bytes of text that the batch brings.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The bytes of the tables.
    pub(super) fn table_bytes(&self) -> usize {
        4 * (self.rows.len() + self.keys.len())
    }

    pub(super) fn finish(mut self) -> FinishedDefinitions {
        let mut sent = std::mem::take(&mut self.sent);
        let entries = sent.definitions.len() - self.before;
        sent.bytes += self.text.len() + 4 * self.rows.len() + ENTRY_BYTES * entries;
        sent.batches += usize::from(!self.rows.is_empty());
        sent.largest_text = sent.largest_text.max(self.text.len());
        sent.largest_rows = sent.largest_rows.max(self.rows.len());
        let epoch = sent.epoch;
        self.give_back(sent);
        let keys = std::mem::take(&mut self.keys);
        let (mut rows, mut text) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.text));
        give_back_unused(&mut rows);
        give_back_unused(&mut text);
        FinishedDefinitions { epoch, keys, rows, text }
    }

    fn give_back(&self, sent: Sent) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }
}

/// Frees capacity of a buffer that the receiver will keep for the epoch, unless it is used for the most part: full
/// buffers of different sizes would leave gaps in the heap that the next one does not fit into.
fn give_back_unused<T>(buffer: &mut Vec<T>) {
    if buffer.len() < buffer.capacity() / 2 {
        buffer.shrink_to_fit();
    }
}

impl Drop for NewDefinitions {
    /// A batch that was not finished: only the definitions of earlier ones were sent.
    fn drop(&mut self) {
        if self.sent.begun == 0 {
            return;
        }
        let mut sent = std::mem::take(&mut self.sent);
        let before = self.before;
        sent.definitions.truncate(before);
        sent.by_key.retain(|_, number| (*number as usize) < before);
        sent.by_row.retain(|_, number| (*number as usize) < before);
        self.give_back(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::layout::stride;
    use crate::batch::schema::Schema;
    use crate::model::{DefinitionField, Field};

    fn row(title: &str) -> DefinitionRow {
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Title, title);
        row
    }

    fn layout() -> RowLayout {
        RowLayout::of::<DefinitionField>(&Schema::default())
    }

    fn send(sent: &SentDefinitions, title: &str) -> FinishedDefinitions {
        let mut definitions = NewDefinitions::after(sent, Vec::new());
        definitions.push(&row(title), &layout());
        definitions.finish()
    }

    #[test]
    fn cells_are_sent_once_in_an_epoch() {
        let sent = SentDefinitions::default();
        let first = send(&sent, "a");
        assert_eq!(first.epoch, 0);
        assert_eq!(first.text.as_slice(), &b"a"[..]);
        assert_eq!(first.keys.len(), 4);
        let again = send(&sent, "a");
        assert_eq!(again.epoch, 0);
        assert_eq!(again.text.len(), 0);
        assert_eq!(again.rows.len(), 0);
        assert_eq!(again.keys, first.keys);
        send(&sent, &"x".repeat(EPOCH_BYTES));
        let next = send(&sent, "a");
        assert_eq!((next.epoch, next.text.as_slice()), (1, &b"a"[..]));
        for number in 0..EPOCH_BATCHES {
            send(&sent, &number.to_string());
        }
        assert_eq!(send(&sent, "a").epoch, 2, "many small batches end an epoch as well");
    }

    #[test]
    fn definitions_without_texts_end_an_epoch_as_well() {
        let sent = SentDefinitions::default();
        let mut definitions = NewDefinitions::after(&sent, Vec::new());
        for number in 0..EPOCH_BYTES / ENTRY_BYTES {
            definitions.push(&row(&number.to_string()), &layout());
        }
        let text = definitions.finish().text.len();
        assert!(text < EPOCH_BYTES / 10, "{text}");
        assert_eq!(send(&sent, "a").epoch, 1);
    }

    #[test]
    fn batch_that_is_not_finished_has_sent_nothing() {
        let sent = SentDefinitions::default();
        send(&sent, "a");
        let mut lost = NewDefinitions::after(&sent, Vec::new());
        let key = lost.push(&row("b"), &layout()).key();
        drop(lost);
        let mut next = NewDefinitions::after(&sent, Vec::new());
        assert_eq!(next.push_known(key), None);
        next.push(&row("b"), &layout());
        assert_eq!(next.finish().text, b"b");
        assert!(send(&sent, "a").text.is_empty());
    }

    #[test]
    fn order_of_the_cells_under_construction_does_not_matter() {
        let mut other = DefinitionRow::default();
        other.set(DefinitionField::Category, "c");
        other.set(DefinitionField::Title, "t");
        let mut definitions = NewDefinitions::after(&SentDefinitions::default(), Vec::new());
        let mut first = row("t");
        first.set(DefinitionField::Category, "c");
        let known = definitions.push(&first, &layout());
        assert_eq!(definitions.push(&other, &layout()), known);
        assert_eq!(definitions.push_known(known.key()), Some(known));
        let finished = definitions.finish();
        assert_eq!(finished.rows.len(), stride(DEFINITION_LEAD, DefinitionField::NAMES.len()));
        assert_eq!((finished.text.len(), finished.keys.len()), (2, 4));
    }
}
