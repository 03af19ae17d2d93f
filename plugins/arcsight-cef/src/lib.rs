//! ArcSight CEF output: writes findings as events in the Common Event Format, one event per line.
//!
//! `output` is the plugin. The crate `scanbridge-cef-events` turns batches into lines. `transport` delivers the lines to a
//! file or a receiver; `syslog` adds headers and framing.

#![doc = include_str!("../README.md")]

mod options;
mod output;
mod preset;
mod syslog;
mod transport;

pub use output::ArcSightCef;

scanbridge_plugin_api::export_plugin!(crypto: scanbridge_tls_identity::CRYPTOGRAPHY);
