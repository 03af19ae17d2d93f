//! Options of plugins: the table that a plugin passes to the host, and the reader of its settings.
//!
//! An option is described only in this table. The checks of a pipeline file, suggestions for typing errors,
//! redaction, `plugin describe`, the JSON Schema and the generated documentation are based on it.

mod collections;
mod descriptor;
mod duration;
mod endpoint;
mod kind;
mod map;
mod rules;
mod settings;
mod size;
mod spec;
mod url;

pub use descriptor::{ExcludedKeys, OptionCondition, OptionDescriptor, OptionMaximum};
pub use duration::show_duration;
pub use endpoint::{Endpoint, EndpointPort};
pub use kind::OptionKind;
pub use rules::{BrokenRule, RuleRepair};
pub(crate) use rules::{broken_rules, fault};
pub use settings::Options;
pub use size::show_size;
pub use spec::{ExcludedKeysSpec, OptionSpec, ValueSpec};
pub use url::UrlParts;
