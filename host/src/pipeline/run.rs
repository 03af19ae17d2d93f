//! Starts the threads, waits for them and makes the summary.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use scanbridge_plugin_api::PluginError;

use super::checkpoint::Checkpoints;
use super::control::Control;
use super::failover::FailoverState;
use super::input::{InputThread, Read, with_counts};
use super::instance::{AbsentOutput, Built, OpenOutput};
use super::lane::Lane;
use super::progress::Progress;
use super::queue::Queue;
use super::rate_limit::RateLimit;
use super::report_lock::ReportLock;
use super::retry_buffer::RetryBuffer;
use super::stop::Stop;
use super::summary::{InputSummary, OutputSummary, RunStatus, Summary};
use super::watchdog::{Watchdog, Watched};
use crate::state::{Ledger, RunState, SentReport};

/// How a run ended, for the ledger.
#[derive(Debug)]
pub struct Ending {
    /// State of the run.
    pub state: RunState,
    /// Reports that were delivered since the last checkpoint.
    pub reports: Vec<SentReport>,
}

/// Runs the pipeline to its end. `stop` ends it early: what was read is delivered, and with a ledger a later run
/// resumes there.
#[must_use]
pub fn run(
    mut built: Built,
    stop: Arc<Stop>,
    progress_bar: bool,
    ledger: Option<Arc<Ledger>>,
) -> (Summary, Ending) {
    let started = Instant::now();
    let absent = std::mem::take(&mut built.absent);
    let progress = Progress::of(&built.inputs, progress_bar);
    let resumed: Vec<bool> = built
        .inputs
        .iter()
        .map(|input| built.settings.from.positions.contains_key(input.source.id()))
        .collect();
    let (control, checkpoints, lanes) = prepare(&mut built, stop, ledger);
    for output in &absent {
        control.record_failure(output.failure.clone());
        tracing::warn!(
            instance = output.id,
            "this output is optional (required: no); the run continues \
             without it"
        );
    }
    let queues: Vec<Arc<Queue>> = lanes.iter().map(|(_, lane)| Arc::clone(&lane.queue)).collect();
    let first_places: Vec<usize> = lanes.iter().map(|(places, _)| places[0]).collect();
    let mut watchdog = Watchdog::new(Arc::clone(&control), Arc::clone(&checkpoints));
    let (said, results) = channel();
    for (place, lane) in lanes {
        watchdog.watch(Watched::of(&lane, &place));
        start_lane(place, lane, said.clone());
    }
    drop(said);
    let reads = read(built, &queues, &control, &checkpoints, progress, &mut watchdog);
    queues.iter().for_each(|queue| queue.close());
    let mut outputs = collect_results(&results, &mut watchdog);
    for (place, queue) in first_places.into_iter().zip(&queues) {
        let missed = queue.missed();
        let output = outputs.iter_mut().find(|(known, output)| *known == place && !output.hung);
        for (_, output) in output.into_iter().filter(|_| missed > 0) {
            output.undelivered += missed;
            control.findings_dropped(&output.id, missed);
        }
    }
    let finished = reads.iter().all(|read| read.finished);
    let inputs = reads.into_iter().zip(resumed).map(|(read, resumed)| {
        let mut summary = read.summary;
        summary.resumed = resumed;
        let summary = with_counts(summary, &read.counts);
        if summary.invalid.total() > 0 {
            control.input_failed(&summary.id, &invalid_rows(&summary));
        }
        summary
    });
    let inputs: Vec<_> = inputs.collect();
    let failed = control.has_failed();
    let summary = summarize(inputs, outputs, absent, &control, started);
    let state = match finished && !failed && checkpoints.is_everything_stored() {
        false if control.is_resumable() => RunState::Interrupted,
        _ => RunState::Finished,
    };
    let reports = checkpoints.unrecorded_reports();
    checkpoints.release();
    (summary, Ending { state, reports })
}

