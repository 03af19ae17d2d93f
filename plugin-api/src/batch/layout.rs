//! Size of a batch, and lengths of the rows in its tables.

use super::schema::Schema;
use crate::abi::RawBatch2;

/// Bytes at which a batch is full: `BatchBuilder::TARGET_BYTES`.
pub(super) const TARGET_BYTES: usize = 384 * 1024;
/// How many numbers come before the offsets in a row of assets.
pub(super) const ASSET_LEAD: usize = 1;
/// How many numbers come before the offsets in a row of new definitions.
pub(super) const DEFINITION_LEAD: usize = 1;
/// How many numbers come before the offsets in a row of findings.
pub(super) const FINDING_LEAD: usize = 4;
/// How many numbers a content key has.
pub(super) const KEY_WORDS: usize = 4;

/// How many numbers a row has: its leading numbers, the start of the first cell, the end of each cell.
pub(super) const fn stride(lead: usize, columns: usize) -> usize {
    lead + 1 + columns
}

/// The capacity of a buffer of a batch, when the largest one so far had this length.
pub(super) const fn with_reserve(largest: usize) -> usize {
    let with_reserve = largest + largest / 8;
    if with_reserve < 2 * TARGET_BYTES { with_reserve } else { 2 * TARGET_BYTES }
}

impl RawBatch2 {
    /// The number of findings, computed from the length of their table.
    #[must_use]
    pub fn finding_count(&self, schema: &Schema) -> usize {
        self.findings.len() / stride(FINDING_LEAD, schema.findings.len())
    }
}
