//! Batches: assets, definitions and findings in transit.
//!
//! A batch consists of text and tables of offsets into it: assets, findings, and the content keys of the definitions
//! that the findings refer to. A definition is sent once in an epoch, however many findings and batches share it; the
//! host keeps it and gives outputs every definition of a batch ([`DefinitionTable`]). An input builds a batch, which
//! crosses the ABI without being copied, is read by all outputs, and returns to the input for reuse, so that no memory
//! is allocated per finding. A [`Schema`] names the columns: a new field does not change the ABI, and a reader can pass
//! on columns that it does not know. An input may add columns of its own ([`Schema::add_column`]).

mod builder;
mod cell;
mod codes;
mod columns;
mod key;
mod layout;
mod new_definitions;
mod pack;
mod printed;
mod received;
mod rewrite;
mod row;
mod schema;
mod stored_row;
mod touched;
mod validation;
mod view;

pub use crate::abi::RawBatch2;
pub(crate) use builder::BatchSender;
pub use builder::{BatchBuilder, RowIndex};
pub use cell::{Cell, ColumnType};
pub use codes::{BadCode, FindingCodes};
pub use columns::{Columns, OwnColumn, TableColumn};
pub use new_definitions::DefinitionIndex;
pub use pack::{BadPack, pack, unpack};
pub use printed::FindingColumn;
pub use received::{DefinitionTable, ResolvedDefinitions, ValidBatch};
pub use rewrite::CellWriter;
pub use row::{AssetRow, DefinitionRow, FindingRow, Row};
pub use schema::{Column, Schema};
pub use validation::BadBatch;
pub use view::{AssetView, Batch, DefinitionView, FindingView, Selection};
