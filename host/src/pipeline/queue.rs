//! The queue of an output: bounded by bytes and findings. It does not block other outputs when its output is
//! unavailable and optional.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::item::Item;
use super::stop::Stop;
use crate::config::{OnFull, QueueLimits};
use crate::plugins::context::Context;

/// The queue of one output: inputs add items, the output's thread takes them.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limits: QueueLimits,
    on_full: OnFull,
    required: bool,
    /// The instances that take from it.
    instances: Vec<&'static Context>,
    /// Whether a call of `wake` ends a wait for items.
    is_woken: bool,
    stop: Arc<Stop>,
    /// When the run began.
    started: Instant,
    /// Findings that were dropped.
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The items, each with the time at which it was added.
    items: VecDeque<(Item, Instant)>,
    bytes: u64,
    findings: u64,
    /// Whether no more items will be added.
    closed: bool,
    /// Whether no more items will be taken.
    abandoned: bool,
    /// Whether the output is being retried.
    unavailable: bool,
    /// Whether items are dropped because a call of the output is stalled.
    left_behind: bool,
    /// Time that inputs have waited in vain for a stalled call.
    waited: Duration,
    /// Whether findings of the current report were dropped.
    has_gap: bool,
    /// Whether the current report is dropped completely.
    skipping: bool,
    /// Time of the last log line about the full queue.
    logged_full: Option<Instant>,
}

/// What an output's thread takes.
#[derive(Debug)]
pub(super) enum Taken {
    /// The next item.
    Item(Item),
    /// Nothing: an instance has called `wake`.
    Woken,
}

/// What is in a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLoad {
    pub(super) findings: u64,
    pub(super) bytes: u64,
    pub(super) capacity_bytes: u64,
    /// When the oldest item was added.
    pub(super) oldest: Option<Instant>,
}

/// How often a waiting input checks whether the output is stalled.
const STALL_CHECK: Duration = Duration::from_millis(50);

/// How often a waiting output checks whether an instance has called `wake`.
const WAKE_CHECK: Duration = Duration::from_millis(200);

/// How long a call of an optional output may make no progress before the input does not wait for it any more. The other
/// outputs lose at most a twentieth of the time of the run by such waits, or little time.
fn patience(run: Duration, waited: Duration) -> Duration {
    (run / 20).saturating_sub(waited).clamp(Duration::from_millis(500), Duration::from_secs(2))
}

/// Interval of the log lines about a full queue.
const FULL_EVERY: Duration = Duration::from_secs(10);

/// Maximum number of starts, ends and barriers in the queue without findings between them.
const MAX_MARKS: usize = 4096;

