//! JSON output: one object per line (NDJSON), with all fields of a finding under our own names or in a standard schema.
//!
//! `output` is the plugin, `options` what an operator chooses. The crate `scanbridge-json-records` encodes the lines.

#![doc = include_str!("../README.md")]

mod options;
mod output;

pub use output::Json;

scanbridge_plugin_api::export_plugin!(crypto: scanbridge_plugin_api::Cryptography::NONE);
