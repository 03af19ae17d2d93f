//! The stop request of a run.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A signal that threads can wait for. It stays set.
#[derive(Debug, Default)]
pub struct Stop {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Sets the signal and wakes all waiting threads. May be called from any thread, any number of times.
    pub fn give(&self) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Whether the signal is set.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the signal, at most for this time. Returns whether it is set.
    #[must_use]
    pub fn wait(&self, longest: Duration) -> bool {
        let end = Instant::now().checked_add(longest);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        while !*given {
            // A time that the clock cannot represent means no limit.
            let left =
                end.map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            given = self.changed.wait_timeout(given, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *given
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
        stop.give();
        assert!(waiting.join().unwrap());
        assert!(stop.is_given() && stop.wait(Duration::MAX));
    }
}
