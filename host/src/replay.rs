//! Replay: resends dead letters to their outputs, in the order in which they were written. A dead letter is removed
//! when its output has committed and published it, and written again when it is rejected again. If the output becomes
//! unavailable, or the replay is killed, the rest are kept.
//!
//! Reports that an output has missed are read again, if their input can do that, and sent to that output alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::{ErrorKind, Outcome, PluginError, PluginKind, Purpose, ReportKey, Rereads};

use crate::config::Pipeline;
use crate::pipeline::{self, Failure, Head, OpenPipeline, RunResult, Settings, Stop, Summary, Watchers};
use crate::plugins::Registry;
use crate::session;
use crate::state::{
    DeadLetterReader, Ledger, LetterFilter, Lock, MissedReport, Stage, StateError, StateFolder,
};
use crate::telemetry::without_controls;

/// Replays the dead letters of all outputs, or of the output `only`, that meet the conditions. `None` when there are none.
/// Missed reports are sent only without conditions. `name` is that of the saved state in `folder`.
///
/// # Errors
/// When nothing was sent: the pipeline is in use or was interrupted, or its state cannot be used.
pub fn replay(
    mut pipeline: Pipeline,
    registry: &Registry,
    (name, folder): (&str, StateFolder),
    only: Option<&str>,
    filter: &LetterFilter,
    stop: &Arc<Stop>,
    watchers: &Watchers,
) -> Result<Option<Summary>, Vec<Failure>> {
    let to_failures = |error: StateError| vec![Failure::of_state("state", &error)];
    let opened = open_ledger(&folder, name, &pipeline.file).map_err(to_failures)?;
    let (_lock, ledger) = opened;
    let ledger = Arc::new(ledger);
    let queues = ledger.dead_letter_counts().map_err(to_failures)?;
    let missed = ledger.missed().map_err(to_failures)?;
    let inputs: Vec<String> = pipeline.inputs.iter().map(|input| input.instance.id.clone()).collect();
    let outputs = std::mem::take(&mut pipeline.outputs);
    let (of_inputs, queues): (Vec<_>, Vec<_>) =
        queues.into_iter().partition(|queue| matches!(queue.stage, Stage::Input { .. }));
    for queue in of_inputs.iter().filter(|queue| only.is_none_or(|only| only == queue.stage.instance())) {
        tracing::warn!(
            instance = queue.stage.instance(),
            "{} invalid rows cannot be replayed: report them to the author of the plugin, and remove them with \
             `dead-letters purge`",
            queue.letters
        );
    }
    let is_replayed = |missed: &MissedReport| filter.is_empty() && missed.output != missed.report.input;
    let missed: Vec<_> = missed.into_iter().filter(is_replayed).collect();
    let ids: BTreeSet<&str> = queues
        .iter()
        .map(|queue| queue.stage.instance())
        .chain(missed.iter().map(|missed| missed.output.as_str()))
        .filter(|id| only.is_none_or(|only| only == *id))
        .collect();
    for id in ids.iter().filter(|id| outputs.iter().all(|output| output.instance.id != **id)) {
        tracing::warn!("output `{id}` no longer exists in the pipeline; its dead letters are kept");
    }
    let all_outputs: Vec<String> = outputs.iter().map(|output| output.instance.id.clone()).collect();
    let mut replay = Replay { pipeline, registry, folder, ledger, stop, watchers, total: None };
    for mut output in outputs.into_iter().filter(|output| ids.contains(output.instance.id.as_str())) {
        let id = output.instance.id.clone();
        output.delivery.failover = None;
        // Dead letters have passed the filters already.
        let filters = std::mem::take(&mut output.filters);
        replay.pipeline.outputs = vec![output];
        if queues.iter().any(|queue| queue.stage.instance() == id && queue.letters > 0) {
            replay.dead_letters(&id, filter);
        }
        replay.pipeline.outputs[0].filters = filters;
        for input in &inputs {
            let of_input = |missed: &&MissedReport| missed.output == id && missed.report.input == *input;
            let reports: Vec<ReportKey> =
                missed.iter().filter(of_input).map(|missed| missed.report.clone()).collect();
            if !reports.is_empty() {
                replay.missed_reports(&id, input, reports);
            }
        }
    }
    let gauges = session::dead_letter_gauges(all_outputs.iter(), &replay.ledger);
    gauges.iter().for_each(|gauge| watchers.notify(gauge));
    Ok(replay.total)
}

