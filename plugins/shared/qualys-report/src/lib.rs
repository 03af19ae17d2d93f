//! Reads one Qualys report from a file and delivers it through the input API. Shared by the inputs that read files
//! and that download reports.
//!
//! A [`Source`] is bytes that can be read repeatedly, from any offset. [`Settled`] examines its first and last
//! bytes. [`OpenReport`] refuses incomplete reports and other files with a message, and delivers complete reports
//! batch by batch. Definitions are stored in a [`FileSpool`]. The caller provides the bytes.

mod chosen;
mod report;
mod settled;
mod source;
mod spool;

pub use chosen::Chosen;
pub use report::{OpenReport, Reading, ReportContext, refusal, sentence, source};
pub use settled::Settled;
pub use source::{Source, SourceReader, Watch};
pub use spool::{FileSpool, temporary_file};
