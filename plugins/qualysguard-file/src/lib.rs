#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod delivered;
mod done;
mod fingerprint;
mod folder_scanner;
mod free_space;
mod input;
mod knowledge_base;
mod options;
mod paths;
mod pipe;
mod position;
mod probe;
mod refused;
mod settle;
mod source;
mod stored_files;

use scanbridge_plugin_api::{export_plugin, register_input};

pub use input::QualysGuardFile;

register_input!(QualysGuardFile);
export_plugin!(crypto: scanbridge_plugin_api::Cryptography::NONE);
