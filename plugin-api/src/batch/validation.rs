//! The check of a batch that came from a plugin: a plugin's memory is somebody else's until proven.

use std::sync::Arc;

use super::raw::{ASSET_LEAD, DEFINITION_LEAD, FINDING_LEAD, RawBatch, stride};
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
    /// A finding points at an asset or definition that the batch does not hold.
    #[error("finding {row} points at a row that is not there")]
    Reference {
        /// Which finding.
        row: usize,
    },
    /// The arena is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
}

/// A batch that has passed [`validate`]: the only kind that the host hands to outputs.
#[derive(Debug)]
pub struct ValidBatch {
    raw: RawBatch,
    columns: Arc<Columns>,
}

impl ValidBatch {
    /// Checks a batch.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(raw: RawBatch, columns: Arc<Columns>) -> Result<Self, BadBatch> {
        validate(&raw, columns.schema())?;
        Ok(Self { raw, columns })
    }

    /// All rows.
    #[must_use]
    #[expect(unsafe_code, reason = "the check was made when the value was")]
    pub fn view(&self) -> Batch<'_> {
        // SAFETY: `validate` passed, and that includes UTF-8.
        unsafe { Batch::trusted(&self.raw, &self.columns, Selection::default()) }
    }

    /// The batch as it crosses the ABI.
    #[must_use]
    pub fn raw(&self) -> &RawBatch {
        &self.raw
    }

    /// The batch's memory, for reuse.
    #[must_use]
    pub fn into_raw(self) -> RawBatch {
        self.raw
    }
}

/// Checks everything that reading relies on, once a batch: shape, offsets, references, UTF-8.
///
/// # Errors
/// The first thing found wrong.
pub fn validate(batch: &RawBatch, schema: &Schema) -> Result<(), BadBatch> {
    let text = simdutf8::basic::from_utf8(&batch.bytes).map_err(|_| BadBatch::Utf8)?;
    let assets = check_table("assets", text, &batch.assets, ASSET_LEAD, schema.assets.len())?;
    let definitions =
        check_table("definitions", text, &batch.definitions, DEFINITION_LEAD, schema.definitions.len())?;
    check_table("findings", text, &batch.findings, FINDING_LEAD, schema.findings.len())?;
    let rows = batch.findings.chunks_exact(stride(FINDING_LEAD, schema.findings.len()));
    for (row, numbers) in rows.enumerate() {
        if numbers[0] as usize >= assets || numbers[1] as usize >= definitions {
            return Err(BadBatch::Reference { row });
        }
    }
    Ok(())
}

/// Checks one table and gives its number of rows.
fn check_table(
    table: &'static str,
    text: &str,
    numbers: &[u32],
    lead: usize,
    columns: usize,
) -> Result<usize, BadBatch> {
    let stride = stride(lead, columns);
    if !numbers.len().is_multiple_of(stride) {
        return Err(BadBatch::Shape { table, length: numbers.len(), stride });
    }
    for (row, numbers) in numbers.chunks_exact(stride).enumerate() {
        let offsets = &numbers[lead..];
        let ascending = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        // `is_char_boundary` is false beyond the end of the text.
        if !ascending || !offsets.iter().all(|offset| text.is_char_boundary(*offset as usize)) {
            return Err(BadBatch::Offsets { table, row });
        }
    }
    Ok(numbers.len() / stride)
}
