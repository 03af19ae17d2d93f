//! Options of plugins: the table that a plugin passes to the host, and the reader of its settings.
//!
//! An option is described only in this table. The checks of a pipeline file, suggestions for typing errors,
//! redaction, `plugin describe`, the JSON Schema and the generated documentation are based on it.

mod kind;
mod settings;
mod size;
mod spec;

pub use kind::OptionKind;
pub use settings::Options;
pub use size::show_size;
pub use spec::{OptionSpec, ValueSpec};