/// Locks a pipeline and opens its ledger, which exists, for a replay or purge of dead letters. Refused if a run was
/// interrupted inside a report: when it is resumed, its dead letters may still be rolled back.
///
/// # Errors
/// When the pipeline is in use or was interrupted, or the ledger cannot be opened.
pub fn open_ledger(folder: &StateFolder, name: &str, file: &Path) -> Result<(Lock, Ledger), StateError> {
    let lock = session::lock_now(folder, name)?;
    let ledger = Ledger::open(&folder.ledger(), file)?;
    if ledger.checkpoint()?.is_some_and(|checkpoint| checkpoint.is_inside_report()) {
        return Err(StateError {
            message: format!("cannot replay or purge: pipeline `{name}` was interrupted inside a report"),
            hint: Some(
                "finish it with `scanbridge run FILE`, or discard it with `scanbridge state discard \
                 FILE`"
                    .to_owned(),
            ),
            exit_code: 75,
        });
    }
    Ok((lock, ledger))
}

/// A replay in progress.
struct Replay<'a> {
    pipeline: Pipeline,
    registry: &'a Registry,
    folder: StateFolder,
    ledger: Arc<Ledger>,
    stop: &'a Arc<Stop>,
    watchers: &'a Watchers,
    /// The result so far: a failure of one output must not discard the summaries of those before it.
    total: Option<Summary>,
}

impl Replay<'_> {
    fn dead_letters(&mut self, id: &str, filter: &LetterFilter) {
        let result = DeadLetterReader::new(&self.ledger, id).map_err(|error| of_state(id, &error));
        let result = result.map(|letters| letters.with_filter(filter.clone()));
        if result.as_ref().is_ok_and(|letters| letters.clone().all(|letter| letter.is_err())) {
            return;
        }
        let result = result.and_then(|dead_letters| {
            self.run(Purpose::Replay, None, |pipeline, registry, settings, stop| {
                let schema = pipeline::schema_of_dead_letters(dead_letters.clone());
                pipeline::build_replay(pipeline, registry, settings, stop, dead_letters, schema)
            })
        });
        self.add(result.map(|(summary, _)| summary));
    }

    fn missed_reports(&mut self, id: &str, input: &str, reports: Vec<ReportKey>) {
        if !self.can_reread(input) {
            let paths: Vec<_> = reports.iter().map(|report| without_controls(&report.path)).collect();
            let error = cannot_reread(input, &paths.join(", "));
            self.add(Err(vec![Failure::new(id, &error)]));
            return;
        }
        let result = self.run(Purpose::Run, Some((input.to_owned(), reports)), pipeline::build);
        let result = result.and_then(|(summary, result)| {
            let delivered = result.settled.into_iter().filter(|report| report.outcome == Outcome::Delivered);
            let delivered: Vec<ReportKey> = delivered.map(|report| report.key).collect();
            let settled = self.ledger.count_dead_letters(&result.end.dead_letters);
            let settled =
                settled.and_then(|()| self.ledger.settle_missed(id, &delivered, Outcome::Delivered));
            settled.map(|()| summary).map_err(|error| of_state(id, &error))
        });
        self.add(result);
    }

    fn can_reread(&self, input: &str) -> bool {
        let instance = self.pipeline.inputs.iter().find(|known| known.instance.id == input);
        let claim =
            instance.and_then(|input| self.registry.claim(PluginKind::Input, &input.instance.plugin).ok());
        let descriptor = claim.and_then(|claim| claim.library.descriptor(claim.kind, claim.name).ok());
        descriptor.is_some_and(|descriptor| descriptor.input_capabilities().rereads == Rereads::Yes)
    }

    /// Runs the current output with the dead letters, or with some reports of an input.
    fn run(
        &self,
        purpose: Purpose,
        reports: Option<(String, Vec<ReportKey>)>,
        build: impl FnOnce(&Pipeline, &Registry, Settings, &Arc<Stop>) -> Result<OpenPipeline, Vec<Failure>>,
    ) -> Result<(Summary, RunResult), Vec<Failure>> {
        let recorder = session::record_calls(&self.folder);
        let settings = Settings {
            ledger: Some(Arc::clone(&self.ledger)),
            recorder: recorder.clone(),
            reports,
            ..Settings::without_run(self.folder.clone(), purpose)
        };
        let opened = build(&self.pipeline, self.registry, settings, self.stop)?;
        let result = pipeline::run(opened, Arc::clone(self.stop), self.watchers);
        drop(recorder);
        Ok(result)
    }

    fn add(&mut self, result: Result<Summary, Vec<Failure>>) {
        let not_started = |failures| {
            let summary = Summary::not_started(Head::default(), &self.pipeline, failures);
            Summary { inputs: Vec::new(), ..summary }
        };
        let summary = result.unwrap_or_else(not_started);
        self.total = Some(match self.total.take() {
            Some(earlier) => earlier.merge(summary),
            None => summary,
        });
    }
}

fn of_state(id: &str, error: &StateError) -> Vec<Failure> {
    vec![Failure::of_state(id, error)]
}

fn cannot_reread(input: &str, paths: &str) -> PluginError {
    PluginError::new(
        ErrorKind::Unavailable,
        format!("misses reports that input `{input}` cannot read again: {paths}"),
    )
    .with_hint(
        "run the pipeline again to read the current reports, or abandon the missing findings with `dead-letters \
         purge`",
    )
}
