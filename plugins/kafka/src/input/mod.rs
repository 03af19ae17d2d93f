//! The input: `group` gets records, `record` reads them, `window` makes reports of them, `rows` batches, `plugin` the steps.

mod dead_letters;
mod group;
mod plugin;
mod position;
mod probe;
mod record;
mod rows;
mod settings;
mod window;

pub use plugin::KafkaInput;
