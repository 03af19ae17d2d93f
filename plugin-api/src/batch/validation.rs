//! Validation of batches from plugins. Nothing in a plugin's memory is trusted.

use super::codes::BadCode;
use super::layout::{ASSET_LEAD, DEFINITION_LEAD, FINDING_LEAD, KEY_WORDS, stride};
use super::schema::Schema;
use crate::abi::RawBatch2;

/// A fault of a batch. It is always a bug of the plugin that made the batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBatch {
    /// The length of a table is not a multiple of its row length under the schema that the plugin announced.
    #[error("the {table} table has {length} numbers, which is not a multiple of {stride}")]
    Shape {
        /// Which table.
        table: &'static str,
        /// How many numbers it contains.
        length: usize,
        /// How many a row has.
        stride: usize,
    },
    /// The offsets of a row do not ascend within the arena, or one is inside a character.
    #[error("row {row} of the {table} table has offsets outside the text")]
    Offsets {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: usize,
    },
    /// A finding refers to an asset or definition that does not exist.
    #[error("finding {row} refers to a row that does not exist")]
    Reference {
        /// Which finding.
        row: usize,
    },
    /// The epoch is older than that of an earlier batch.
    #[error("epoch {epoch} follows epoch {current}")]
    Epoch {
        /// The epoch of the batch.
        epoch: u32,
        /// The epoch of an earlier batch.
        current: u32,
    },
    /// A new definition refers to a key that does not exist, or in a batch that contains all its definitions to the key
    /// of another row.
    #[error("new definition {row} refers to a key that does not exist")]
    NewRow {
        /// Which new definition.
        row: usize,
    },
    /// The key of a new definition is not that of its cells.
    #[error("the key of new definition {row} is not the content key of its cells")]
    Key {
        /// Which new definition.
        row: usize,
    },
    /// The cells of a key were not sent in the epoch.
    #[error("key {row} was not sent in its epoch")]
    UnknownKey {
        /// Which key.
        row: usize,
    },
    /// A finding has an unknown code. The host rejects the finding and keeps the batch.
    #[error("finding {row}: {code}")]
    Code {
        /// Which finding.
        row: u32,
        /// Its code.
        code: BadCode,
    },
    /// An arena is not UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
}

/// Checks a batch that contains all its definitions, each in the row of its key. Returns the text of the batch and that
/// of its definitions.
pub(super) fn validate_alone<'a>(batch: &'a RawBatch2, schema: &Schema) -> Result<[&'a str; 2], BadBatch> {
    let utf8 = |bytes| simdutf8::basic::from_utf8(bytes).map_err(|_| BadBatch::Utf8);
    let (text, new_text) = (utf8(&batch.text)?, utf8(&batch.new_text)?);
    let keys = key_count(batch)?;
    let new = definitions(new_text, &batch.new_rows, schema)?;
    let stride = stride(DEFINITION_LEAD, schema.definitions.len());
    for (row, numbers) in batch.new_rows.chunks_exact(stride).enumerate() {
        if numbers[0] as usize != row || row >= keys {
            return Err(BadBatch::NewRow { row });
        }
    }
    if new < keys {
        return Err(BadBatch::UnknownKey { row: new });
    }
    rows(text, batch, keys, schema)?;
    Ok([text, new_text])
}

/// Checks assets and findings; `definitions` is how many there are to refer to.
pub(super) fn rows(
    text: &str,
    batch: &RawBatch2,
    definitions: usize,
    schema: &Schema,
) -> Result<(), BadBatch> {
    let assets = table("assets", text, &batch.assets, ASSET_LEAD, schema.assets.len())?;
    table("findings", text, &batch.findings, FINDING_LEAD, schema.findings.len())?;
    let findings = batch.findings.chunks_exact(stride(FINDING_LEAD, schema.findings.len()));
    for (row, numbers) in findings.enumerate() {
        if numbers[0] as usize >= assets || numbers[1] as usize >= definitions {
            return Err(BadBatch::Reference { row });
        }
    }
    Ok(())
}

/// Checks new definitions and returns how many there are.
pub(super) fn definitions(text: &str, rows: &[u32], schema: &Schema) -> Result<usize, BadBatch> {
    table("definitions", text, rows, DEFINITION_LEAD, schema.definitions.len())
}

/// How many keys there are.
pub(super) fn key_count(batch: &RawBatch2) -> Result<usize, BadBatch> {
    let length = batch.keys.len();
    if !length.is_multiple_of(KEY_WORDS) {
        return Err(BadBatch::Shape { table: "keys", length, stride: KEY_WORDS });
    }
    Ok(length / KEY_WORDS)
}

/// Checks one table and returns its number of rows.
fn table(
    name: &'static str,
    text: &str,
    numbers: &[u32],
    lead: usize,
    columns: usize,
) -> Result<usize, BadBatch> {
    let rows = shape(name, numbers, lead, columns)?;
    for (row, numbers) in numbers.chunks_exact(stride(lead, columns)).enumerate() {
        let mut last = 0;
        // Most cells are empty and end at the offset before, so that several are compared at once.
        for offsets in numbers[lead..].chunks(8) {
            if offsets.iter().fold(0, |different, offset| different | (offset ^ last)) == 0 {
                continue;
            }
            for offset in offsets {
                // `is_char_boundary` is false beyond the end of the text.
                if *offset != last && (*offset < last || !text.is_char_boundary(*offset as usize)) {
                    return Err(BadBatch::Offsets { table: name, row });
                }
                last = *offset;
            }
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
