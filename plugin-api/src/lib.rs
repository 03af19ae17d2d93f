#![doc = include_str!("../README.md")]

pub mod abi;
pub mod batch;
mod check;
mod descriptor;
mod error;
mod input;
pub mod model;
mod options;
mod output;
mod secret;
mod services;

pub use check::{CheckReport, CheckStep, Verdict};
pub use descriptor::{Descriptor, OptionDescriptor, PluginKind};
pub use error::{ErrorKind, PluginError, Result};
pub use input::{Input, Next, Position};
#[doc(hidden)]
pub use inventory;
pub use options::{OptionKind, OptionSpec, Options, ValueSpec, show_size};
pub use output::{Output, Receipt, Rejection, Written};
pub use secret::Secret;
pub use services::Services;
pub use tracing;
