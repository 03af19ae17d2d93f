//! The batch as it crosses the ABI.

use abi_stable::StableAbi;

use crate::abi::{Bytes, Words};

/// An owned byte arena and tables of offsets into it.
///
/// A row of a table is a run of `u32`: the leading numbers of its table (below), then the offset where its
/// first cell starts, then the offset where each cell ends. The cells of a row lie one after the other in
/// the arena; rows of different tables may lie in any order.
///
/// | table | leading numbers |
/// |---|---|
/// | assets | 1 when the row repeats an asset that began in an earlier batch, else 0 |
/// | definitions | the content key in four parts, the least significant first |
/// | findings | the row of its asset, the number of its definition, `kind \| severity << 8 \| port << 16`, `status \| protocol << 8 \| flags << 16` |
///
/// Codes; 0 means none:
///
/// | code | numbers |
/// |---|---|
/// | kind | 1 vulnerability, 2 potential, 3 information, 4 service |
/// | severity | 1 to 5, 5 is the worst |
/// | status | 1 new, 2 active, 3 reopened, 4 fixed, 5 ignored, 6 disabled |
/// | protocol | 1 TCP, 2 UDP, 3 ICMP, 255 another one, whose name is in the cell `protocol` |
/// | flags | 1 reached over TLS, 2 reached without TLS; unknown flags are ignored |
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct RawBatch {
    /// The arena of assets and findings: UTF-8 text without separators.
    pub bytes: Bytes,
    /// The table of assets.
    pub assets: Words,
    /// The table of findings.
    pub findings: Words,
    /// The definitions that come with this batch.
    pub definitions: RawDefinitions,
}

/// Definitions, in an arena of their own because they outlive their batch.
///
/// A sender numbers its definitions from 0 in the order in which it sends them, and a later batch may point at
/// any of them without sending it again. A batch whose definitions begin with number 0 starts anew: the numbers
/// before it are forgotten. So the receiver holds as much as the sender lets add up, and no more.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct RawDefinitions {
    /// The number of the first row; the next number when there is no row.
    pub first: u32,
    /// The arena: UTF-8 text without separators.
    pub bytes: Bytes,
    /// The table.
    pub table: Words,
}

/// How many numbers stand before the offsets in a row of assets.
pub(crate) const ASSET_LEAD: usize = 1;
/// How many numbers stand before the offsets in a row of definitions.
pub(crate) const DEFINITION_LEAD: usize = 4;
/// How many numbers stand before the offsets in a row of findings.
pub(crate) const FINDING_LEAD: usize = 4;

/// How many `u32` one row takes: its leading numbers, one start, one end a column.
pub(crate) const fn stride(lead: usize, columns: usize) -> usize {
    lead + 1 + columns
}

impl RawBatch {
    /// The memory that the batch occupies, in bytes, whether used or kept for reuse.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        let definitions = &self.definitions;
        let tables = self.assets.capacity() + self.findings.capacity() + definitions.table.capacity();
        self.bytes.capacity() + definitions.bytes.capacity() + 4 * tables
    }
}
