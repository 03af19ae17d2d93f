//! Runs a pipeline: one thread an input, one thread and one bounded queue an output.
//!
//! ```text
//! input thread ──► queue ──► output thread     (one of these for each output; the batch is shared)
//!      ▲                          │
//!      └── memory of used batches ┘
//! ```

mod batch;
mod control;
mod input;
mod instance;
mod output;
mod progress;
mod run;
mod stop;
mod summary;

pub use instance::{Built, Settings, build};
pub use run::run;
pub use stop::Stop;
pub(crate) use summary::exit_code;
pub use summary::{Failure, InputSummary, KindCounts, OutputSummary, RunStatus, Summary};
