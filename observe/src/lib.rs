//! What a run and the service tell each other. The host writes [`RunEvent`]s; the service reads them and writes
//! [`ServiceRequest`]s. It also has the accepted form of a pipeline, and the times of its schedule. This crate depends on no other crate of the workspace, so that the service links neither a plugin
//! nor the ABI.

mod bundle;
mod channel;
mod cron;
mod event;
mod request;

pub use bundle::{Bundle, BundleResult, BundledFile, RestartKeys, ScheduleKeys, ServiceFile, ServiceKeys};
pub use channel::{LineError, LineReader, MAX_LINE, write_line};
pub use cron::{Cron, CronError};
pub use event::{
    Counts, FailureEvent, Hello, InputState, InputTick, OutputReference, OutputState, OutputTick,
    PluginReference, ReportEvent, RunEvent, Tick,
};
pub use request::{ServiceRequest, StopAt};
