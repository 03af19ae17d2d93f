//! The check of what came from a plugin: a plugin's memory is somebody else's until proven.

use std::sync::{Arc, OnceLock};

use super::raw::{ASSET_LEAD, DEFINITION_LEAD, FINDING_LEAD, RawBatch, RawDefinitions, stride};
use super::schema::{Columns, Schema};
use super::view::{Batch, Selection};

/// What is wrong with a batch. It is always a bug of the plugin that made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// A table's length is no multiple of its row length under the schema that the plugin announced.
    #[error("the table of {table} holds {length} numbers, which is no multiple of {stride}")]
    Shape {
        /// Which table.
        table: &'static str,
        /// How many numbers it holds.
        length: usize,
        /// How many a row takes.
        stride: usize,
    },
    /// The offsets of a row do not ascend within the arena, or cut a character in two.
    #[error("row {row} of the table of {table} has offsets that lead outside the text")]
    Offsets {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: usize,
    },
    /// A finding points at an asset or definition that is not there.
    #[error("finding {row} points at a row that is not there")]
    Reference {
        /// Which finding.
        row: usize,
    },
    /// The definitions do not follow those that were sent before.
    #[error("the definitions begin with number {first} where {expected} or 0 is due")]
    Numbering {
        /// The number that they begin with.
        first: u32,
        /// How many were sent before.
        expected: u32,
    },
    /// An arena is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
}

/// The definitions that one sender has sent, as its receiver keeps them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    blocks: Vec<Arc<Block>>,
    count: u32,
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
        let rows = shape("definitions", &raw.table, DEFINITION_LEAD, schema.definitions.len())?;
        if raw.first == 0 {
            *self = Self::default();
        }
        if raw.first != self.count {
            return Err(BadBatch::Numbering { first: raw.first, expected: self.count });
        }
        let too_many = BadBatch::Numbering { first: raw.first, expected: 0 };
        self.count =
            u32::try_from(rows).ok().and_then(|rows| self.count.checked_add(rows)).ok_or(too_many)?;
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

/// Checks a batch that brings all the definitions that it needs.
pub(super) fn validate_alone(batch: &RawBatch, schema: &Schema) -> Result<(), BadBatch> {
    if batch.definitions.first != 0 {
        return Err(BadBatch::Numbering { first: batch.definitions.first, expected: 0 });
    }
    definitions(&batch.definitions, schema)?;
    let count = shape("definitions", &batch.definitions.table, DEFINITION_LEAD, schema.definitions.len())?;
    rows(batch, u32::try_from(count).unwrap_or(u32::MAX), schema)
}

fn rows(batch: &RawBatch, definitions: u32, schema: &Schema) -> Result<(), BadBatch> {
    let text = simdutf8::basic::from_utf8(&batch.bytes).map_err(|_| BadBatch::Utf8)?;
    let assets = table("assets", text, &batch.assets, ASSET_LEAD, schema.assets.len())?;
    table("findings", text, &batch.findings, FINDING_LEAD, schema.findings.len())?;
    let findings = batch.findings.chunks_exact(stride(FINDING_LEAD, schema.findings.len()));
    for (row, numbers) in findings.enumerate() {
        if numbers[0] as usize >= assets || numbers[1] >= definitions {
            return Err(BadBatch::Reference { row });
        }
    }
    Ok(())
}

fn definitions(raw: &RawDefinitions, schema: &Schema) -> Result<(), BadBatch> {
    let text = simdutf8::basic::from_utf8(&raw.bytes).map_err(|_| BadBatch::Utf8)?;
    table("definitions", text, &raw.table, DEFINITION_LEAD, schema.definitions.len()).map(|_| ())
}

/// Checks one table and gives its number of rows.
fn table(
    name: &'static str,
    text: &str,
    numbers: &[u32],
    lead: usize,
    columns: usize,
) -> Result<usize, BadBatch> {
    let rows = shape(name, numbers, lead, columns)?;
    for (row, numbers) in numbers.chunks_exact(stride(lead, columns)).enumerate() {
        let offsets = &numbers[lead..];
        let ascending = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        // `is_char_boundary` is false beyond the end of the text.
        if !ascending || !offsets.iter().all(|offset| text.is_char_boundary(*offset as usize)) {
            return Err(BadBatch::Offsets { table: name, row });
        }
    }
    Ok(rows)
}

fn shape(table: &'static str, numbers: &[u32], lead: usize, columns: usize) -> Result<usize, BadBatch> {
    let stride = stride(lead, columns);
    if !numbers.len().is_multiple_of(stride) {
        return Err(BadBatch::Shape { table, length: numbers.len(), stride });
    }
    Ok(numbers.len() / stride)
}
