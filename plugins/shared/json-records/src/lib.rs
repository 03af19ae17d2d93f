//! Encodes findings as JSON objects, one object per line, with all fields under our own names or in a standard schema.
//!
//! [`Lines`] appends the line of a finding to a buffer of the caller. It builds a `tree` of keys once per report, from the
//! columns of the report or from the table of a `mapping` (`ocsf`, `ecs`). `source` finds the text of a value; `value` (the
//! native form), `form` (the forms of the standard schemas) and `text` encode it. [`RecordId`] has IDs for destinations that want
//! one for each record.

mod cached;
mod ecs;
mod form;
mod identity;
mod lines;
mod mapping;
mod ocsf;
mod options;
mod render;
mod source;
mod text;
mod tree;
mod value;

pub use identity::RecordId;
pub use lines::{Lines, NOT_VULNERABILITIES};
pub use options::{ASSETS, LEAVE_OUT, LineFormat, LineOptions};
pub use text::push_text;
