//! Starts the threads, waits for them and draws the summary.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use scanbridge_plugin_api::batch::BadBatch;
use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::batch::InputCounts;
use super::input;
use super::instance::{AbsentOutput, Built};
use super::output::{self, Item};
use super::progress::Progress;
use super::stop::Stop;
use super::summary::{Failure, InputSummary, OutputSummary, RunStatus, Summary};

/// Batches that may wait before an output. With the batch size of the inputs that is some 1.5 MiB.
const QUEUE: usize = 4;

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop: Arc<Stop>,
    /// Held by the input whose report is under way.
    pub(super) turn: Mutex<()>,
    failures: Mutex<Vec<Failure>>,
    required_failed: AtomicBool,
    live_outputs: AtomicUsize,
    inputs: Mutex<Vec<(InputSummary, Arc<InputCounts>)>>,
}

impl Control {
    fn new(stop: Arc<Stop>, outputs: usize) -> Self {
        Self {
            stop,
            turn: Mutex::new(()),
            failures: Mutex::default(),
            required_failed: AtomicBool::new(false),
            live_outputs: AtomicUsize::new(outputs),
            inputs: Mutex::default(),
        }
    }

    pub(super) fn input_failed(&self, id: &str, error: &PluginError) {
        // Inputs that end because a required output failed have not failed themselves.
        if error.kind == ErrorKind::Cancelled && self.required_failed.load(Ordering::Relaxed) {
            return;
        }
        self.record(id, error);
    }

    /// Records an output's failure. The others go on, unless this one was required or the last.
    pub(super) fn output_failed(&self, id: &str, required: bool, error: &PluginError) {
        self.record(id, error);
        let last = self.live_outputs.fetch_sub(1, Ordering::Relaxed) == 1;
        if required || last {
            self.required_failed.store(true, Ordering::Relaxed);
            self.stop.give();
        } else {
            tracing::warn!(instance = id, "this output is not required: the others go on without it");
        }
    }

    /// An input sent what is no batch. Every output finds this out; the first one to do so says it.
    pub(super) fn broken_batch(&self, path: &str, bad: &BadBatch) -> Result<(), PluginError> {
        let message = format!("the input sent a damaged batch while reading {path}: {bad}");
        let known =
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|f| f.message == message);
        if !known {
            self.required_failed.store(true, Ordering::Relaxed);
            self.record("input", &PluginError::bug(message));
            self.stop.give();
        }
        Ok(())
    }

    pub(super) fn counts_of_input(&self, summary: InputSummary, counts: Arc<InputCounts>) -> InputSummary {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).push((summary.clone(), counts));
        summary
    }

    fn record(&self, id: &str, error: &PluginError) {
        self.record_failure(Failure::new(id, error));
    }

    fn record_failure(&self, failure: Failure) {
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        tracing::error!(instance = failure.instance, "{}{hint}", failure.message);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }
}

/// Runs the pipeline to its end. `stop` ends it early: what was read is finished, nothing new is begun.
#[must_use]
pub fn run(mut built: Built, stop: Arc<Stop>, progress_bar: bool) -> Summary {
    let started = Instant::now();
    let control = Control::new(stop, built.outputs.len());
    let progress = Progress::of(&built.inputs, progress_bar);
    let absent = std::mem::take(&mut built.absent);
    for output in &absent {
        control.record_failure(output.failure.clone());
        tracing::warn!(instance = output.id, "this output is not required: the others go on without it");
    }
    let (inputs, outputs) = run_threads(built, &control, progress);
    summarise(inputs, outputs, absent, control, started)
}

fn run_threads(
    built: Built,
    control: &Control,
    mut progress: Progress,
) -> (Vec<InputSummary>, Vec<(usize, OutputSummary)>) {
    let queues: Vec<(SyncSender<Item>, Receiver<Item>)> =
        built.outputs.iter().map(|_| sync_channel(QUEUE)).collect();
    let senders: Vec<SyncSender<Item>> = queues.iter().map(|(sender, _)| sender.clone()).collect();
    thread::scope(|scope| {
        let outputs: Vec<_> = built
            .outputs
            .into_iter()
            .zip(queues)
            .map(|(output, (_, items))| {
                let place = output.place;
                named(scope, &output.id.clone(), move || (place, output::run(output, &items, control)))
            })
            .collect();
        let inputs: Vec<_> = built
            .inputs
            .into_iter()
            .map(|input| {
                let senders = senders.clone();
                named(scope, &input.id.clone(), move || input::run(input, senders, control))
            })
            .collect();
        drop(senders);
        progress.until(|| inputs.iter().all(thread::ScopedJoinHandle::is_finished));
        // The host's own threads do not panic; if one does, the run must not look like a success.
        let inputs =
            inputs.into_iter().map(|thread| thread.join().expect("an input's thread ends")).collect();
        let outputs =
            outputs.into_iter().map(|thread| thread.join().expect("an output's thread ends")).collect();
        progress.finish();
        (inputs, outputs)
    })
}

fn named<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    id: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> thread::ScopedJoinHandle<'scope, T> {
    thread::Builder::new().name(id.to_owned()).spawn_scoped(scope, work).expect("the system starts a thread")
}

fn summarise(
    inputs: Vec<InputSummary>,
    mut outputs: Vec<(usize, OutputSummary)>,
    absent: Vec<AbsentOutput>,
    control: Control,
    started: Instant,
) -> Summary {
    let counts = control.inputs.into_inner().unwrap_or_else(PoisonError::into_inner);
    let inputs: Vec<InputSummary> = inputs
        .into_iter()
        .map(|summary| match counts.iter().find(|(counted, _)| counted.id == summary.id) {
            Some((_, counts)) => input::with_counts(summary, counts),
            None => summary,
        })
        .collect();
    let undelivered = inputs.iter().map(|input| input.findings.total()).sum();
    outputs.extend(absent.into_iter().map(|AbsentOutput { place, id, plugin, .. }| {
        (place, OutputSummary { id, plugin, undelivered, ..OutputSummary::default() })
    }));
    outputs.sort_by_key(|(place, _)| *place);
    let outputs: Vec<OutputSummary> = outputs.into_iter().map(|(_, output)| output).collect();
    let failures = control.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let delivered: u64 = outputs.iter().map(|output| output.records).sum();
    let lost: u64 = outputs.iter().map(|output| output.rejected + output.undelivered).sum();
    let status = match (failures.is_empty(), control.required_failed.into_inner() || delivered == 0) {
        (true, _) if lost == 0 => RunStatus::Ok,
        (false, true) => RunStatus::Failed,
        _ => RunStatus::Partial,
    };
    Summary { status, inputs, outputs, failures, elapsed: started.elapsed() }
}
