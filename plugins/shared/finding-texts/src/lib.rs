//! Findings as texts, for destinations that take one record for each finding: lines of JSON, or CEF events.
//!
//! [`TextEncoder`] makes the texts, `options` is what an operator chooses.

mod encoder;
mod format;
pub mod options;
mod sink;

pub use encoder::{Encoded, LineLimit, TextEncoder};
pub use format::TextFormat;
pub use sink::TextSink;
