//! Tests of the host's delivery, in `tests/`: with the rogue plugins, which fail, hang, refuse rows and break the plugin
//! contract on request. Their runs have a clock that the tests drive, so they wait for no pause and no time limit.

mod clock;

use std::path::Path;
use std::sync::Arc;

pub use clock::{Driver, ManualClock};
use scanbridge::config::Pipeline;
use scanbridge::pipeline::{Stop, Summary, Watchers};
use scanbridge::plugins::Registry;
use scanbridge::session::{self, RunOptions};

/// Runs a pipeline with its state in this directory, by the clock of the system.
///
/// # Panics
/// When the run cannot start.
#[must_use]
pub fn run(pipeline: &Pipeline, registry: &Registry, state: &Path) -> Summary {
    let stop = Arc::new(Stop::default());
    session::run(pipeline, registry, state, RunOptions::default(), &stop, &Watchers::default())
        .unwrap_or_else(|failures| panic!("{failures:?}"))
}
