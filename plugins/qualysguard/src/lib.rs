#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod api;
mod choice;
mod delivery;
mod detections;
mod fingerprint;
mod http;
mod input;
mod keys;
mod options;
mod probe;
mod scan_reports;
mod source;
mod state_file;
mod template_reports;

use scanbridge_plugin_api::{export_plugin, register_input};

pub use input::QualysGuard;

register_input!(QualysGuard);
export_plugin!(crypto: scanbridge_tls_identity::CRYPTOGRAPHY);
