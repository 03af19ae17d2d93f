//! Starts the threads, waits for them and builds the summary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use scanbridge_observe::RunEvent;
use scanbridge_plugin_api::{ErrorKind, PluginError, Resume, StoredReport};

use super::build::{AbsentOutput, OpenInput, OpenOutput, OpenPipeline};
use super::checkpoint::{Checkpoints, Inputs, OutputIds, Unsettled};
use super::control::Control;
use super::input::{FrequentDefinitions, InputCounts, InputResult, InputThread, with_counts};
use super::output::OutputWorker;
use super::pulse::{Pulse, WatchedInput, WatchedOutput};
use super::queue::Queue;
use super::report_lock::ReportLock;
use super::run_thread::RunThread;
use super::stop::Stop;
use super::summary::{Failure, Head, InputSummary, OutputSummary, RunStatus, Summary};
use super::watch::Watchers;
use crate::exit_code::INTERRUPTED;
use crate::state::{EndOfRun, RunState};

/// Result of a run, for the ledger.
#[derive(Debug)]
pub struct RunResult {
    /// State of the run.
    pub state: RunState,
    /// What is to be stored with it.
    pub end: EndOfRun,
    /// Reports that every output has published, if their inputs were not informed.
    pub settled: Vec<StoredReport>,
}

/// Number of definitions in the summary.
const TOP_DEFINITIONS: usize = 20;

/// Runs the pipeline to its end. `stop` ends it early: data already read is delivered, and a later run resumes there.
/// A replay stores no checkpoints.
#[must_use]
pub fn run(mut opened: OpenPipeline, stop: Arc<Stop>, watchers: &Watchers) -> (Summary, RunResult) {
    let started = stop.now();
    let absent = std::mem::take(&mut opened.absent);
    let resumed: Vec<bool> = opened
        .inputs
        .iter()
        .map(|input| opened.settings.from.positions.contains_key(input.source.id()))
        .collect();
    let active_input = opened.settings.from.active_input.clone();
    let missing = outputs_without_substitute(&absent, &opened.outputs);
    let (control, checkpoints, workers) = prepare(&mut opened, stop, watchers, missing);
    for output in &absent {
        control.record_failure(output.failure.clone());
        tracing::warn!(
            instance = output.id,
            "this output is optional (required: no); the run continues \
             without it"
        );
    }
    let queues: Vec<Arc<Queue>> = workers.iter().map(|(_, worker)| Arc::clone(worker.queue())).collect();
    let outputs: Vec<WatchedOutput> =
        workers.iter().map(|(indexes, worker)| (indexes.clone(), Arc::clone(worker.live()))).collect();
    let mut pulse = pulse(&opened, outputs, &absent, &control, &checkpoints);
    let threads: Vec<_> =
        workers.into_iter().map(|(indexes, worker)| (indexes, start_output(worker))).collect();
    let results = read(opened, active_input.as_deref(), &queues, &control, &checkpoints, &mut pulse);
    queues.iter().for_each(|queue| queue.close());
    let summaries: Vec<_> =
        threads.into_iter().map(|(indexes, thread)| (indexes, join(thread, &mut pulse))).collect();
    for input in &pulse.inputs {
        for (_, report) in checkpoints.take_delivered(&input.id) {
            watchers.notify(&RunEvent::Report(report));
        }
    }
    pulse.finish();
    let mut outputs = Vec::new();
    for ((indexes, mut summaries), queue) in summaries.into_iter().zip(&queues) {
        let missed = queue.missed();
        if let Some(output) = summaries.first_mut().filter(|_| missed > 0) {
            output.undelivered += missed;
            control.findings_dropped(&output.id, missed);
        }
        outputs.extend(indexes.into_iter().zip(summaries));
    }
    let finished = results.iter().all(|read| read.finished);
    let stopped_idle = finished && results.iter().any(|read| read.stopped_idle);
    let mut definitions = FrequentDefinitions::default();
    let inputs = results.into_iter().zip(resumed).map(|(read, resumed)| {
        definitions.merge(read.counts.profile.definitions());
        let mut summary = read.summary;
        summary.resumed = resumed;
        let summary = with_counts(summary, &read.counts);
        if summary.invalid.total() > 0 {
            control.report_failed(&summary.id, &invalid_rows(&summary));
        }
        summary
    });
    let inputs: Vec<_> = inputs.collect();
    let top_definitions = definitions.top(TOP_DEFINITIONS);
    if inputs.iter().any(|input| input.resumed) {
        record_earlier_failures(&control, &checkpoints.unsettled(), &inputs, &outputs);
    }
    let failed = control.has_failed();
    let mut summary = summarize(inputs, outputs, absent, &control, started);
    summary.top_definitions = top_definitions;
    if stopped_idle && !failed {
        summary.stopped_idle = true;
        // Single reports and findings failed.
        let is_ok = summary.status == RunStatus::Ok;
        summary.status = if is_ok { RunStatus::Ok } else { RunStatus::Partial };
    }
    let state = match finished && !failed && checkpoints.is_everything_settled() {
        false if control.is_resumable() => RunState::Interrupted,
        _ => RunState::Finished,
    };
    let is_finished = state == RunState::Finished;
    summary.interrupted = !is_finished || summary.exit_code() == INTERRUPTED;
    let end = EndOfRun {
        since: checkpoints.since_checkpoint(is_finished),
        unconfirmed: checkpoints.unconfirmed(),
        dead_letters: if is_finished { checkpoints.dead_letter_ends() } else { BTreeMap::new() },
        summary: None,
        totals: None,
    };
    let inputs = 0..summary.inputs.len();
    let settled = inputs.filter_map(|input| checkpoints.take_notification(input));
    let settled = settled.flat_map(|stored| stored.reports).collect();
    checkpoints.release();
    (summary, RunResult { state, end, settled })
}

