//! Output plugin `CSV`: findings as a table for people, or as the commands that a Defense Center imports.
//!
//! `options` says what the operator may set, `output` is the plugin; the two formats are `table` (with
//! `column`, `row_buffer` and `formula`) and `commands` (which leaves the text to the crate
//! `scanbridge-host-input-commands`). Files are whole or not there; that is `scanbridge-durable-file`'s work.

mod column;
mod commands;
mod formula;
mod options;
mod output;
mod row_buffer;
mod table;

pub use output::CsvOutput;

scanbridge_plugin_api::register_output!(CsvOutput);
scanbridge_plugin_api::export_plugin!();
