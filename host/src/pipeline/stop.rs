//! The stop request of a run, in two levels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::clock::{Clock, SystemClock, after};
use super::tap::Taps;

/// The level at which inputs end and outputs finish their queued items: the first signal, or a required output that
/// failed.
pub const DRAIN: u32 = 1;
/// The level at which every call ends: the second signal, or the end of the drain time.
pub const ABORT: u32 = 2;

/// What is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// End at this level.
    Stop(u32),
    /// End at the end of the report.
    StopAtReport,
    /// Log one line of statistics.
    Statistics,
}

/// A stop request that threads can wait for, by the clock of the run. Its level only rises. It also carries the other
/// requests to a run: a stop at the end of the report, a line of statistics, and samples of what outputs write.
#[derive(Debug)]
pub struct Stop {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
    at_report: AtomicBool,
    statistics: AtomicBool,
    taps: Taps,
}

#[derive(Debug, Default)]
struct State {
    level: u32,
    /// When level [`DRAIN`] was reached.
    since: Option<Instant>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl Stop {
    /// No stop request yet, in a run with this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
            at_report: AtomicBool::new(false),
            statistics: AtomicBool::new(false),
            taps: Taps::default(),
        }
    }

    /// The clock of the run.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The current time of the run.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Time since this time.
    pub(crate) fn since(&self, time: Instant) -> Duration {
        self.now().saturating_duration_since(time)
    }

    /// Time for outputs to finish after the first request; then the second level is set. The run ends within ten
    /// seconds of the request.
    pub const DRAIN_TIME: Duration = Duration::from_secs(5);

    /// Passes on a request.
    pub fn apply(&self, asked: Asked) {
        match asked {
            Asked::Stop(level) => self.raise(level),
            Asked::StopAtReport => self.request_at_report(),
            Asked::Statistics => self.request_statistics(),
        }
    }

    /// Requests the stop. May be called from any thread, any number of times.
    pub fn request(&self) {
        self.raise(DRAIN);
    }

    /// Requests that every call end now.
    pub fn abort(&self) {
        self.raise(ABORT);
    }

    /// Requests that each input end at the end of its current report. Everything that was read is delivered.
    pub fn request_at_report(&self) {
        self.at_report.store(true, Ordering::Relaxed);
        self.notify();
    }

    /// Whether an input without an open report is to end: a stop is requested, at once or at the end of a report.
    #[must_use]
    pub fn ends_between_reports(&self) -> bool {
        self.at_report.load(Ordering::Relaxed) || self.is_requested()
    }

    /// Requests one line of statistics.
    pub fn request_statistics(&self) {
        self.statistics.store(true, Ordering::Relaxed);
    }

    /// Whether a line of statistics was requested since the last call.
    pub(crate) fn take_statistics(&self) -> bool {
        self.statistics.swap(false, Ordering::Relaxed)
    }

    /// Requests for samples of what outputs write.
    pub(crate) fn taps(&self) -> &Taps {
        &self.taps
    }

    /// Raises the level; a lower one changes nothing.
    pub fn raise(&self, level: u32) {
        if level == 0 {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.level = state.level.max(level);
        state.since.get_or_insert_with(|| self.clock.now());
        drop(state);
        self.changed.notify_all();
    }

    /// Sets the second level when the drain time is over.
    pub fn abort_when_drained(&self) {
        let since = self.state.lock().unwrap_or_else(PoisonError::into_inner).since;
        if since.is_some_and(|since| self.clock.until(since + Self::DRAIN_TIME).is_zero()) {
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

    /// For an input between two reports: waits for a request to end until this time, at most for one `interval`. Returns
    /// whether there is one.
    #[must_use]
    pub(crate) fn wait_interval(&self, end: Instant, interval: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = self.clock.until(end).min(interval);
        let waits = |state: &mut State| state.level < DRAIN && !self.at_report.load(Ordering::Relaxed);
        let waited = self.changed.wait_timeout_while(state, longest, waits);
        drop(waited);
        self.ends_between_reports()
    }

    /// Waits until the level or the level from `own` is above `seen`, at most for this time. Returns the higher one
    /// of both.
    pub(crate) fn wait_above(&self, seen: u32, longest: Duration, own: impl Fn() -> u32) -> u32 {
        let end = after(self.now(), longest);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let level = state.level.max(own());
            let left = self.clock.until(end);
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
    fn stop_at_the_end_of_a_report_ends_only_what_is_between_reports() {
        let stop = Stop::default();
        assert!(!stop.ends_between_reports());
        stop.apply(Asked::StopAtReport);
        assert!(stop.ends_between_reports() && !stop.is_requested());
        assert!(stop.wait_interval(stop.now() + Duration::from_secs(3600), Duration::from_secs(3600)));
        stop.apply(Asked::Statistics);
        assert!(stop.take_statistics() && !stop.take_statistics());
        stop.apply(Asked::Stop(DRAIN));
        assert!(stop.is_requested());
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
