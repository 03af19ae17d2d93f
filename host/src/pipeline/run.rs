//! Starts the threads, waits for them and draws the summary.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use super::batch::{InputCounts, Item};
use super::control::Control;
use super::instance::{AbsentOutput, Built};
use super::progress::Progress;
use super::stop::Stop;
use super::summary::{InputSummary, OutputSummary, RunStatus, Summary};
use super::{input, output};

/// Batches that may wait before an output. With the batch size of the inputs that is some 1.5 MiB.
const QUEUE: usize = 4;

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
        let inputs: Vec<(InputSummary, Arc<InputCounts>)> =
            inputs.into_iter().map(|thread| thread.join().expect("an input's thread ends")).collect();
        let outputs =
            outputs.into_iter().map(|thread| thread.join().expect("an output's thread ends")).collect();
        progress.finish();
        // Only now have the outputs looked into every batch.
        let inputs =
            inputs.into_iter().map(|(summary, counts)| input::with_counts(summary, &counts)).collect();
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
    let undelivered = inputs.iter().map(|input| input.findings.total()).sum();
    outputs.extend(absent.into_iter().map(|AbsentOutput { place, id, plugin, .. }| {
        (place, OutputSummary { id, plugin, undelivered, ..OutputSummary::default() })
    }));
    outputs.sort_by_key(|(place, _)| *place);
    let outputs: Vec<OutputSummary> = outputs.into_iter().map(|(_, output)| output).collect();
    let (failures, required_failed) = control.into_failures();
    let delivered: u64 = outputs.iter().map(|output| output.records).sum();
    let lost: u64 = outputs.iter().map(|output| output.rejected + output.undelivered).sum();
    let status = if failures.is_empty() && lost == 0 {
        RunStatus::Ok
    } else if required_failed || delivered == 0 {
        RunStatus::Failed
    } else {
        RunStatus::Partial
    };
    Summary { status, inputs, outputs, failures, elapsed: started.elapsed() }
}
