//! One run of a pipeline with its saved state. Locks the pipeline, reads the checkpoint to resume from, runs the
//! pipeline and stores the result in the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scanbridge_observe::{PipelineView, RunEvent, ScheduleKeys, Totals};
use scanbridge_plugin_api::Purpose;

use crate::choice::{ChoiceOfRun, ChoiceStart, choice_of_run};
use crate::compare::RunComparison;
use crate::config::{IfRunning, Pipeline};
use crate::hello::{done_before, hello};
use crate::pipeline::{
    self, Failure, Head, OutputSummary, RunStatus, Settings, Stop, Summary, Trigger, Watchers,
};
use crate::plugins::{CallRecorder, Registry};
use crate::resume::{ResumePoint, before_open, resume_point, take_over};
use crate::state::{
    Checkpoint, Choice, DayCounts, Fingerprint, Ledger, Lock, RunRecord, RunState, StateError, StateFolder,
};

/// Options of one run, from the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether to start from the beginning instead of resuming an interrupted run.
    pub restart: bool,
    /// Whether to wait for another run of this pipeline to finish.
    pub wait: bool,
    /// Whether each input ends as soon as it has nothing to read now (like `until: idle`).
    pub once: bool,
    /// What started the run, for its summary.
    pub trigger: Trigger,
    /// Which instance of a pipeline with several, from 1; `None` for the first one.
    pub instance: Option<u32>,
}

/// Runs a checked pipeline once. `state` is the state directory of all pipelines. Continues the choice of an interrupted
/// run.
///
/// # Errors
/// When nothing was started: the pipeline is in use, its state cannot be used, or an instance could not be
/// opened.
pub fn run(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
    options: RunOptions,
    stop: &Arc<Stop>,
    watchers: &Watchers,
) -> Result<Summary, Vec<Failure>> {
    run_choice(pipeline, registry, state, (options, None), stop, watchers)
}