/// An output worker with the indexes of its outputs in the pipeline file.
type PlacedLane = (Vec<usize>, Lane);

fn prepare(
    built: &mut Built,
    stop: Arc<Stop>,
    ledger: Option<Arc<Ledger>>,
) -> (Arc<Control>, Arc<Checkpoints>, Vec<PlacedLane>) {
    let from = std::mem::take(&mut built.settings.from);
    let ids: Vec<String> = built.inputs.iter().map(|input| input.source.id().to_owned()).collect();
    let first = from.under_way.as_ref().and_then(|id| ids.iter().position(|known| known == id));
    let pairs = pair_with_standbys(std::mem::take(&mut built.outputs));
    let control = Arc::new(Control::new(stop, ReportLock::new(first), pairs.len(), ledger.is_some()));
    let lane_ids = pairs.iter().map(|(output, standby)| {
        let destinations = [&output.destination].into_iter().chain(standby.iter().map(|s| &s.destination));
        destinations.map(|destination| destination.id().to_owned()).collect()
    });
    let lane_ids = lane_ids.collect();
    let max_buffered = RetryBuffer::most(built.interval.bytes);
    let checkpoints = Arc::new(Checkpoints::new(ledger, from, ids, lane_ids));
    let lanes = pairs.into_iter().enumerate().map(|(number, (output, standby))| {
        let places =
            [output.place].into_iter().chain(standby.as_ref().map(|standby| standby.place)).collect();
        (places, lane(number, output, standby, max_buffered, &control, &checkpoints))
    });
    let lanes = lanes.collect();
    (control, checkpoints, lanes)
}

/// Each output with its failover output, which has no worker of its own.
fn pair_with_standbys(mut outputs: Vec<OpenOutput>) -> Vec<(OpenOutput, Option<OpenOutput>)> {
    let named: Vec<String> = outputs.iter().filter_map(|output| output.delivery.failover.clone()).collect();
    let is_standby = |output: &mut OpenOutput| named.iter().any(|id| id == output.destination.id());
    let mut standbys: Vec<OpenOutput> = outputs.extract_if(.., is_standby).collect();
    let pairs = outputs.into_iter().map(|output| {
        let standby = output.delivery.failover.as_ref().and_then(|id| {
            let place = standbys.iter().position(|standby| standby.destination.id() == id)?;
            Some(standbys.swap_remove(place))
        });
        (output, standby)
    });
    pairs.collect()
}

fn lane(
    number: usize,
    output: OpenOutput,
    standby: Option<OpenOutput>,
    max_buffered: u64,
    control: &Arc<Control>,
    checkpoints: &Arc<Checkpoints>,
) -> Lane {
    let OpenOutput { required, delivery, destination, refusal, .. } = output;
    let queue = Arc::new(Queue::new(delivery.queue, delivery.on_full, required));
    let standby = standby.map(|standby| standby.destination);
    // A failover output that was inside a report continues it; otherwise its part would never be ended.
    let delivers = standby.as_ref().is_some_and(|standby| standby.report_at_commit().is_some());
    Lane {
        number,
        primary: destination,
        away: delivers.then(|| FailoverState::until(Instant::now())),
        standby,
        required,
        delivery,
        queue,
        control: Arc::clone(control),
        checkpoints: Arc::clone(checkpoints),
        pending: RetryBuffer::default(),
        max_buffered,
        outage: None,
        pace: RateLimit::default(),
        refusal,
    }
}

/// Result of an output worker: its number, the indexes of its outputs in the pipeline file, and a summary for each.
type WorkerResult = (usize, Vec<usize>, Option<Vec<OutputSummary>>);

/// The thread is not joined: one that hangs in a plugin must not block the end of the process.
fn start_lane(places: Vec<usize>, lane: Lane, said: Sender<WorkerResult>) {
    let (number, name) = (lane.number, lane.primary.id().to_owned());
    let work = move || {
        let summaries = lane.run();
        // The receiver is gone if the worker was abandoned.
        let _ = said.send((number, places, summaries));
    };
    start(name, work);
}