/// An output worker with the indexes of its outputs in the pipeline file.
type IndexedWorker = (Vec<usize>, OutputWorker);

fn prepare(
    opened: &mut OpenPipeline,
    stop: Arc<Stop>,
    watchers: &Watchers,
    absent: Vec<(String, String)>,
) -> (Arc<Control>, Arc<Checkpoints>, Vec<IndexedWorker>) {
    let from = std::mem::take(&mut opened.settings.from);
    let ids: Vec<String> = opened.inputs.iter().map(|input| input.source.id().to_owned()).collect();
    let contexts = opened.inputs.iter().filter_map(|input| input.source.context());
    let keys = contexts.map(|context| Arc::clone(context.keys())).collect();
    let faults = opened.inputs.iter().map(|input| Arc::clone(&input.faults)).collect();
    let has_checkpoints = opened.settings.has_checkpoints();
    let ledger = opened.settings.ledger.take().filter(|_| has_checkpoints);
    let first = from.active_input.as_ref().and_then(|id| ids.iter().position(|input| input == id));
    let pairs = pair_with_failover_outputs(std::mem::take(&mut opened.outputs));
    let control =
        Arc::new(Control::new(stop, ReportLock::new(first), watchers.clone(), pairs.len(), ledger.is_some()));
    let output_ids: Vec<OutputIds> = pairs.iter().map(output_ids).collect();
    let ahead: Vec<_> = output_ids.iter().map(|output| output.ahead(&from)).collect();
    let interval_bytes = opened.interval.bytes;
    let checkpoints = Checkpoints::new(
        ledger,
        from,
        Inputs { ids, keys, faults },
        output_ids,
        (opened.settings.run, absent),
        Arc::clone(&control.stop),
    );
    let checkpoints = Arc::new(checkpoints.with_kept(opened.kept.take()));
    let workers = pairs.into_iter().zip(ahead).enumerate().map(|(number, ((output, standby), ahead))| {
        let indexes =
            [output.index].into_iter().chain(standby.as_ref().map(|standby| standby.index)).collect();
        let shared = (Arc::clone(&control), Arc::clone(&checkpoints));
        (indexes, OutputWorker::new(number, output, standby, interval_bytes, shared, ahead))
    });
    let workers = workers.collect();
    (control, checkpoints, workers)
}

/// The outputs that could not be opened and that no other output replaces, with the error: they miss every report.
fn outputs_without_substitute(absent: &[AbsentOutput], opened: &[OpenOutput]) -> Vec<(String, String)> {
    let is_open = |id: &String| opened.iter().any(|output| output.destination.id() == id);
    let is_standby = |id: &String| opened.iter().any(|output| output.delivery.failover.as_ref() == Some(id));
    let missing = absent
        .iter()
        .filter(|output| !output.failover.as_ref().is_some_and(is_open) && !is_standby(&output.id));
    missing.map(|output| (output.id.clone(), output.failure.message.clone())).collect()
}

/// Pairs each output with its failover output, which has no worker of its own.
fn pair_with_failover_outputs(mut outputs: Vec<OpenOutput>) -> Vec<(OpenOutput, Option<OpenOutput>)> {
    let named: Vec<String> = outputs.iter().filter_map(|output| output.delivery.failover.clone()).collect();
    let is_standby = |output: &mut OpenOutput| named.iter().any(|id| id == output.destination.id());
    let mut standbys: Vec<OpenOutput> = outputs.extract_if(.., is_standby).collect();
    let pairs = outputs.into_iter().map(|output| {
        let standby = output.delivery.failover.as_ref().and_then(|id| {
            let index = standbys.iter().position(|standby| standby.destination.id() == id)?;
            Some(standbys.swap_remove(index))
        });
        (output, standby)
    });
    pairs.collect()
}

