#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! `options` reads the operator's settings, `output` is the plugin, `check` its probe. Blocks of commands come from
//! the crate `scanbridge-host-input-commands`. `packer` makes message bodies from them. `delivery` sends those and
//! records what was confirmed and refused. `session` is the connection, `dial` opens it, `socket` limits every wait,
//! `protocol` has the frames, `reply` interprets replies, `receipt` is what is stored for a resume.

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
scanbridge_plugin_api::export_plugin!(crypto: scanbridge_tls_identity::CRYPTOGRAPHY);
