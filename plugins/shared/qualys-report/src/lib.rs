//! One Qualys report, from bytes in a file to the steps of an input: what the inputs that read files and those that
//! download reports have in common.
//!
//! A [`Source`] is bytes that can be read from the beginning as often as needed. [`Settled`] examines its first and
//! last bytes. [`OpenReport`] refuses what is not a complete report, with a message, and delivers the rest batch by
//! batch. Definitions are kept in a [`FileSpool`]. The caller decides where the bytes come from.

mod report;
mod settled;
mod source;
mod spool;

pub use report::{OpenReport, Reading, ReportContext, refusal, sentence, source};
pub use settled::Settled;
pub use source::{Source, SourceReader, Watch};
pub use spool::{FileSpool, temporary_file};
