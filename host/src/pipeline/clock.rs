//! The time of a run. Tests drive a clock of their own, so they wait for no pause and for no time limit.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Tells the time, and how long a thread may wait before it must read the time again.
pub trait Clock: Debug + Send + Sync {
    /// The current time.
    fn now(&self) -> Instant;

    /// How long a thread that waits for this time may block; zero when the time has come.
    fn until(&self, time: Instant) -> Duration;

    /// How long a thread may block that checks a call with this time limit in intervals of `interval`.
    fn interval(&self, interval: Duration, limit: Instant) -> Duration;
}

/// The clock of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn until(&self, time: Instant) -> Duration {
        time.saturating_duration_since(Instant::now())
    }

    fn interval(&self, interval: Duration, _limit: Instant) -> Duration {
        interval
    }
}

/// The time after `now` by this much. A time that cannot be represented is replaced by one that is never reached.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or_else(|| now + CENTURY)
}

const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
