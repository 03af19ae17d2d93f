//! ArcSight CEF output: writes findings as events in the Common Event Format, one event per line.
//!
//! `output` is the plugin. `encoder` turns batches into lines, without any I/O. It uses `table` (fields of
//! each kind of event), `field` (keys and limits) and `escape` (cleaning and escaping of texts). `transport`
//! delivers the lines to a file or a receiver; `syslog` adds headers and framing.

#![doc = include_str!("../README.md")]

mod additional;
mod asset;
mod asset_buffer;
mod cache;
mod connector;
mod encoder;
mod escape;
mod event_id;
mod field;
mod fragment;
mod options;
mod output;
mod ports;
mod preset;
mod report;
mod severity;
mod sink;
mod syslog;
mod table;
mod time;
mod transport;

pub use output::ArcSightCef;

scanbridge_plugin_api::export_plugin!(crypto: scanbridge_tls_identity::CRYPTOGRAPHY);
