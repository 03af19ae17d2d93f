//! What a receiver makes of the batches of one sender.

use std::sync::{Arc, OnceLock};

use super::raw::{RawBatch, RawDefinitions};
use super::schema::{Columns, Schema};
use super::validation::{BadBatch, definition_count, definitions, rows};
use super::view::{Batch, DefinitionView, Selection};

/// The definitions that one sender has sent, as its receiver keeps them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    blocks: Vec<Arc<Block>>,
    count: u32,
    /// The number of the first definition that came with the last batch.
    first_new: u32,
}

/// The definitions of one batch, validated when they are first looked at.
#[derive(Debug)]
struct Block {
    raw: RawDefinitions,
    verdict: OnceLock<Result<(), BadBatch>>,
}

impl Known {
    /// Takes the definitions out of a batch that came, before anything else is done with it. What was known
    /// before is forgotten when the sender starts anew.
    ///
    /// # Errors
    /// When they do not follow what came before; their content is not looked at yet.
    pub fn take(&mut self, batch: &mut RawBatch, schema: &Schema) -> Result<(), BadBatch> {
        let raw = std::mem::take(&mut batch.definitions);
        let rows = definition_count(&raw, schema)?;
        if raw.first == 0 {
            *self = Self::default();
        }
        if raw.first != self.count {
            return Err(BadBatch::Numbering { first: raw.first, expected: self.count });
        }
        self.first_new = raw.first;
        let too_many = BadBatch::Numbering { first: raw.first, expected: 0 };
        self.count = self.count.checked_add(rows).ok_or(too_many)?;
        batch.definitions.first = self.count;
        if rows > 0 {
            self.blocks.push(Arc::new(Block { raw, verdict: OnceLock::new() }));
        }
        Ok(())
    }

    fn validate(&self, schema: &Schema) -> Result<(), BadBatch> {
        let verdict =
            |block: &Arc<Block>| block.verdict.get_or_init(|| definitions(&block.raw, schema)).clone();
        self.blocks.iter().try_for_each(verdict)
    }
}

/// A batch that has been checked, with the definitions that its findings point at: the only kind that the host
/// hands to outputs.
#[derive(Debug)]
pub struct ValidBatch {
    raw: RawBatch,
    known: Known,
    columns: Arc<Columns>,
}

impl ValidBatch {
    /// Checks everything that reading relies on: shape, offsets, references, UTF-8. `known` has taken the batch's
    /// definitions ([`Known::take`]) and nothing since.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn new(raw: RawBatch, known: Known, columns: Arc<Columns>) -> Result<Self, BadBatch> {
        known.validate(columns.schema())?;
        rows(&raw, known.count, columns.schema())?;
        Ok(Self { raw, known, columns })
    }

    /// Checks a batch that stands for itself: for tests, whose batches are the first of their senders.
    ///
    /// # Errors
    /// As for [`ValidBatch::new`].
    pub fn alone(mut raw: RawBatch, columns: Arc<Columns>) -> Result<Self, BadBatch> {
        let mut known = Known::default();
        known.take(&mut raw, columns.schema())?;
        Self::new(raw, known, columns)
    }

    /// Calls `read` with a view of all rows.
    #[expect(unsafe_code, reason = "the check was made when the value was")]
    pub fn read<T>(&self, read: impl FnOnce(Batch<'_>) -> T) -> T {
        let blocks = self.definitions();
        // SAFETY: everything passed the checks, and they include UTF-8.
        read(unsafe { Batch::trusted(&self.raw, &blocks, &self.columns, Selection::default()) })
    }

    /// Calls `read` with each definition that came with this batch.
    pub fn read_new_definitions(&self, mut read: impl FnMut(DefinitionView<'_>)) {
        let numbers = self.known.first_new..self.known.count;
        if !numbers.is_empty() {
            self.read(|batch| numbers.for_each(|number| read(batch.definition(number))));
        }
    }

    /// The definitions that the findings point at, in the order of their numbers.
    pub(crate) fn definitions(&self) -> Vec<&RawDefinitions> {
        self.known.blocks.iter().map(|block| &block.raw).collect()
    }

    pub(crate) fn raw(&self) -> &RawBatch {
        &self.raw
    }

    /// The batch's memory, for reuse. Its definitions stay with [`Known`].
    #[must_use]
    pub fn into_raw(self) -> RawBatch {
        self.raw
    }
}
