//! The summary of a run: counts of each input and output, failures, and the status.

mod failure;
mod input;
mod output;
mod run;
mod wording;

pub use failure::Failure;
pub(super) use failure::message_with_line;
pub(crate) use failure::to_state_error;
pub use input::InputSummary;
pub use output::OutputSummary;
pub use run::{RunStatus, Summary};
pub(super) use wording::show_bytes;