/// Like [`run`], but delivers only the chosen reports.
///
/// # Errors
/// As for [`run`], and when a run is interrupted that must be finished first.
pub(crate) fn run_choice(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
    (options, choice): (RunOptions, Option<Choice>),
    stop: &Arc<Stop>,
    watchers: &Watchers,
) -> Result<Summary, Vec<Failure>> {
    let folder = StateFolder::of(state, &pipeline.state_name());
    let waits = options.wait || pipeline.run.if_running == IfRunning::Wait;
    let _lock = lock(&folder, &pipeline.state_name(), waits, stop)?;
    let to_failures = |error: StateError| vec![Failure::of_state("state", &error)];
    let ledger = Ledger::open(&folder.ledger(), &pipeline.file).map_err(to_failures)?;
    let ledger = Arc::new(ledger);
    let fingerprint = Fingerprint::of(pipeline, registry);
    let is_continuous = pipeline.service.schedule == ScheduleKeys::Continuous;
    let chosen = choice_of_run(&ledger, choice, (options.restart, is_continuous)).map_err(to_failures)?;
    let ChoiceOfRun { choice, start: choice_start } = chosen;
    match choice_start {
        ChoiceStart::Done(run) => return Ok(done_before(pipeline, run, &ledger, choice, watchers)),
        // Nothing was delivered with it.
        ChoiceStart::New if !options.restart => {
            ledger.discard_checkpoint().map_err(to_failures)?;
        }
        ChoiceStart::Postponed if choice.is_none() && is_continuous => stop.request_at_report(),
        _ => {}
    }
    let resume = || resume_point(&ledger, pipeline, registry, &fingerprint, options.restart);
    // The output may know better where the run starts.
    let can_keep = pipeline::can_keep(pipeline, registry);
    let point = if can_keep { before_open(&ledger, options.restart) } else { resume() };
    let mut point = point.map_err(to_failures)?;
    let number = point.number;
    let recorder = record_calls(&folder);
    let start = |point: &ResumePoint| -> Result<Checkpoint, StateError> {
        let mut start = point.from.clone().unwrap_or_default();
        if choice_start == ChoiceStart::BetweenReports {
            start.positions.clear();
        }
        start.unconfirmed = ledger.unconfirmed()?;
        start.unconfirmed.retain(|id, _| pipeline.inputs.iter().any(|input| input.instance.id == *id));
        Ok(start)
    };
    // What was not chosen is not gone.
    let is_compared = pipeline.run.compare && choice.is_none();
    let comparison = is_compared.then(|| RunComparison::new(folder.path()));
    let mut settings = Settings {
        folder,
        from: start(&point).map_err(to_failures)?,
        ledger: Some(Arc::clone(&ledger)),
        run: number,
        recorder: recorder.clone(),
        purpose: Purpose::Run,
        reports: None,
        until_idle: options.once || pipeline.run.until_idle || choice.is_some(),
        choice: choice.clone(),
        discards: false,
        options_changed: point.options_changed.clone(),
        share: None,
        comparison: comparison.clone(),
    };
    let hello = hello(pipeline, number, ledger.totals().map_err(to_failures)?, choice.as_ref());
    watchers.notify(&hello);
    let mut keeper = None;
    if can_keep {
        let open = pipeline::open_keeper(pipeline, registry, &settings, stop, watchers)?;
        let mut kept = None;
        if let Some(loaded) = open.loaded() {
            let taken_over =
                take_over(&ledger, pipeline, registry, &fingerprint, (number, options.restart), loaded);
            let (about, at) = taken_over.map_err(to_failures)?;
            (kept, point, settings.share) = (Some(about), at, Some(loaded.share));
        } else {
            point = resume().map_err(to_failures)?;
        }
        settings.from = start(&point).map_err(to_failures)?;
        settings.options_changed.clone_from(&point.options_changed);
        keeper = Some((open, kept));
    }
    let opened = pipeline::build_with(pipeline, registry, settings, stop, keeper)?;
    let trigger = if choice.is_some() { Trigger::Choice } else { options.trigger };
    let head = Head::of(pipeline, trigger);
    let mut record = RunRecord {
        number,
        started: head.started.clone(),
        ended: None,
        state: RunState::Running,
        fingerprint,
        exit_code: None,
        findings: 0,
        choice,
    };
    ledger.begin(&record, point.from.as_ref()).map_err(to_failures)?;
    let (mut summary, mut result) = pipeline::run(opened, Arc::clone(stop), watchers);
    // What an interrupted or failed run has not read is not gone.
    let is_whole = result.state == RunState::Finished && summary.status != RunStatus::Failed;
    summary.compared = comparison.filter(|_| is_whole).and_then(|run| run.finish(number, today()));
    let digest = record.fingerprint.digest();
    summary.head = Head { run: Some(number), digest, ..head }.ended();
    record.state = result.state;
    record.ended = Some(summary.head.ended.clone());
    record.exit_code = Some(summary.exit_code());
    record.findings = summary.inputs.iter().map(|input| input.findings.total()).sum();
    let json = serde_json::to_vec(&summary).expect("a summary consists of strings and numbers");
    result.end.summary = Some((json, counts_of_day(&summary)));
    let mut event = summary.event();
    result.end.totals = Some(totals_after(&hello, &event));
    if let Err(error) = ledger.end(&record, &result.end) {
        summary.failures.push(Failure::of_state("state", &error));
        event = summary.event();
    }
    let outputs = pipeline.outputs.iter().map(|output| &output.instance.id);
    dead_letter_gauges(outputs, &ledger).iter().for_each(|gauge| watchers.notify(gauge));
    drop(recorder);
    // A call that hangs may keep the ledger in use.
    Arc::into_inner(ledger).into_iter().for_each(Ledger::close);
    watchers.notify(&event);
    Ok(summary)
}

