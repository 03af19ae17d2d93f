//! State that the threads of a run share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::report_lock::ReportLock;
use super::stop::Stop;
use super::summary::Failure;

/// State that the threads of a run share: failures, stop request, report lock.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop: Arc<Stop>,
    pub(super) report_lock: ReportLock,
    failures: Mutex<Failures>,
    required_failed: AtomicBool,
    /// Whether the run saves state from which a later run can resume.
    keeps_state: bool,
    /// Set by a failure after which a later run starts from the beginning.
    not_resumable: AtomicBool,
    active_outputs: AtomicUsize,
}

impl Control {
    pub(super) fn new(stop: Arc<Stop>, report_lock: ReportLock, outputs: usize, keeps_state: bool) -> Self {
        Self {
            stop,
            report_lock,
            failures: Mutex::default(),
            required_failed: AtomicBool::new(false),
            keeps_state,
            not_resumable: AtomicBool::new(false),
            active_outputs: AtomicUsize::new(outputs),
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

    pub(super) fn input_failed(&self, id: &str, error: &PluginError) {
        // An input that ends because a required output failed has not failed itself.
        if error.kind == ErrorKind::Cancelled && self.has_failed() {
            return;
        }
        self.record(id, error);
    }

    /// Records the failure that ends an input early.
    pub(super) fn input_ended(&self, id: &str, error: &PluginError) {
        self.input_failed(id, error);
        if error.kind != ErrorKind::Cancelled {
            self.set_failed(is_resumable_failure(error.kind));
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
        if self.failed().iter().any(|failure| failure.instance == id) {
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
            log_failure(&failure);
        }
    }

    fn record(&self, id: &str, error: &PluginError) {
        self.record_failure(Failure::new(id, error));
    }

    pub(super) fn record_failure(&self, failure: Failure) {
        log_failure(&failure);
        self.failures().add(failure);
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Failures so far.
    pub(super) fn failed(&self) -> Vec<Failure> {
        self.failures().to_list()
    }
}

/// Whether a later run can succeed after a failure of this kind, because the operator fixed something or time has
/// passed. After other kinds it would fail again at the same position.
fn is_resumable_failure(kind: ErrorKind) -> bool {
    use ErrorKind::{Auth, Cancelled, CannotCreate, Displaced, Io, Unavailable};
    matches!(kind, Auth | Cancelled | CannotCreate | Displaced | Io | Unavailable)
}

fn log_failure(failure: &Failure) {
    let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    tracing::error!(instance = failure.instance, "{}{hint}", failure.message);
}

/// The first failures, and the number of further ones: an input that watches a directory can have any number.
#[derive(Debug, Default)]
struct Failures {
    list: Vec<Failure>,
    omitted: u64,
}

/// Maximum number of failures in the summary.
const MAX_SHOWN: usize = 100;

impl Failures {
    fn add(&mut self, failure: Failure) {
        // One failure of each exit code is always kept, because they determine the exit code of the run.
        let is_new_code = || self.list.iter().all(|listed| listed.exit_code != failure.exit_code);
        if self.list.len() < MAX_SHOWN || is_new_code() {
            self.list.push(failure);
        } else {
            self.omitted += 1;
        }
    }

    fn add_once(&mut self, failure: Failure) -> bool {
        let is_new = !self.list.contains(&failure);
        if is_new {
            self.add(failure);
        }
        is_new
    }

    fn to_list(&self) -> Vec<Failure> {
        let mut list = self.list.clone();
        if let (Some(first), 1..) = (self.list.first(), self.omitted) {
            let message = format!("{} more failures; see the log", self.omitted);
            let exit_code = first.exit_code;
            list.push(Failure { instance: "run".to_owned(), message, hint: None, exit_code });
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_counted_and_every_exit_code_is_kept() {
        let mut failures = Failures::default();
        for number in 0..1000 {
            failures.add(Failure::new("in", &PluginError::bad_data(number.to_string())));
        }
        failures.add(Failure::new("in", &PluginError::cancelled()));
        let list = failures.to_list();
        assert_eq!(list.len(), MAX_SHOWN + 2);
        assert_eq!(list[MAX_SHOWN].exit_code, 130);
        assert_eq!(list[MAX_SHOWN + 1].message, "900 more failures; see the log");
    }

    #[test]
    fn repeated_failure_is_recorded_once() {
        let mut failures = Failures::default();
        let failure = Failure::new("input", &PluginError::bug("damaged"));
        assert!(failures.add_once(failure.clone()) && !failures.add_once(failure));
    }
}
