//! The flat batch: how assets, definitions and findings travel.
//!
//! A batch is text and small tables of offsets into it: assets, findings, and the definitions that the findings
//! point at. A definition is sent once, however many findings of however many batches share it. A batch is built
//! by an input, crosses the ABI without being copied, is shared by reference among the outputs and goes back to
//! the input that made it, so that in the steady state nothing is allocated for a finding. Values travel by field
//! name in a [`Schema`]; a new field changes no ABI, and fields that a reader does not know ride along.

mod builder;
mod codes;
mod key;
mod layout;
mod new_definitions;
mod printed;
mod received;
mod row;
mod schema;
mod validation;
mod view;

pub use crate::abi::RawBatch2;
pub use builder::{BatchBuilder, RowIndex};
pub use codes::{BadCode, FindingCodes};
pub use new_definitions::DefinitionIndex;
pub(crate) use new_definitions::SentDefinitions;
pub use printed::FindingColumn;
pub use received::{DefinitionTable, ResolvedDefinitions, ValidBatch};
pub use row::{AssetRow, DefinitionRow, FindingRow, Row};
pub use schema::{Columns, Schema};
pub use validation::BadBatch;
pub use view::{AssetView, Batch, DefinitionView, FindingView, Selection};