/// Number and size of the dead letters of each output, for the watchers.
pub(crate) fn dead_letter_gauges<'a>(
    outputs: impl Iterator<Item = &'a String>,
    ledger: &Ledger,
) -> Vec<RunEvent> {
    let counts = ledger.dead_letter_counts().unwrap_or_else(|error| {
        tracing::warn!("the dead letters are not counted: {}", error.message);
        Vec::new()
    });
    let gauges = outputs.flat_map(|id| {
        let count = counts.iter().find(|count| count.stage.instance() == id);
        let (letters, bytes) = count.map_or((0, 0), |count| (count.letters, count.bytes));
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point numbers")]
        [("dead_letters", letters as f64), ("dead_letters_bytes", bytes as f64)]
            .map(|(name, value)| RunEvent::Gauge { instance: id.clone(), name: name.to_owned(), value })
    });
    gauges.collect()
}

/// The sums over all runs after this one.
fn totals_after(hello: &RunEvent, summary: &RunEvent) -> Totals {
    let mut view = PipelineView::default();
    let now = jiff::Timestamp::now().as_duration().as_secs_f64();
    [hello, summary].into_iter().for_each(|event| view.apply(event, now));
    view.totals
}

/// Days since 1970-01-01 in UTC.
fn today() -> u32 {
    u32::try_from(jiff::Timestamp::now().as_second() / 86_400).unwrap_or_default()
}

fn counts_of_day(summary: &Summary) -> DayCounts {
    let sum = |of: fn(&OutputSummary) -> u64| summary.outputs.iter().map(of).sum();
    let is = |status| u64::from(summary.status == status && !summary.interrupted);
    DayCounts {
        ok: is(RunStatus::Ok),
        partial: is(RunStatus::Partial),
        failed: is(RunStatus::Failed),
        interrupted: u64::from(summary.interrupted),
        findings: summary.inputs.iter().map(|input| input.findings.total()).sum(),
        delivered: sum(|output| output.records),
        rejected: sum(|output| output.rejected),
        undelivered: sum(|output| output.undelivered),
    }
}

/// Logs the plugin calls in which the last run was killed, if any, and starts to record the calls of this run.
pub(crate) fn record_calls(folder: &StateFolder) -> Option<Arc<CallRecorder>> {
    let path = folder.calls();
    for call in CallRecorder::read(&path) {
        tracing::warn!("the last run was killed or crashed while {} was in `{}`", call.instance, call.call);
    }
    let recorder = CallRecorder::create(&path);
    let log = |error| tracing::warn!("{}: cannot record plugin calls: {error}", path.display());
    recorder.map_err(log).ok().map(Arc::new)
}

/// Locks the pipeline. With `waits`, waits for another run to finish.
///
/// # Errors
/// When another run holds the lock, or the lock file cannot be used.
pub fn lock(folder: &StateFolder, pipeline: &str, waits: bool, stop: &Stop) -> Result<Lock, Vec<Failure>> {
    let to_failures = |error: StateError| vec![Failure::of_state("state", &error)];
    let mut is_logged = false;
    loop {
        let occupied = match Lock::take(folder).map_err(to_failures)? {
            Ok(lock) => return Ok(lock),
            Err(occupied) => occupied,
        };
        if !waits {
            return Err(to_failures(occupied.error(pipeline)));
        }
        if !std::mem::replace(&mut is_logged, true) {
            tracing::info!("waiting for another run of pipeline `{pipeline}` to finish: {occupied}");
        }
        if stop.wait(LOCK_POLL) || stop.ends_between_reports() {
            return Err(vec![Failure::interrupted("interrupted while waiting for another run to finish")]);
        }
    }
}

/// Locks the pipeline for a command that does not wait.
///
/// # Errors
/// When a run holds the lock, or the lock file cannot be used.
pub(crate) fn lock_now(folder: &StateFolder, pipeline: &str) -> Result<Lock, StateError> {
    Lock::take(folder)?.map_err(|occupied| StateError {
        hint: Some("stop that run or wait until it has finished, then repeat this command".to_owned()),
        ..occupied.error(pipeline)
    })
}

/// Interval between attempts to acquire the lock.
const LOCK_POLL: Duration = Duration::from_millis(250);
