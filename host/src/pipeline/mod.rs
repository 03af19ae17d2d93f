//! Runs a pipeline. Tests: `cargo test -p engine-tests`.
//!
//! ```text
//! input thread ──► queue ──► output thread     (one of these for each output; the batch is shared)
//!      ▲                          │
//!      └── memory of used batches ┘
//! ```
//!
//! Which thread does what, in the order in which data flows:
//!
//! - The caller's thread opens all instances (`build`), starts the other threads, shows the progress, waits for the
//!   threads and makes the summary (`run`, `progress`, `summary`).
//! - One thread for each input takes steps from the source, puts items into the queue of every output, sets barriers,
//!   and tells the input what is stored (`input`). One input sends a report at a time (`report_lock`).
//! - One thread for each output takes items from its queue (`output`). The first one that takes a batch checks it
//!   (`batch`, `validate`, `odd_cells`, `row_faults`). It writes, repeats after a failure or fails over, commits at a
//!   barrier, and publishes ended reports. The thread of the last output that commits a barrier also stores the
//!   checkpoint (`checkpoint`). A batch that is not used any more returns to its input.
//! - Each plugin instance has its own thread, which makes all its calls while the thread above waits for the result
//!   (`opener`, and `plugins::instance_thread`).
//!
//! All threads share the stop request, the clock and the failures (`control`, `stop`, `clock`, `failures`).

mod batch;
mod build;
mod checkpoint;
mod clock;
mod control;
mod failures;
mod input;
mod item;
mod keeper;
mod machine;
mod notes;
mod odd_cells;
mod open_errors;
mod opener;
mod output;
mod preview;
mod progress;
mod pulse;
mod queue;
mod rate_limit;
mod report_lock;
mod retry;
mod row_faults;
mod run;
mod run_log;
mod run_thread;
mod settings;
mod stop;
mod stored_reports;
mod summary;
mod tap;
mod validate;
mod watch;

pub use build::{OpenPipeline, build, build_replay};
pub(crate) use build::{build_with, open_all};
pub(crate) use checkpoint::Kept;
pub(crate) use clock::after;
pub use clock::{Clock, SystemClock};
pub use input::{FrequentDefinition, KindCounts, schema_of_dead_letters};
pub(crate) use keeper::{Loaded, can_keep, open_keeper};
pub use notes::InstanceNote;
pub(crate) use odd_cells::is_time;
pub(crate) use open_errors::OpenError;
pub(crate) use opener::new_frame;
pub(crate) use preview::{OutputPreview, Preview, preview};
pub use progress::ProgressBars;
pub use run::{RunResult, run};
pub use run_log::{RunLog, log_only};
pub use settings::Settings;
pub use stop::{ABORT, Asked, DRAIN, Stop};
pub(crate) use stored_reports::StoredReports;
pub use summary::{
    Failure, Head, InputSummary, KindSeverityCounts, ListedReport, OutputSummary, ReportResult, RunStatus,
    SeverityCounts, Summary, Trigger, summary_schema,
};
pub(crate) use summary::{grouped, show_bytes};
pub(crate) use validate::check_rows;
pub use watch::{Watcher, Watchers};
