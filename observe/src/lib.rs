//! What a run and the service tell each other. The host writes [`RunEvent`]s; the service reads them and writes
//! [`ServiceRequest`]s. This crate depends on no other crate of the workspace, so that the service links neither a plugin
//! nor the ABI.

mod channel;
mod event;
mod request;

pub use channel::{LineError, LineReader, MAX_LINE, write_line};
pub use event::{
    Counts, FailureEvent, Hello, InputState, InputTick, OutputReference, OutputState, OutputTick,
    PluginReference, ReportEvent, RunEvent, Tick,
};
pub use request::{ServiceRequest, StopAt};
