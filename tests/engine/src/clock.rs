//! A clock that a test drives.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use scanbridge::pipeline::Clock;

/// A clock that does not run by itself: a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Instant,
    /// Times that threads wait for.
    waits: BTreeSet<Instant>,
    /// Time limits of calls in progress.
    limits: BTreeSet<Instant>,
}

/// A waiting thread reads the clock again after this real time.
const READ_EVERY: Duration = Duration::from_millis(1);

/// Waits beyond this time have no end.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);

impl Default for ManualClock {
    fn default() -> Self {
        let state = State { now: Instant::now(), waits: BTreeSet::new(), limits: BTreeSet::new() };
        Self { state: Mutex::new(state) }
    }
}

impl ManualClock {
    /// Moves the clock by this time.
    pub fn advance(&self, time: Duration) {
        let mut state = self.lock();
        let now = state.now + time;
        state.move_to(now);
    }

    /// Moves the clock to the next time that a thread waits for; with `limits`, also to the next time limit of a call.
    /// Returns whether there is one.
    pub fn advance_to_next(&self, limits: bool) -> bool {
        let mut state = self.lock();
        let end = state.now + ENDLESS;
        let limit = state.limits.first().filter(|_| limits);
        let next = state.waits.first().into_iter().chain(limit).min().copied();
        let next = next.filter(|next| *next < end);
        if let Some(next) = next {
            state.move_to(next);
        }
        next.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn move_to(&mut self, now: Instant) {
        self.now = self.now.max(now);
        // Threads that still wait name their times again.
        self.waits.clear();
        self.limits.clear();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn until(&self, time: Instant) -> Duration {
        let mut state = self.lock();
        if time <= state.now {
            return Duration::ZERO;
        }
        state.waits.insert(time);
        READ_EVERY
    }

    fn interval(&self, interval: Duration, limit: Instant) -> Duration {
        self.lock().limits.insert(limit);
        interval.min(READ_EVERY)
    }
}

/// Moves a clock to the next time whenever the threads have had a little real time. Stops when it is dropped.
#[derive(Debug)]
pub struct Driver {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Real time between two movements.
    const PAUSE: Duration = Duration::from_millis(20);

    /// Real time without a movement after which calls in progress count as hanging.
    const HANGS_AFTER: Duration = Duration::from_secs(1);

    /// Drives this clock; with `limits`, calls that hang reach their time limits.
    #[must_use]
    pub fn start(clock: Arc<ManualClock>, limits: bool) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let mut moved = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(Self::PAUSE);
                if clock.advance_to_next(limits && moved.elapsed() >= Self::HANGS_AFTER) {
                    moved = Instant::now();
                }
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
