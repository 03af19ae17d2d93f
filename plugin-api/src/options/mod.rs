//! A plugin's options: the table it hands to the host, and the reader it gets its settings through.
//!
//! The table is the only place where an option is described. From it come the checks of a pipeline file,
//! did-you-mean, redaction, `plugin describe`, the JSON Schema and the generated documentation.

mod kind;
mod settings;
mod size;
mod spec;

pub use kind::OptionKind;
pub use settings::Options;
pub use size::show_size;
pub use spec::{OptionSpec, ValueSpec};
