#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod input;
mod options;
mod paths;
mod pipe;
mod settle;
mod source;

use scanbridge_plugin_api::{export_plugin, register_input};

pub use input::QualysGuardFile;

register_input!(QualysGuardFile);
export_plugin!();
