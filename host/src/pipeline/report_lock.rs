//! The report lock: reports of several inputs never interleave, because an input keeps the lock while it reads a
//! report.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Which input has the lock.
#[derive(Debug, Default)]
pub(super) struct ReportLock {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// The input that gets the lock first, because the last run was interrupted inside its report.
    first: Option<usize>,
}

/// Guard of the lock of one input.
#[derive(Debug)]
pub(super) struct ReportLockGuard<'a>(&'a ReportLock);

impl ReportLock {
    pub(super) fn new(first: Option<usize>) -> Self {
        Self { state: Mutex::new(State { taken: false, first }), free: Condvar::new() }
    }

    /// Waits for the lock.
    pub(super) fn take(&self, input: usize) -> ReportLockGuard<'_> {
        let state = self.lock();
        let waits = |state: &mut State| state.taken || state.first.is_some_and(|first| first != input);
        let mut state = self.free.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.taken = true;
        state.first = None;
        ReportLockGuard(self)
    }

    /// Records that this input has ended, so that the others no longer wait for it to go first.
    pub(super) fn leave(&self, input: usize) {
        let mut state = self.lock();
        state.first = state.first.filter(|first| *first != input);
        drop(state);
        self.free.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReportLockGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().taken = false;
        self.0.free.notify_all();
    }
}
