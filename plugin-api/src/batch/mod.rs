//! The flat batch: how assets, definitions and findings travel.
//!
//! A batch is one arena of text and three small tables of offsets into it. It is built by an input, crosses
//! the ABI without being copied, is shared by reference among the outputs and goes back to the input that
//! made it, so that in the steady state nothing is allocated. Values travel by field name in a [`Schema`];
//! a new field changes no ABI, and fields that a reader does not know ride along.

mod builder;
mod raw;
mod schema;
mod validation;
mod view;

pub use builder::{AssetRow, BatchBuilder, DefinitionRow, FindingRow, Row, RowIndex};
pub use raw::RawBatch;
pub use schema::{Columns, Schema};
pub use validation::{BadBatch, ValidBatch, validate};
pub use view::{AssetView, Batch, DefinitionView, FindingView, Selection};
