//! What a receiver makes of the batches of one sender.

use std::collections::HashMap;
use std::sync::Arc;

use super::columns::Columns;
use super::key::{self, KeyHasher};
use super::layout::{DEFINITION_LEAD, KEY_WORDS, stride};
use super::schema::Schema;
use super::validation::{BadBatch, definitions, key_count, rows};
use super::view::{Batch, DefinitionView, Selection};
use crate::abi::{BatchRef, DefinitionRef, RawBatch2, Text, Words};

/// The definitions that one sender has sent in its epoch, by content key. A receiver keeps one table for each instance
/// of an input, and begins with an empty one when the instance is opened again.
#[derive(Debug, Default)]
pub struct DefinitionTable {
    epoch: u32,
    hasher: KeyHasher,
    known: HashMap<u128, Definition, foldhash::fast::RandomState>,
}

/// A definition: a row of the new rows of a batch. It stays in memory as long as the epoch or a batch that refers to it.
#[derive(Debug, Clone)]
struct Definition {
    key: [u32; KEY_WORDS],
    block: Arc<Block>,
    /// Where the offsets of the row begin and end in the table.
    row: (usize, usize),
}

/// The new definitions of one batch.
#[derive(Debug)]
struct Block {
    text: Text,
    rows: Words,
}

impl Definition {
    fn reference(&self) -> DefinitionRef<'_> {
        let row = &self.block.rows[self.row.0..self.row.1];
        DefinitionRef { key: self.key, text: self.block.text.as_str().into(), row: row.into() }
    }
}

/// The definitions of a batch, in the order of its keys.
#[derive(Debug, Clone, Default)]
pub struct ResolvedDefinitions {
    definitions: Vec<Definition>,
    /// The rows of those whose cells came with the batch.
    new: Vec<u32>,
}

impl DefinitionTable {
    /// Takes the new definitions out of a batch, and finds those that its keys name. Call it for each batch in the
    /// order in which the sender sent them.
    ///
    /// # Errors
    /// When a table is invalid, a key is not that of its cells, or a key was not sent in the epoch.
    pub fn resolve(
        &mut self,
        batch: &mut RawBatch2,
        schema: &Schema,
    ) -> Result<ResolvedDefinitions, BadBatch> {
        let keys = key_count(batch)?;
        if batch.epoch < self.epoch {
            return Err(BadBatch::Epoch { epoch: batch.epoch, current: self.epoch });
        }
        if batch.epoch > self.epoch {
            self.epoch = batch.epoch;
            self.known.clear();
        }
        let new = self.add(batch, keys, schema)?;
        let mut resolved = Vec::with_capacity(keys);
        let offsets = schema.definitions.len() + 1;
        for (row, words) in batch.keys.chunks_exact(KEY_WORDS).enumerate() {
            let known = self.known.get(&key::from_words(words));
            // An earlier report of the epoch may have had another number of columns.
            let known = known.filter(|known| known.row.1 - known.row.0 == offsets);
            resolved.push(known.ok_or(BadBatch::UnknownKey { row })?.clone());
        }
        Ok(ResolvedDefinitions { definitions: resolved, new })
    }

    /// Adds the definitions that came with the batch. Returns the rows of their keys.
    fn add(&mut self, batch: &mut RawBatch2, keys: usize, schema: &Schema) -> Result<Vec<u32>, BadBatch> {
        if batch.new_rows.is_empty() {
            return Ok(Vec::new());
        }
        let text = Text::new(std::mem::take(&mut batch.new_text)).ok_or(BadBatch::Utf8)?;
        definitions(text.as_str(), &batch.new_rows, schema)?;
        let block = Arc::new(Block { text, rows: std::mem::take(&mut batch.new_rows) });
        let stride = stride(DEFINITION_LEAD, schema.definitions.len());
        let mut new = Vec::with_capacity(block.rows.len() / stride);
        for (row, numbers) in block.rows.chunks_exact(stride).enumerate() {
            let key_row = numbers[0];
            if key_row as usize >= keys {
                return Err(BadBatch::NewRow { row });
            }
            let words = &batch.keys[key_row as usize * KEY_WORDS..][..KEY_WORDS];
            let key = key::from_words(words);
            if key != self.hasher.key_of(block.text.as_str().as_bytes(), &numbers[DEFINITION_LEAD..]) {
                return Err(BadBatch::Key { row });
            }
            let row = (row * stride + DEFINITION_LEAD, (row + 1) * stride);
            let definition = Definition { key: key::to_words(key), block: Arc::clone(&block), row };
            self.known.insert(key, definition);
            new.push(key_row);
        }
        Ok(new)
    }
}

