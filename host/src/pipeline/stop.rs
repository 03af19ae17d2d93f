//! The stop request of a run, in two levels.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The level at which inputs end and outputs finish their queued items: the first signal, or a required output that
/// failed.
pub const DRAIN: u32 = 1;
/// The level at which every call ends: the second signal, or the end of the drain time.
pub const ABORT: u32 = 2;

/// A stop request that threads can wait for. Its level only rises.
#[derive(Debug, Default)]
pub struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    level: u32,
    /// When level [`DRAIN`] was reached.
    since: Option<Instant>,
}

impl Stop {
    /// Time for outputs to finish after the first request; then the second level is set. The run ends within ten
    /// seconds of the request.
    pub const DRAIN_TIME: Duration = Duration::from_secs(5);

    /// Requests the stop. May be called from any thread, any number of times.
    pub fn request(&self) {
        self.raise(DRAIN);
    }

    /// Requests that every call end now.
    pub fn abort(&self) {
        self.raise(ABORT);
    }

    /// Raises the level; a lower one changes nothing.
    pub fn raise(&self, level: u32) {
        if level == 0 {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.level = state.level.max(level);
        state.since.get_or_insert_with(Instant::now);
        drop(state);
        self.changed.notify_all();
    }

    /// Sets the second level when the drain time is over.
    pub fn abort_when_drained(&self) {
        let since = self.state.lock().unwrap_or_else(PoisonError::into_inner).since;
        if since.is_some_and(|since| since.elapsed() >= Self::DRAIN_TIME) {
            self.abort();
        }
    }

    /// The current level; 0 without a request.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).level
    }

    /// Whether a stop is requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.level() >= DRAIN
    }

    /// Waits for a stop request, at most for this time. Returns whether there is one.
    #[must_use]
    pub fn wait(&self, longest: Duration) -> bool {
        self.wait_above(0, longest, || 0) > 0
    }

    /// Waits until the level or the level from `own` is above `seen`, at most for this time. Returns the higher one
    /// of both.
    pub(crate) fn wait_above(&self, seen: u32, longest: Duration, own: impl Fn() -> u32) -> u32 {
        let end = Instant::now().checked_add(longest);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let level = state.level.max(own());
            // A time that the clock cannot represent means no limit.
            let left =
                end.map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
            if level > seen || left.is_zero() {
                return level;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Wakes all waiting threads after the condition that they wait for has changed.
    pub(crate) fn notify(&self) {
        drop(self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn wait_ends_after_its_time_or_with_the_signal() {
        let stop = Arc::new(Stop::default());
        assert!(!stop.wait(Duration::from_millis(1)));
        let waiting = thread::spawn({
            let stop = Arc::clone(&stop);
            move || stop.wait(Duration::MAX)
        });
        stop.request();
        assert!(waiting.join().unwrap());
        assert!(stop.is_requested() && stop.wait(Duration::MAX));
    }

    #[test]
    fn level_only_rises() {
        let stop = Stop::default();
        assert_eq!(stop.wait_above(0, Duration::ZERO, || 2), 2, "a level of its own counts");
        stop.abort();
        stop.request();
        stop.abort_when_drained();
        assert_eq!(stop.level(), ABORT);
        assert_eq!(stop.wait_above(1, Duration::MAX, || 0), ABORT);
    }
}
