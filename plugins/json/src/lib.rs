//! JSON output: one object per line (NDJSON), with all fields of a finding under our own names or in a standard schema.
//!
//! `output` is the plugin, `options` what an operator chooses. `lines` turns a batch into lines: it builds a `tree` of
//! keys once per report, from the columns of the report or from the table of a `mapping` (`ocsf`, `ecs`). `source` finds
//! the text of a value; `value` (the native form), `form` (the forms of the standard schemas) and `text` encode it.

#![doc = include_str!("../README.md")]

mod cached;
mod ecs;
mod form;
mod identity;
mod lines;
mod mapping;
mod ocsf;
mod options;
mod output;
mod source;
mod text;
mod tree;
mod value;

pub use output::Json;

scanbridge_plugin_api::export_plugin!(crypto: scanbridge_plugin_api::Cryptography::NONE);
