//! Detects calls into a plugin that do not return.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::plugins::guard::{self, Caller};

/// The current call of one instance.
#[derive(Debug)]
pub(super) struct CallWatch {
    caller: &'static Caller,
    /// Milliseconds since the first call of all, plus one; 0 without a call.
    since: AtomicU64,
    call: Mutex<&'static str>,
    abandoned: AtomicBool,
}

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

impl CallWatch {
    pub(super) fn of(caller: &'static Caller) -> Self {
        Self { caller, since: AtomicU64::new(0), call: Mutex::default(), abandoned: AtomicBool::new(false) }
    }

    /// Makes a call that the watchdog can see.
    pub(super) fn during<T>(&self, call: &'static str, work: impl FnOnce() -> T) -> T {
        *self.call.lock().unwrap_or_else(PoisonError::into_inner) = call;
        let now = u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(now + 1, Ordering::Relaxed);
        let result = guard::during(self.caller, call, work);
        self.since.store(0, Ordering::Relaxed);
        result
    }

    /// The call in progress, and its duration so far.
    pub(super) fn busy(&self) -> Option<(&'static str, Duration)> {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        let call = *self.call.lock().unwrap_or_else(PoisonError::into_inner);
        Some((call, FIRST.elapsed().saturating_sub(Duration::from_millis(since))))
    }

    /// Resets the call's timer, after a progress report.
    pub(super) fn lives(&self) {
        let now = u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        // If the call has ended meanwhile, there is no timer to reset.
        let _ = self
            .since
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |since| (since != 0).then_some(now + 1));
    }

    /// Marks the call as abandoned: its result is ignored.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}
