//! The report lock: reports of several inputs never interleave, because an input keeps the lock while it reads a
//! report.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The input that holds the lock.
#[derive(Debug, Default)]
pub(super) struct ReportLock {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    locked: bool,
    /// The input that acquires the lock first, because the last run was interrupted inside its report.
    first: Option<usize>,
}

/// Guard of the lock of one input.
#[derive(Debug)]
pub(super) struct ReportLockGuard<'a>(&'a ReportLock);

impl ReportLock {
    pub(super) fn new(first: Option<usize>) -> Self {
        Self { state: Mutex::new(State { locked: false, first }), free: Condvar::new() }
    }

    /// Waits for the lock.
    pub(super) fn acquire(&self, input: usize) -> ReportLockGuard<'_> {
        let state = self.lock();
        let waits = |state: &mut State| state.locked || state.first.is_some_and(|first| first != input);
        let mut state = self.free.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.locked = true;
        state.first = None;
        ReportLockGuard(self)
    }

    /// Records that this input has ended, so that the others no longer wait for it to take the lock first.
    pub(super) fn input_ended(&self, input: usize) {
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
        self.0.lock().locked = false;
        self.0.free.notify_all();
    }
}