fn output_ids((output, standby): &(OpenOutput, Option<OpenOutput>)) -> OutputIds {
    let destinations =
        || [&output.destination].into_iter().chain(standby.iter().map(|standby| &standby.destination));
    OutputIds {
        ids: destinations().map(|destination| destination.id().to_owned()).collect(),
        resumes: destinations().all(|destination| destination.capabilities().resume != Resume::None),
        keys: destinations().map(|destination| Arc::clone(destination.context().keys())).collect(),
    }
}

fn start_output(worker: OutputWorker) -> RunThread<Vec<OutputSummary>> {
    RunThread::start(format!("to {}", worker.id()), move || worker.run())
}

/// The pulse of a run with these inputs and outputs.
fn pulse(
    opened: &OpenPipeline,
    outputs: Vec<WatchedOutput>,
    absent: &[AbsentOutput],
    control: &Arc<Control>,
    checkpoints: &Arc<Checkpoints>,
) -> Pulse {
    let input = |input: &OpenInput| WatchedInput {
        id: input.source.id().to_owned(),
        context: input.source.context(),
        counts: Arc::new(InputCounts::new(Arc::clone(&input.faults))),
    };
    let absent = absent.iter().map(|output| (output.index, output.id.clone())).collect();
    Pulse::new(
        opened.inputs.iter().map(input).collect(),
        outputs,
        absent,
        Arc::clone(checkpoints),
        Arc::clone(control),
    )
}

/// Waits for an output.
fn join(thread: RunThread<Vec<OutputSummary>>, pulse: &mut Pulse) -> Vec<OutputSummary> {
    pulse.until(|| thread.is_done());
    thread.join()
}

fn read(
    opened: OpenPipeline,
    active_input: Option<&str>,
    queues: &[Arc<Queue>],
    control: &Arc<Control>,
    checkpoints: &Arc<Checkpoints>,
    pulse: &mut Pulse,
) -> Vec<InputResult> {
    let interval = opened.interval;
    let comparison = opened.settings.comparison;
    let until_idle = opened.settings.until_idle;
    let threads: Vec<RunThread<InputResult>> = opened
        .inputs
        .into_iter()
        .enumerate()
        .map(|(number, input)| {
            let name = format!("from {}", input.source.id());
            let thread = InputThread {
                number,
                resumes_report: active_input == Some(input.source.id()),
                source: input.source,
                retry: input.retry,
                until_idle,
                interval,
                outputs: queues.to_vec(),
                control: Arc::clone(control),
                checkpoints: Arc::clone(checkpoints),
                counts: Arc::clone(&pulse.inputs[number].counts),
                comparison: comparison.clone(),
            };
            RunThread::start(name, move || thread.run())
        })
        .collect();
    pulse.until(|| threads.iter().all(RunThread::is_done));
    threads.into_iter().map(RunThread::join).collect()
}

/// Records what the interrupted part of the resumed reports lacks, if nothing of it happened again in this run: its own
/// run ended before it could.
fn record_earlier_failures(
    control: &Control,
    unsettled: &Unsettled,
    inputs: &[InputSummary],
    outputs: &[(usize, OutputSummary)],
) {
    let show = "`scanbridge dead-letters show` lists them";
    let failed = control.failed();
    let has_failed = |id: &String| failed.iter().any(|failure| failure.instance == *id);
    for (id, reports) in unsettled.missed.iter().filter(|(id, _)| !has_failed(id)) {
        let plural = if *reports == 1 { "" } else { "s" };
        let message = format!(
            "lacks findings of {reports} report{plural}, a part of which an interrupted run has read"
        );
        let error = PluginError::new(ErrorKind::Unavailable, message);
        control.record_failure(Failure::new(id, &error.with_hint(show)));
    }
    for input in inputs {
        let all = unsettled.invalid.get(&input.id).copied().unwrap_or_default();
        if all > input.invalid.total() {
            let message = format!("{all} invalid rows, some of which an interrupted run has read");
            control.record_failure(Failure::new(&input.id, &PluginError::bad_data(message).with_hint(show)));
        }
    }
    for (_, output) in outputs {
        let all = unsettled.rejected.get(&output.id).copied().unwrap_or_default();
        if all > output.rejected {
            let message = format!("rejected {all} findings, some of which an interrupted run has sent");
            let error = PluginError::new(ErrorKind::Rejected, message);
            control.record_failure(Failure::new(&output.id, &error.with_hint(show)));
        }
    }
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
        "the log has the first of them, and `scanbridge dead-letters show` all; their reports count as incomplete, so \
         outputs clear nothing",
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
    outputs.extend(absent.into_iter().map(|AbsentOutput { index, id, plugin, .. }| {
        (index, OutputSummary { id, plugin, undelivered, ..OutputSummary::default() })
    }));
    outputs.sort_by_key(|(index, _)| *index);
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
    let elapsed = control.stop.since(started);
    Summary { status, inputs, outputs, elapsed, ..Summary::without_instances(Head::default(), failures) }
}
