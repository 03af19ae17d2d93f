//! The ABI between the host and a plugin library. On the plugin's side, only this module contains `unsafe` code and
//! refers to `abi_stable`.
//!
//! A library exports one root module that never changes: [`RootModule::describe`] and [`RootModule::get_table`].
//! Everything else is in function tables that are frozen under their IDs; a new ability gets a new ID. Text and
//! structures cross as JSON, findings as [`RawBatch2`] and [`BatchRef`].
#![expect(unsafe_code, reason = "an ABI requires raw handles and exported symbols")]

mod batch;
mod delivered_frames;
mod export;
mod frames;
mod host_table;
mod identity;
mod input_state;
mod input_table;
mod keeper_table;
pub(crate) mod log;
mod mask;
mod memory;
mod output_table;
mod render_table;
mod reports_table;
mod root;
mod shim;
mod socket;
mod status;
mod write_frame;

pub(crate) use batch::Text;
pub use batch::{BatchRef, DefinitionRef, RawBatch2, TextRef};
pub use delivered_frames::{CommittedFrame, WrittenFrame};
pub use export::{LIBRARY_RECORD, LibHeader, PluginEntry, Registration, plain_root, root_header};
pub use host_table::{
    ALIVE_1, AliveTable1, CANCEL_1, COUNTER, CancelTable1, GAUGE, HostHandle, HostTable2, LOG_1, LogTable1,
    MASK_1, METRICS_1, MOVED_1, MaskTable1, MetricsTable1, MovedTable1, NOTES_1, NotesTable1, PANIC_1,
    PanicTable1, STATE_1, StateTable1, TOTAL_IS_KNOWN, WAKE_1, WakeTable1,
};
pub use identity::{
    IdentifiedPlugin, Identity, IdentityError, RootKind, SECTION, identity_record, name_record, record_length,
};
pub use input_table::{INPUT_2, InputHandle, InputTable2, StepFrame, StepKind, input_table};
pub use keeper_table::{KEEPER_1, KeeperTable1, keeper_table};
pub use log::level_number;
pub use mask::{mask, masked};
pub use memory::{Bytes, BytesRef, Owner, Words, WordsRef};
pub use output_table::{OUTPUT_2, OutputHandle, OutputTable2, output_table};
pub use render_table::{RENDER_1, RenderTable1, render_table};
pub use reports_table::{REPORTS_1, ReportsTable1, reports_table};
pub use root::{
    BadDescriptor, Describe, GetTable, PLAIN_ROOT_SYMBOL, PlainRoot, ROOT_SYMBOL, Root, RootError,
    RootModule, RootModuleRef, open_plain_root, open_root,
};
pub use socket::unacknowledged_bytes;
pub use status::Status;
pub use write_frame::WriteFrame;

/// The ABI major of this crate. A host loads every plugin with the same major, older or newer.
pub const ABI_MAJOR: u32 = 2;

/// The version of the plugin API. A minor version only adds to the contract.
pub const API: &str = "2.0";

/// IDs of the abilities that a plugin can require from a host of this version: its services.
pub const ABILITIES: &[&str] = &[LOG_1, CANCEL_1, ALIVE_1, NOTES_1, WAKE_1, MASK_1, STATE_1, METRICS_1];

/// The target triple that this crate was built for, and so the host or plugin that contains it.
pub const TARGET: &str = env!("SCANBRIDGE_TARGET");

#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_json;
