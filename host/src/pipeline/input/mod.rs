//! The thread of one input: reads the source, and sends its reports to all outputs.

mod confirm;
mod counts;
mod dead_letter_source;
mod kind_counts;
mod live;
mod marks;
mod profile;
mod reports;
mod source;
mod worker;

pub(super) use counts::{InputCounts, with_counts};
pub(super) use dead_letter_source::DeadLetterSource;
pub use dead_letter_source::schema_of as schema_of_dead_letters;
pub use kind_counts::KindCounts;
pub(super) use live::tick;
pub use profile::FrequentDefinition;
pub(super) use profile::FrequentDefinitions;
pub(super) use source::{PluginSource, Source};
pub(super) use worker::{InputResult, InputThread};