/// A batch that has been checked, with the definitions that its findings refer to. The host gives outputs only these.
#[derive(Debug)]
pub struct ValidBatch {
    text: Text,
    /// The rest of the batch, without its text.
    raw: RawBatch2,
    definitions: ResolvedDefinitions,
    columns: Arc<Columns>,
}

impl ValidBatch {
    /// Checks everything that reading relies on: shape, offsets, references, UTF-8. `definitions` is the result of
    /// [`DefinitionTable::resolve`] for this batch.
    ///
    /// # Errors
    /// The first fault that was found.
    pub fn new(
        mut raw: RawBatch2,
        definitions: ResolvedDefinitions,
        columns: Arc<Columns>,
    ) -> Result<Self, BadBatch> {
        let text = Text::new(std::mem::take(&mut raw.text)).ok_or(BadBatch::Utf8)?;
        rows(text.as_str(), &raw, definitions.definitions.len(), columns.schema())?;
        Ok(Self { text, raw, definitions, columns })
    }

    /// Checks a batch that contains all its definitions: for tests, whose batches are the first of their senders.
    ///
    /// # Errors
    /// As for [`DefinitionTable::resolve`] and [`ValidBatch::new`].
    pub fn alone(mut raw: RawBatch2, columns: Arc<Columns>) -> Result<Self, BadBatch> {
        let definitions = DefinitionTable::default().resolve(&mut raw, columns.schema())?;
        Self::new(raw, definitions, columns)
    }

    /// The columns of the batch.
    #[must_use]
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Calls `read` with a view of all rows.
    pub fn read<T>(&self, read: impl FnOnce(Batch<'_>) -> T) -> T {
        self.with_reference(|reference| read(Batch::resolved(reference, &self.columns, Selection::default())))
    }

    /// Calls `read` with each definition whose cells came with this batch.
    pub fn read_new_definitions(&self, mut read: impl FnMut(DefinitionView<'_>)) {
        if !self.definitions.new.is_empty() {
            self.read(|batch| self.definitions.new.iter().for_each(|row| read(batch.definition(*row))));
        }
    }

    /// The same definitions with other assets and findings, whose rows are checked again.
    pub(super) fn with_rows(&self, text: String, raw: RawBatch2) -> Result<Self, BadBatch> {
        let text = Text::new(text.into_bytes().into()).ok_or(BadBatch::Utf8)?;
        let (definitions, columns) = (self.definitions.clone(), Arc::clone(&self.columns));
        rows(text.as_str(), &raw, definitions.definitions.len(), columns.schema())?;
        Ok(Self { text, raw, definitions, columns })
    }

    /// Calls `read` with the batch in its ABI form.
    pub(crate) fn with_reference<T>(&self, read: impl FnOnce(BatchRef<'_>) -> T) -> T {
        let definitions: Vec<DefinitionRef<'_>> =
            self.definitions.definitions.iter().map(Definition::reference).collect();
        read(BatchRef::new(self.text.as_str(), &self.raw.assets, &self.raw.findings, &definitions))
    }

    /// The memory of the batch, for reuse, without its new definitions.
    #[must_use]
    pub fn into_raw(self) -> RawBatch2 {
        RawBatch2 { text: self.text.into_bytes(), ..self.raw }
    }
}
