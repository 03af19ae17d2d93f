//! State that the threads of a run share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::failures::{Failures, is_resumable_failure};
use super::report_lock::ReportLock;
use super::stop::Stop;
use super::summary::Failure;
use super::watch::Watchers;

/// State that the threads of a run share: failures, stop request, report lock.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop: Arc<Stop>,
    pub(super) report_lock: ReportLock,
    pub(super) watchers: Watchers,
    failures: Mutex<Failures>,
    required_failed: AtomicBool,
    /// Whether the run saves state from which a later run can resume.
    keeps_state: bool,
    /// Set by a failure after which a later run starts from the beginning.
    not_resumable: AtomicBool,
    active_outputs: AtomicUsize,
    /// Whether another instance has taken over the work of an input, or of an output that the run needs.
    displaced: AtomicBool,
    /// Outputs that ended because the run had failed.
    cancelled: Mutex<Vec<String>>,
}

impl Control {
    pub(super) fn new(
        stop: Arc<Stop>,
        report_lock: ReportLock,
        watchers: Watchers,
        outputs: usize,
        keeps_state: bool,
    ) -> Self {
        Self {
            stop,
            report_lock,
            watchers,
            failures: Mutex::default(),
            required_failed: AtomicBool::new(false),
            keeps_state,
            not_resumable: AtomicBool::new(false),
            active_outputs: AtomicUsize::new(outputs),
            displaced: AtomicBool::new(false),
            cancelled: Mutex::default(),
        }
    }

    /// Whether a later run resumes what this one leaves unfinished.
    pub(super) fn is_resumable(&self) -> bool {
        self.keeps_state && !self.not_resumable.load(Ordering::Relaxed)
    }

    /// Whether an input or a required output has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.required_failed.load(Ordering::Relaxed)
    }

    /// Whether another instance has taken over: nothing more is delivered.
    pub(super) fn is_displaced(&self) -> bool {
        self.displaced.load(Ordering::Relaxed)
    }

    /// Ends the run if another instance has taken over: every call, because that instance does the work already.
    fn end_if_displaced(&self, error: &PluginError) {
        if error.kind == ErrorKind::Displaced {
            self.displaced.store(true, Ordering::Relaxed);
            self.stop.abort();
        }
    }

    pub(super) fn input_failed(&self, id: &str, error: &PluginError) {
        // An input that ends because a required output failed has not failed itself.
        if error.kind == ErrorKind::Cancelled && self.has_failed() {
            return;
        }
        self.record(id, error);
    }

    /// Adds the failure of one report that was not read, or not completely. The input continues.
    pub(super) fn report_failed(&self, id: &str, error: &PluginError) {
        self.record_failure(Failure::of_report(id, error));
    }

    /// Records the failure that ends an input early.
    pub(super) fn input_ended(&self, id: &str, error: &PluginError) {
        self.input_failed(id, error);
        if error.kind != ErrorKind::Cancelled {
            self.set_failed(is_resumable_failure(error.kind));
            self.end_if_displaced(error);
        }
    }

    /// Adds the failure of an output. The other outputs continue, unless this one was required or the last.
    pub(super) fn output_failed(&self, id: &str, required: bool, error: &PluginError) {
        self.output_ended(id, required, error, is_resumable_failure(error.kind));
    }

    /// Records that an output hangs. Resumable, because the cause may be gone in the next run.
    pub(super) fn output_hung(&self, id: &str, required: bool, error: &PluginError) {
        self.output_ended(id, required, error, true);
    }

    fn output_ended(&self, id: &str, required: bool, error: &PluginError, resumable: bool) {
        let last = self.active_outputs.fetch_sub(1, Ordering::Relaxed) == 1;
        // An output that ends because the run ends for another reason has not failed itself.
        if error.kind == ErrorKind::Cancelled && (self.is_displaced() || self.has_failed()) {
            self.cancelled().push(id.to_owned());
            return;
        }
        let ends_the_run = required || last;
        if ends_the_run {
            // Without a failure, only the operator stops a run.
            if self.stop.is_requested() && !self.has_failed() {
                self.record_failure(Failure::interrupted(
                    "the run was interrupted before everything was delivered",
                ));
            }
            self.set_failed(resumable);
        }
        self.record(id, error);
        if ends_the_run {
            self.stop.request();
            self.end_if_displaced(error);
        } else {
            tracing::warn!(
                instance = id,
                "this output is optional (required: no); the run continues \
                 without it"
            );
        }
    }

    /// Records how many findings an available output missed. Without this failure, a run in which the output did not
    /// fail otherwise would look complete.
    pub(super) fn findings_dropped(&self, id: &str, findings: u64) {
        let is_recorded = self.failed().iter().any(|failure| failure.instance == id);
        if is_recorded || self.cancelled().iter().any(|cancelled| cancelled == id) {
            return;
        }
        let error = PluginError::new(
            ErrorKind::Unavailable,
            format!(
                "{findings} findings were dropped while this output was unavailable or its queue was \
                 full"
            ),
        );
        self.record(
            id,
            &error.with_hint(
                "to keep them, increase `queue`, or set `on_full: block` or \
             `required: yes`",
            ),
        );
    }

    fn set_failed(&self, resumable: bool) {
        if !resumable {
            self.not_resumable.store(true, Ordering::Relaxed);
        }
        self.required_failed.store(true, Ordering::Relaxed);
    }

    /// Records an invalid batch of an input. Every output finds it; only the first one logs it.
    pub(super) fn invalid_batch(&self, input: &str, error: &PluginError) {
        self.not_resumable.store(true, Ordering::Relaxed);
        self.required_failed.store(true, Ordering::Relaxed);
        self.stop.request();
        let failure = Failure::new(input, error);
        if self.failures().add_once(failure.clone()) {
            self.watchers.notify(&failure.event());
        }
    }

    fn record(&self, id: &str, error: &PluginError) {
        self.record_failure(Failure::new(id, error));
    }

    pub(super) fn record_failure(&self, failure: Failure) {
        self.watchers.notify(&failure.event());
        self.failures().add(failure);
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancelled(&self) -> MutexGuard<'_, Vec<String>> {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Failures so far.
    pub(super) fn failed(&self) -> Vec<Failure> {
        self.failures().to_list()
    }
}
