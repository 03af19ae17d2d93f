//! Output plugin `CSV`: findings as a table for people, or as the commands that a Defense Center imports.
//!
//! `options` reads the operator's settings, `output` is the plugin. The two formats are `table` (with `column`,
//! `row_buffer`, `plain` and `formula`) and `commands` (whose text is made by the crate `scanbridge-host-input-commands`). The
//! crate `scanbridge-durable-file` publishes complete files only.

mod column;
mod commands;
mod formula;
mod options;
mod output;
mod plain;
mod row_buffer;
mod table;

pub use output::CsvOutput;

scanbridge_plugin_api::register_output!(CsvOutput);
scanbridge_plugin_api::export_plugin!(crypto: scanbridge_plugin_api::Cryptography::NONE);
