#![doc = include_str!("../README.md")]

#[cfg(feature = "host")]
#[doc(hidden)]
pub mod abi;
#[cfg(not(feature = "host"))]
#[expect(unused, unreachable_pub, reason = "the host's side is used with the feature `host` only")]
mod abi;
pub mod batch;
mod capabilities;
mod check;
mod connector;
mod descriptor;
mod error;
mod fips;
mod input;
pub mod keeper;
pub mod model;
mod open;
mod options;
mod output;
mod printable;
mod report_key;
mod reports;
mod saved;
mod secret;
mod services;
mod setters;
mod state;

pub use abi::unacknowledged_bytes;
pub use capabilities::{
    Ends, InputCapabilities, KeepsCheckpoint, LateAnswers, LocalCheck, Order, OutputCapabilities, Partial,
    ReadOnly, Replaces, Rereads, Resume, Resumes, Shares,
};
pub use check::{CheckReport, CheckStep, EffectiveValue, Verdict};
pub use connector::ConnectorIdentity;
pub use descriptor::{Descriptor, PluginKind};
pub use error::{ErrorKind, PluginError, Result};
pub use fips::{CryptoModule, Cryptography, DescribedCrypto, Fips};
pub use input::{
    CheckpointRequest, Event, Input, OpenedInput, Outcome, Position, Step, Stored, StoredReport,
};
pub use open::{Limits, Open, OpenFrame, Opened, Purpose};
pub use options::{
    BrokenRule, Endpoint, EndpointPort, ExcludedKeys, ExcludedKeysSpec, OptionCondition, OptionDescriptor,
    OptionKind, OptionMaximum, OptionSpec, Options, RuleRepair, UrlParts, ValueSpec, show_duration,
    show_size,
};
pub use output::{
    Begin, CommitPoint, Committed, LateRow, OpenedOutput, Output, Receipt, Rejection, Rendered, Written,
};
pub use printable::{is_printable, printable};
pub use report_key::ReportKey;
pub use reports::{ReportChoice, ReportEntry, ReportMarks, ReportPage, ReportQuery};
pub use secret::Secret;
pub use services::{Counter, Gauge, Services};
pub use state::State;
#[doc(hidden)]
pub use state::check_length as check_key_length;
pub use tracing;

/// What the registration macros use in an author's crate.
#[doc(hidden)]
pub mod __export {
    pub use inventory;

    pub use crate::abi::{
        LIBRARY_RECORD, LibHeader, PlainRoot, Registration, identity_record, name_record, plain_root,
        record_length, root_header,
    };
}
