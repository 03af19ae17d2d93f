//! The comparison of a run, which its threads share.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scanbridge_field_encryption::HashKey;
use scanbridge_plugin_api::batch::Batch;
use xxhash_rust::xxh3::xxh3_64;

use super::identity::Hasher;
use super::{Compared, Comparison, Pair};

/// Collects the findings of a run. When a file cannot be written, the run continues without the comparison.
#[derive(Debug)]
pub(crate) struct RunComparison {
    state: Mutex<State>,
    /// Number of reports so far.
    reports: AtomicU32,
}

#[derive(Debug)]
struct State {
    comparison: Option<Comparison>,
    hasher: Hasher,
    /// Pairs of the last batch; kept for its memory.
    pairs: Vec<Pair>,
}

impl RunComparison {
    /// The comparison of a run of the pipeline with this state directory.
    pub(crate) fn new(state_folder: &Path) -> Arc<Self> {
        let comparison = Some(Comparison::new(state_folder));
        let state = State { comparison, hasher: Hasher::default(), pairs: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), reports: AtomicU32::new(0) })
    }

    /// Nothing that is stored may reveal what an output encrypts: from now on, hashes have a key. The first key stays.
    pub(crate) fn use_key(&self, key: HashKey) {
        let mut state = self.lock();
        let State { comparison, hasher, .. } = &mut *state;
        if hasher.key.is_some() {
            return;
        }
        if let Some(running) = comparison
            && let Err(error) = running.use_key(key.id())
        {
            without_comparison(&error);
            *comparison = None;
        }
        hasher.key = Some(key);
    }

    /// A report of this input begins.
    pub(crate) fn begin_report(self: &Arc<Self>, input: &str) -> ReportComparison {
        let number = self.reports.fetch_add(1, Ordering::Relaxed);
        ReportComparison { run: Arc::clone(self), input: xxh3_64(input.as_bytes()), number }
    }

    /// Compares with the last run. `None` if a file could not be read or written; the log has the reason.
    pub(crate) fn finish(&self, run: u64, day: u32) -> Option<Compared> {
        let comparison = self.lock().comparison.take()?;
        comparison.finish(run, day).map_err(|error| without_comparison(&error)).ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn without_comparison(error: &std::io::Error) {
    tracing::warn!("new and gone findings are not counted in this run: {error}");
}

/// The part of the comparison that one report has.
#[derive(Debug)]
pub(crate) struct ReportComparison {
    run: Arc<RunComparison>,
    /// Hash of the input's `id`.
    input: u64,
    number: u32,
}

impl ReportComparison {
    /// Adds the valid rows of a batch.
    pub(crate) fn add(&self, batch: Batch<'_>) {
        let mut state = self.run.lock();
        let State { comparison, hasher, pairs } = &mut *state;
        let Some(running) = comparison else { return };
        hasher.add_pairs(batch, self.number, self.input, pairs);
        if let Err(error) = running.add(pairs) {
            without_comparison(&error);
            *comparison = None;
        }
    }

    /// The whole report was read.
    pub(crate) fn is_complete(&self) {
        if let Some(comparison) = &mut self.run.lock().comparison {
            comparison.report_is_complete(self.number);
        }
    }

    /// A part of the report is missing, whatever its end says.
    pub(crate) fn has_gap(&self) {
        if let Some(comparison) = &mut self.run.lock().comparison {
            comparison.report_has_gap(self.number);
        }
    }
}
