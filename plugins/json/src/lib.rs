//! JSON output: one object per line (NDJSON) with all fields of a finding, for `jq` and custom programs.
//!
//! `output` is the plugin; `lines` turns a batch into lines; `object` turns the cells of a row into an
//! object.

#![doc = include_str!("../README.md")]

mod lines;
mod object;
mod output;

pub use output::Json;

scanbridge_plugin_api::export_plugin!();
