//! Runs a pipeline: one thread for each input, one thread and one bounded queue for each output. Each plugin instance
//! has its own thread, which makes all its calls while the others wait for the result. Tests: `cargo test -p
//! engine-tests`.
//!
//! ```text
//! input thread ──► queue ──► output thread     (one of these for each output; the batch is shared)
//!      ▲                          │
//!      └── memory of used batches ┘
//! ```

mod batch;
mod build;
mod checkpoint;
mod clock;
mod control;
mod failures;
mod input;
mod item;
mod notes;
mod odd_cells;
mod opener;
mod output;
mod progress;
mod queue;
mod rate_limit;
mod report_lock;
mod retry;
mod row_faults;
mod run;
mod settings;
mod stop;
mod summary;
mod validate;

pub use build::{OpenPipeline, build, build_replay};
pub(crate) use clock::after;
pub use clock::{Clock, SystemClock};
pub use input::{KindCounts, schema_of_dead_letters};
pub(crate) use odd_cells::is_time;
pub(crate) use opener::new_frame;
pub use run::{RunResult, run};
pub use settings::Settings;
pub use stop::{ABORT, DRAIN, Stop};
pub(crate) use summary::to_state_error;
pub use summary::{Failure, InputSummary, OutputSummary, RunStatus, Summary};
pub(crate) use validate::check_rows;