impl Queue {
    pub(super) fn new(
        limits: QueueLimits,
        on_full: OnFull,
        required: bool,
        instances: Vec<&'static Context>,
        stop: Arc<Stop>,
    ) -> Self {
        let started = stop.now();
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limits,
            on_full,
            required,
            instances,
            is_woken: false,
            stop,
            started,
            missed: AtomicU64::new(0),
        }
    }

    /// Sets whether a call of `wake` ends a wait for items.
    pub(super) fn with_wake(self, is_woken: bool) -> Self {
        Self { is_woken, ..self }
    }

    /// Adds an item. Waits while the queue is full, unless findings may be dropped for this output. Returns whether an
    /// optional output is left behind from here on, because it accepts nothing.
    pub(super) fn put(&self, item: &Item) -> bool {
        let (bytes, findings) = item.size();
        let mut begun = None;
        let mut state = self.lock();
        loop {
            if !state.abandoned && state.has_capacity(bytes, findings, self.limits) {
                state.push(item.clone(), bytes, findings, self.stop.now());
                state.left_behind = false;
                drop(state);
                self.changed.notify_all();
                return false;
            }
            let left = self.patience_left(state.waited);
            let is_stalled = left.is_some_and(|left| left.is_zero());
            let is_unavailable = !self.required && state.unavailable;
            if state.abandoned || self.on_full == OnFull::Drop || is_unavailable || is_stalled {
                let is_new = is_stalled && !std::mem::replace(&mut state.left_behind, true);
                let now = self.stop.now();
                if let Some(begun) = begun.filter(|_| is_new) {
                    state.waited += now.saturating_duration_since(begun);
                }
                state.drop_item(item, now);
                drop(state);
                self.count_missed(item);
                return is_new;
            }
            self.log_full(&mut state);
            let now = self.stop.now();
            begun.get_or_insert(now);
            let check = |left| self.stop.clock().interval(STALL_CHECK, now + left);
            let longest = left.map_or(STALL_CHECK, check);
            let waited = self.changed.wait_timeout(state, longest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How long the input still waits for the call in progress, if it makes no progress. `None`: as long as it takes.
    fn patience_left(&self, waited: Duration) -> Option<Duration> {
        if self.required {
            return None;
        }
        let stalled = self.instances.iter().map(|instance| instance.stalled_for()).max().unwrap_or_default();
        Some(patience(self.stop.since(self.started), waited).saturating_sub(stalled))
    }

    /// Logs that the input waits, not more often than every ten seconds.
    fn log_full(&self, state: &mut State) {
        let now = self.stop.now();
        let is_due = |logged: Instant| now.saturating_duration_since(logged) >= FULL_EVERY;
        if state.logged_full.is_none_or(is_due) {
            state.logged_full = Some(now);
            let instance = self.instances.first().map(|instance| instance.instance());
            tracing::debug!(
                event = "queue_full",
                instance,
                queue_findings = state.findings,
                queue_bytes = state.bytes,
                "the queue is full ({} findings); the input waits",
                state.findings
            );
        }
    }

    /// Takes the next item; `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            if self.is_woken && self.instances.iter().any(|instance| instance.take_wake()) {
                return Some(Taken::Woken);
            }
            if let Some((item, _)) = state.items.pop_front() {
                let (bytes, findings) = item.size();
                state.bytes -= bytes;
                state.findings -= findings;
                drop(state);
                self.changed.notify_all();
                return Some(Taken::Item(item));
            }
            if state.closed || state.abandoned {
                return None;
            }
            state = if self.is_woken {
                self.changed.wait_timeout(state, WAKE_CHECK).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Closes the queue: no more items will be added.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Abandons the queue: waiting items and later ones are dropped.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        let items = std::mem::take(&mut state.items);
        drop(state);
        self.changed.notify_all();
        items.iter().for_each(|(item, _)| self.count_missed(item));
    }

    /// Sets whether the output is unavailable.
    pub(super) fn set_unavailable(&self, unavailable: bool) {
        self.lock().unavailable = unavailable;
        self.changed.notify_all();
    }

    /// Waits until the queue is closed, at most `longest`. Returns whether it is closed.
    pub(super) fn wait_closed(&self, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// What is in the queue.
    pub(super) fn load(&self) -> QueueLoad {
        let state = self.lock();
        QueueLoad {
            findings: state.findings,
            bytes: state.bytes,
            capacity_bytes: self.limits.bytes,
            oldest: state.items.front().map(|(_, added)| *added),
        }
    }

    /// Number of dropped findings.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Counts the findings of a dropped item. A batch that no output takes is validated here.
    fn count_missed(&self, item: &Item) {
        self.missed.fetch_add(item.findings(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One batch is always accepted, regardless of its size. The number of other items is limited too.
    fn has_capacity(&self, bytes: u64, findings: u64, limits: QueueLimits) -> bool {
        if self.skipping || self.items.len() >= MAX_MARKS {
            return false;
        }
        let is_mark = bytes == 0;
        is_mark
            || self.bytes == 0
            || (self.bytes + bytes <= limits.bytes && self.findings + findings <= limits.findings)
    }

    fn push(&mut self, item: Item, bytes: u64, findings: u64, now: Instant) {
        let item = match item {
            Item::Begin(begin) => {
                self.has_gap = false;
                Item::Begin(begin)
            }
            Item::End { end, .. } => Item::End { end, has_gap: self.has_gap },
            item => item,
        };
        self.bytes += bytes;
        self.findings += findings;
        self.items.push_back((item, now));
    }

    fn drop_item(&mut self, item: &Item, now: Instant) {
        match item {
            Item::Begin(_) => self.skipping = true,
            Item::Batch(_) => self.has_gap = true,
            Item::End { .. } if self.skipping => self.skipping = false,
            // The output has received the start of this report, so it receives the end even if the queue is full.
            Item::End { end, .. } if !self.abandoned => {
                self.items.push_back((Item::End { end: end.clone(), has_gap: self.has_gap }, now));
            }
            Item::End { .. } | Item::Mark(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_output_without_progress_costs_a_twentieth_of_the_run() {
        // Seconds of the run, seconds already waited in vain, and how long the input waits, in milliseconds.
        for (run, waited, expected) in [
            (0, 0, 500),
            (10, 0, 500),
            (20, 0, 1_000),
            (39, 0, 1_950),
            (40, 0, 2_000),
            (3_600, 0, 2_000),
            (40, 1, 1_000),
            (40, 2, 500),
            (100, 4, 1_000),
            (3_600, 170, 2_000),
            (3_600, 180, 500),
            (3_600, 7_200, 500),
        ] {
            let (run, waited) = (Duration::from_secs(run), Duration::from_secs(waited));
            assert_eq!(patience(run, waited).as_millis(), expected, "{run:?}, {waited:?}");
        }
    }
}
