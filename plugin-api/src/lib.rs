#![doc = include_str!("../README.md")]

pub mod abi;
pub mod batch;
mod capabilities;
mod check;
mod descriptor;
mod error;
mod input;
pub mod model;
mod open;
mod options;
mod output;
mod secret;
mod services;
mod state;

pub use abi::unacknowledged_bytes;
pub use capabilities::{
    Ends, InputCapabilities, LateAnswers, Order, OutputCapabilities, Partial, Replaces, Rereads, Resume,
    Resumes,
};
pub use check::{CheckReport, CheckStep, Verdict};
pub use descriptor::{Descriptor, OptionDescriptor, PluginKind};
pub use error::{ErrorKind, PluginError, Result};
pub use input::{
    CheckpointRequest, Event, Input, OpenedInput, Outcome, Position, ReportKey, Step, Stored, StoredReport,
};
#[doc(hidden)]
pub use inventory;
pub use open::{Limits, Open, OpenFrame, Opened, Purpose};
pub use options::{
    BrokenRule, Endpoint, EndpointPort, OptionCondition, OptionKind, OptionMaximum, OptionSpec, Options,
    RuleRepair, UrlParts, ValueSpec, show_duration, show_size,
};
pub use output::{Begin, CommitPoint, Committed, LateRow, OpenedOutput, Output, Receipt, Rejection, Written};
pub use secret::Secret;
pub use services::Services;
pub use state::State;
#[doc(hidden)]
pub use state::check_length as check_key_length;
pub use tracing;
