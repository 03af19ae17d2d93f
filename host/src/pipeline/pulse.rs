//! The pulse of a run: tells the watchers what the inputs and outputs do, while the run waits for its threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_observe::{OutputState, OutputTick, RunEvent, Tick};

use super::checkpoint::Checkpoints;
use super::control::Control;
use super::input::{InputCounts, tick};
use super::output::LiveOutput;
use super::run_log::log_statistics;
use super::summary::Failure;
use crate::plugins::context::Context;

/// Interval of ticks while counts change.
const BUSY: Duration = Duration::from_secs(1);
/// Interval of ticks otherwise: a sign that the run is alive.
const QUIET: Duration = Duration::from_secs(10);
/// How often the run looks at its state, unless one of its threads ends and wakes it.
const LOOK: Duration = Duration::from_millis(100);

/// An input that is watched.
pub(super) struct WatchedInput {
    pub(super) id: String,
    pub(super) context: Option<&'static Context>,
    pub(super) counts: Arc<InputCounts>,
}

/// An output worker that is watched, with the indexes of its outputs in the pipeline file.
pub(super) type WatchedOutput = (Vec<usize>, Arc<LiveOutput>);

/// Follows the threads of a run.
pub(super) struct Pulse {
    pub(super) inputs: Vec<WatchedInput>,
    outputs: Vec<WatchedOutput>,
    /// Outputs that could not be opened, with their index in the pipeline file.
    absent: Vec<(usize, String)>,
    checkpoints: Arc<Checkpoints>,
    control: Arc<Control>,
    /// The last tick, and when it was sent.
    last: Tick,
    sent: Instant,
    /// When the next tick is due, if counts have changed.
    next: Instant,
    /// The last values of metrics, by instance and name.
    gauges: BTreeMap<(String, String), f64>,
    /// Number of checkpoints of which the watchers know.
    written: u64,
}

impl Pulse {
    pub(super) fn new(
        inputs: Vec<WatchedInput>,
        outputs: Vec<WatchedOutput>,
        absent: Vec<(usize, String)>,
        checkpoints: Arc<Checkpoints>,
        control: Arc<Control>,
    ) -> Self {
        let (last, sent, gauges) = (Tick::default(), control.stop.now(), BTreeMap::new());
        Self { inputs, outputs, absent, checkpoints, control, last, sent, next: sent, gauges, written: 0 }
    }

    /// Waits until `done` returns true. Also ends the drain time of a run that is being stopped.
    pub(super) fn until(&mut self, done: impl Fn() -> bool) {
        while !done() {
            self.control.stop.abort_when_drained();
            thread::park_timeout(LOOK);
            self.beat();
        }
    }

    /// The last tick of the run.
    pub(super) fn finish(&mut self) {
        self.add_panics();
        self.send(self.tick());
    }

    /// Adds panics in threads of the plugins' own to the failures of the run.
    fn add_panics(&self) {
        for context in self.contexts() {
            for panic in context.take_panics() {
                self.control.record_failure(Failure::new(context.instance(), &panic));
            }
        }
    }

    fn contexts(&self) -> Vec<&'static Context> {
        let inputs = self.inputs.iter().filter_map(|input| input.context);
        inputs.chain(self.outputs.iter().flat_map(|(_, live)| live.contexts())).collect()
    }

    fn beat(&mut self) {
        self.add_panics();
        if self.control.stop.take_statistics() {
            let tick = self.tick();
            log_statistics(&tick);
            return self.send(tick);
        }
        let now = self.control.stop.now();
        if now < self.next {
            return;
        }
        self.next = now + BUSY;
        let tick = self.tick();
        if tick != self.last || self.control.stop.since(self.sent) >= QUIET {
            self.send(tick);
        }
    }

    fn tick(&self) -> Tick {
        let now = self.control.stop.now();
        let inputs = self.inputs.iter().map(|input| tick(&input.id, &input.counts, input.context));
        let mut outputs: Vec<(usize, OutputTick)> = Vec::new();
        for (indexes, live) in &self.outputs {
            outputs.extend(indexes.iter().copied().zip(live.ticks(now)));
        }
        outputs.extend(self.absent.iter().map(|(index, id)| {
            (*index, OutputTick { id: id.clone(), state: OutputState::Failed, ..OutputTick::default() })
        }));
        outputs.sort_by_key(|(index, _)| *index);
        Tick { inputs: inputs.collect(), outputs: outputs.into_iter().map(|(_, output)| output).collect() }
    }

    fn send(&mut self, tick: Tick) {
        let (written, at) = self.checkpoints.last_written();
        if written != std::mem::replace(&mut self.written, written) {
            self.control.watchers.notify(&RunEvent::Checkpoint { at });
        }
        for context in self.contexts() {
            for metric in context.metrics().to_list() {
                let key = (context.instance().to_owned(), metric.name);
                if self.gauges.get(&key) != Some(&metric.value) {
                    let (instance, name) = key.clone();
                    self.control.watchers.notify(&RunEvent::Gauge { instance, name, value: metric.value });
                    self.gauges.insert(key, metric.value);
                }
            }
        }
        self.sent = self.control.stop.now();
        let event = RunEvent::Tick(tick);
        self.control.watchers.notify(&event);
        if let RunEvent::Tick(tick) = event {
            self.last = tick;
        }
    }
}
