//! The boundary between the host and a plugin's library: the only room with `unsafe` on the plugin's side and
//! the only one that names `abi_stable`.
//!
//! A library exports one root module whose shape never changes: [`RootModule::describe`] and
//! [`RootModule::get_table`]. Everything else is in function tables that are frozen under their ids; a new
//! ability is a new id. Text and structures cross as JSON, findings as [`RawBatch`](crate::batch::RawBatch).
#![expect(unsafe_code, reason = "raw handles and exported symbols are what a boundary is made of")]

mod export;
mod host_table;
mod identity;
mod input_table;
pub(crate) mod log;
mod output_table;
mod root;
mod shim;
mod status;

/// A text as it crosses.
pub use abi_stable::std_types::RStr as Text;
pub use export::{LIBRARY_RECORD, LibHeader, PluginEntry, Registration, root_header};
pub use host_table::{HostHandle, HostTable1};
pub use identity::{Identity, IdentityError, SECTION, identity_record, name_record, record_length};
pub use input_table::{INPUT_1, InputHandle, InputTable1, NextFrame, NextKind, input_table};
pub use log::level_number;
pub use output_table::{OUTPUT_1, OutputHandle, OutputTable1, WriteFrame, WrittenFrame, output_table};
pub use root::{ROOT_SYMBOL, RootError, RootModule, RootModuleRef, TablePointer, open_root};
pub use status::Status;

/// The ABI of this crate: a host loads every plugin of its own major, older or newer.
pub const ABI_MAJOR: u32 = 1;

/// The target triple that this crate, and so the host or plugin around it, was built for.
pub const TARGET: &str = env!("SCANBRIDGE_TARGET");

#[cfg(test)]
mod golden;
