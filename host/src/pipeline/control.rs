//! What the threads of a run share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use scanbridge_plugin_api::batch::BadBatch;
use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::stop::Stop;
use super::summary::Failure;

/// The failures so far, the wish to stop, and whose turn it is.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop: Arc<Stop>,
    /// Held by the input whose report is under way.
    pub(super) turn: Mutex<()>,
    failures: Mutex<Vec<Failure>>,
    required_failed: AtomicBool,
    live_outputs: AtomicUsize,
}

impl Control {
    pub(super) fn new(stop: Arc<Stop>, outputs: usize) -> Self {
        Self {
            stop,
            turn: Mutex::new(()),
            failures: Mutex::default(),
            required_failed: AtomicBool::new(false),
            live_outputs: AtomicUsize::new(outputs),
        }
    }

    pub(super) fn input_failed(&self, id: &str, error: &PluginError) {
        // Inputs that end because a required output failed have not failed themselves.
        if error.kind == ErrorKind::Cancelled && self.required_failed.load(Ordering::Relaxed) {
            return;
        }
        self.record(id, error);
    }

    /// Records an output's failure. The others go on, unless this one was required or the last.
    pub(super) fn output_failed(&self, id: &str, required: bool, error: &PluginError) {
        self.record(id, error);
        let last = self.live_outputs.fetch_sub(1, Ordering::Relaxed) == 1;
        if required || last {
            self.required_failed.store(true, Ordering::Relaxed);
            self.stop.give();
        } else {
            tracing::warn!(instance = id, "this output is not required: the others go on without it");
        }
    }

    /// An input sent what is no batch. Every output finds this out; the first one to do so says it.
    pub(super) fn broken_batch(&self, path: &str, bad: &BadBatch) -> Result<(), PluginError> {
        let message = format!("the input sent a damaged batch while reading {path}: {bad}");
        let known =
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|f| f.message == message);
        if !known {
            self.required_failed.store(true, Ordering::Relaxed);
            self.record("input", &PluginError::bug(message));
            self.stop.give();
        }
        Ok(())
    }

    fn record(&self, id: &str, error: &PluginError) {
        self.record_failure(Failure::new(id, error));
    }

    pub(super) fn record_failure(&self, failure: Failure) {
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        tracing::error!(instance = failure.instance, "{}{hint}", failure.message);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }
    /// What went wrong, and whether an input's bug or a required output was among it.
    pub(super) fn into_failures(self) -> (Vec<Failure>, bool) {
        let failures = self.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        (failures, self.required_failed.into_inner())
    }
}
