#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! `options` says what the operator may set, `output` is the plugin, `check` its probe. Blocks of commands come from
//! the crate `scanbridge-host-input-commands`; `packer` makes message bodies of them, `delivery` sends those and
//! keeps book of what was confirmed and refused, `session` is the connection, `dial` how it comes about, `socket` what
//! keeps every wait short, `protocol` the frames, `reply` what an answer means, `receipt` what outlives a crash.

mod check;
mod delivery;
mod dial;
mod options;
mod output;
mod packer;
mod protocol;
mod receipt;
mod reply;
mod session;
mod socket;

#[doc(hidden)]
pub mod fuzzing;

pub use output::SourcefireOutput;

scanbridge_plugin_api::register_output!(SourcefireOutput);
scanbridge_plugin_api::export_plugin!();