fn start<T: Send + 'static>(name: String, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().name(name).spawn(work).expect("the system starts a thread")
}

fn read(
    built: Built,
    queues: &[Arc<Queue>],
    control: &Arc<Control>,
    checkpoints: &Arc<Checkpoints>,
    mut progress: Progress,
    watchdog: &mut Watchdog,
) -> Vec<Read> {
    let interval = built.interval;
    let threads: Vec<JoinHandle<Read>> = built
        .inputs
        .into_iter()
        .enumerate()
        .map(|(number, input)| {
            let name = input.source.id().to_owned();
            let thread = InputThread {
                number,
                source: input.source,
                retry: input.retry,
                interval,
                outputs: queues.to_vec(),
                control: Arc::clone(control),
                checkpoints: Arc::clone(checkpoints),
            };
            start(name, move || thread.run())
        })
        .collect();
    progress.until(|| {
        watchdog.look();
        threads.iter().all(JoinHandle::is_finished)
    });
    progress.finish();
    // The host's own threads do not panic; if one does, the run must not look successful.
    threads.into_iter().map(|thread| thread.join().expect("an input's thread ends")).collect()
}

/// Waits for the results of all output workers except abandoned ones.
fn collect_results(results: &Receiver<WorkerResult>, watchdog: &mut Watchdog) -> Vec<(usize, OutputSummary)> {
    let mut outputs = Vec::new();
    while watchdog.has_lanes() {
        match results.recv_timeout(Watchdog::TICK) {
            Ok((lane, places, summaries)) => {
                watchdog.ended(lane);
                outputs.extend(places.into_iter().zip(summaries.into_iter().flatten()));
            }
            Err(RecvTimeoutError::Timeout) => watchdog.look(),
            // The thread of an abandoned worker keeps its sender, so a thread of the host has panicked.
            Err(RecvTimeoutError::Disconnected) => unreachable!("an output's thread ends with its summary"),
        }
    }
    outputs.extend(watchdog.last_words());
    outputs
}

/// The failure of an input that sent invalid rows.
fn invalid_rows(summary: &InputSummary) -> PluginError {
    PluginError::bad_data(format!(
        "plugin {} sent {} invalid rows, which were delivered to no output ({})",
        summary.plugin,
        summary.invalid.total(),
        summary.invalid
    ))
    .with_hint(
        "the log has the first of them; reports with invalid rows count as incomplete, so outputs clear nothing",
    )
}

fn summarize(
    inputs: Vec<InputSummary>,
    mut outputs: Vec<(usize, OutputSummary)>,
    absent: Vec<AbsentOutput>,
    control: &Control,
    started: Instant,
) -> Summary {
    let undelivered: u64 = inputs.iter().map(|input| input.findings.total()).sum();
    outputs.extend(absent.into_iter().map(|AbsentOutput { place, id, plugin, .. }| {
        (place, OutputSummary { id, plugin, undelivered, ..OutputSummary::default() })
    }));
    for (_, output) in outputs.iter_mut().filter(|(_, output)| output.hung) {
        // An output that hangs cannot report what it lost.
        let known = output.records + output.filtered + output.rejected + output.diverted;
        output.undelivered = u64::saturating_sub(undelivered, known);
    }
    outputs.sort_by_key(|(place, _)| *place);
    let outputs: Vec<OutputSummary> = outputs.into_iter().map(|(_, output)| output).collect();
    let failures = control.failed();
    let delivered: u64 = outputs.iter().map(|output| output.records).sum();
    let lost: u64 = outputs.iter().map(|output| output.rejected + output.undelivered).sum();
    let status = if failures.is_empty() && lost == 0 {
        RunStatus::Ok
    } else if control.has_failed() || delivered == 0 {
        RunStatus::Failed
    } else {
        RunStatus::Partial
    };
    Summary { status, inputs, outputs, failures, elapsed: started.elapsed() }
}
