//! The summary of a run: counts of each input and output, failures, and the status.

mod failure;
mod head;
mod input;
mod output;
mod reports;
mod run;
mod schema;
mod severities;
mod wording;

pub use failure::Failure;
pub(super) use failure::message_with_line;
pub use head::{Head, Trigger};
pub use input::InputSummary;
pub use output::OutputSummary;
pub(super) use reports::ReportList;
pub use reports::{ListedReport, ReportResult};
pub use run::{RunStatus, Summary};
pub use schema::summary_schema;
pub(super) use severities::SEVERITIES;
pub use severities::{KindSeverityCounts, SeverityCounts};
pub(crate) use wording::{grouped, show_bytes};
