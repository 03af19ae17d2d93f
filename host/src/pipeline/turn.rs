//! Reports of several inputs never interleave: an input has the turn while its report is under way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turn {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// The input that goes first, for its report was under way when the last run was interrupted.
    first: Option<usize>,
}

/// The turn of one input, until it is dropped.
#[derive(Debug)]
pub(super) struct Holder<'a>(&'a Turn);

impl Turn {
    pub(super) fn new(first: Option<usize>) -> Self {
        Self { state: Mutex::new(State { taken: false, first }), free: Condvar::new() }
    }

    /// Waits for the turn.
    pub(super) fn take(&self, input: usize) -> Holder<'_> {
        let state = self.lock();
        let waits = |state: &mut State| state.taken || state.first.is_some_and(|first| first != input);
        let mut state = self.free.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.taken = true;
        state.first = None;
        Holder(self)
    }

    /// This input has ended: nobody need let it go first.
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

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.0.lock().taken = false;
        self.0.free.notify_all();
    }
}
