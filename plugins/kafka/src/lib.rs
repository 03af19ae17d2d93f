//! Input and output for Apache Kafka and compatible brokers.
//!
//! `options` are the tables, `connection` and `settings` what an operator chose. `link` is what all clients report, `error`
//! classifies it. Output: `asset_records` and `text_records` make records of `format`, `sender` and `producer` send them.
//! `keeper` makes it exactly once. `new_topics` creates topics. `input` is the input.

#![doc = include_str!("../README.md")]

mod asset_records;
mod connection;
mod error;
mod format;
mod input;
mod keeper;
mod key;
mod link;
mod new_topics;
mod options;
mod output;
mod probe;
mod producer;
mod sender;
mod settings;
mod text_records;
mod token;
mod topic_plan;
mod topic_settings;

pub use input::KafkaInput;
pub use output::KafkaOutput;

// Without a declaration of its cryptography, the host refuses the library in FIPS mode: OpenSSL of the system is used.
scanbridge_plugin_api::export_plugin!();
