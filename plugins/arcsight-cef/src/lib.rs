//! ArcSight CEF output: findings become events in the Common Event Format, one a line.
//!
//! `output` is the plugin; `encoder` turns batches into lines and knows no file; below it stand the rules: `table`
//! says which event holds what, `field` names the keys, `escape` makes texts fit for a line. `transport` takes the
//! finished lines to a file or a receiver; `syslog` is what it puts around them.

#![doc = include_str!("../README.md")]

mod asset;
mod asset_buffer;
mod cache;
mod encoder;
mod escape;
mod field;
mod fragment;
mod options;
mod output;
mod ports;
mod report;
mod severity;
mod syslog;
mod table;
mod time;
mod transport;

pub use output::ArcSightCef;

scanbridge_plugin_api::export_plugin!();
