//! One Qualys report, from bytes that lie in a file to the steps of an input: what the inputs that read files
//! and those that fetch reports do alike.
//!
//! A [`Source`] is bytes that can be read from the beginning as often as needed. [`Settled`] judges it by its
//! first and last bytes; [`OpenReport`] refuses what is no whole report, in words, and delivers the rest batch
//! by batch. Definitions wait in a [`FileSpool`]. Where the bytes come from is the caller's business.

mod report;
mod settled;
mod source;
mod spool;

pub use report::{OpenReport, Reading, ReportContext, refusal, sentence};
pub use settled::Settled;
pub use source::{Source, SourceReader, Watch};
pub use spool::{FileSpool, temporary_file};
