//! What an output does at this moment, for the watchers of the run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use scanbridge_observe::{Counts, OutputState, OutputTick};

use super::account::LiveCounts;
use super::failover::Pair;
use crate::pipeline::queue::Queue;
use crate::plugins::context::Context;

/// The state of an output worker: an output and its failover output.
#[derive(Debug)]
pub(in crate::pipeline) struct LiveOutput {
    outputs: Vec<(String, &'static Context)>,
    queue: Arc<Queue>,
    state: Mutex<LiveState>,
}

/// What only the thread of the output knows.
#[derive(Debug, Default)]
struct LiveState {
    /// The counts of each output at its last commit.
    counts: Vec<LiveCounts>,
    /// How long the calls of each output took.
    durations: Vec<Counts>,
    state: OutputState,
    circuit_open: bool,
}

/// Time without progress of a call after which its output counts as slow.
const STALLED: Duration = Duration::from_secs(2);

impl LiveOutput {
    pub(super) fn new(outputs: Vec<(String, &'static Context)>, queue: Arc<Queue>) -> Self {
        let counts = vec![LiveCounts::default(); outputs.len()];
        let durations = vec![Counts::default(); outputs.len()];
        let state = Mutex::new(LiveState { counts, durations, ..LiveState::default() });
        Self { outputs, queue, state }
    }

    /// Publishes the state of the worker, and the counts of its outputs at their last commit.
    pub(super) fn show(&self, pair: &Pair, state: OutputState, circuit_open: bool) {
        let mut live = self.lock();
        for (index, destination) in [&pair.primary].into_iter().chain(&pair.standby).enumerate() {
            live.counts[index] = live.counts[index].at_least(destination.live_counts());
            live.durations[index] = destination.durations();
        }
        (live.state, live.circuit_open) = (state, circuit_open);
    }

    /// The host's side of each output.
    pub(in crate::pipeline) fn contexts(&self) -> impl Iterator<Item = &'static Context> {
        self.outputs.iter().map(|(_, context)| *context)
    }

    /// The current state of each output.
    pub(in crate::pipeline) fn ticks(&self, now: Instant) -> Vec<OutputTick> {
        let live = self.lock();
        let load = self.queue.load();
        let diverted = live.counts.get(1).map_or(0, LiveCounts::handled);
        let ticks =
            self.outputs.iter().zip(&live.counts).enumerate().map(|(index, ((id, context), counts))| {
                let is_standby = index > 0;
                let state = match live.state {
                    OutputState::Ok if context.stalled_for() >= STALLED => OutputState::Slow,
                    OutputState::Diverted if is_standby => OutputState::Ok,
                    state => state,
                };
                let mut tick = OutputTick { id: id.clone(), state, ..OutputTick::default() };
                let named = [
                    ("records", counts.records),
                    ("filtered", counts.filtered),
                    ("rejected", counts.rejected),
                    ("undelivered", counts.undelivered),
                    ("retried", counts.retried),
                    ("derived", counts.derived),
                    ("bytes", counts.bytes),
                    ("diverted", if is_standby { 0 } else { diverted }),
                ];
                tick.counts.clone_from(&live.durations[index]);
                tick.counts.extend(named.into_iter().map(|(name, count)| (name.to_owned(), count)));
                // The worker has one queue, shown at the output that the pipeline names.
                if !is_standby {
                    tick.queue_findings = load.findings;
                    tick.queue_bytes = load.bytes;
                    tick.queue_capacity_bytes = load.capacity_bytes;
                    tick.circuit_open = live.circuit_open;
                    tick.oldest_unsent = load.oldest.map(|oldest| ago(now.saturating_duration_since(oldest)));
                }
                tick
            });
        ticks.collect()
    }

    fn lock(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day this long ago, in UTC.
fn ago(time: Duration) -> String {
    let then = SignedDuration::try_from(time).ok().and_then(|time| Timestamp::now().checked_sub(time).ok());
    then.unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
