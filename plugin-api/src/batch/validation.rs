//! The check of what came from a plugin: a plugin's memory is somebody else's until proven.

use super::codes::BadCode;
use super::raw::{ASSET_LEAD, DEFINITION_LEAD, FINDING_LEAD, RawBatch, RawDefinitions, stride};
use super::schema::Schema;

/// What is wrong with a batch. It is always a bug of the plugin that made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// A table's length is no multiple of its row length under the schema that the plugin announced.
    #[error("the {table} table has {length} numbers, which is not a multiple of {stride}")]
    Shape {
        /// Which table.
        table: &'static str,
        /// How many numbers it holds.
        length: usize,
        /// How many a row takes.
        stride: usize,
    },
    /// The offsets of a row do not ascend within the arena, or cut a character in two.
    #[error("row {row} of the {table} table has offsets outside the text")]
    Offsets {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: usize,
    },
    /// A finding points at an asset or definition that is not there.
    #[error("finding {row} refers to a row that does not exist")]
    Reference {
        /// Which finding.
        row: usize,
    },
    /// The definitions do not follow those that were sent before.
    #[error("the definitions start with number {first}, expected {expected} or 0")]
    Numbering {
        /// The number that they begin with.
        first: u32,
        /// How many were sent before.
        expected: u32,
    },
    /// A finding has an unknown code. The host refuses the finding and keeps the batch.
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

/// Checks a batch that brings all the definitions that it needs.
pub(super) fn validate_alone(batch: &RawBatch, schema: &Schema) -> Result<(), BadBatch> {
    if batch.definitions.first != 0 {
        return Err(BadBatch::Numbering { first: batch.definitions.first, expected: 0 });
    }
    definitions(&batch.definitions, schema)?;
    rows(batch, definition_count(&batch.definitions, schema)?, schema)
}

/// Checks assets and findings; `definitions` is how many there are to point at.
pub(super) fn rows(batch: &RawBatch, definitions: u32, schema: &Schema) -> Result<(), BadBatch> {
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

/// Checks definitions.
pub(super) fn definitions(raw: &RawDefinitions, schema: &Schema) -> Result<(), BadBatch> {
    let text = simdutf8::basic::from_utf8(&raw.bytes).map_err(|_| BadBatch::Utf8)?;
    table("definitions", text, &raw.table, DEFINITION_LEAD, schema.definitions.len()).map(|_| ())
}

/// How many definitions there are.
pub(super) fn definition_count(raw: &RawDefinitions, schema: &Schema) -> Result<u32, BadBatch> {
    let rows = shape("definitions", &raw.table, DEFINITION_LEAD, schema.definitions.len())?;
    // A table of more rows than a `u32` counts would take some 100 GiB.
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
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
