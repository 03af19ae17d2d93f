//! Opens an output that keeps the checkpoint, before everything else: it knows where the input starts, and it may have to
//! wait until other instances end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use scanbridge_observe::{InputState, InputTick, OutputState, OutputTick, RunEvent, Tick};
use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::keeper::{Pairs, Share};
use scanbridge_plugin_api::{
    Ends, KeepsCheckpoint, OutputCapabilities, PluginError, PluginKind, Purpose, Receipt,
};

use super::open_errors::{not_available, open_error};
use super::opener::{Opener, OutputOpener, RunOfInstance};
use super::retry::{Outage, is_retryable};
use super::settings::Settings;
use super::stop::Stop;
use super::summary::Failure;
use super::watch::Watchers;
use crate::config::{OutputInstance, Pipeline};
use crate::plugins::instance_thread::InstanceThread;
use crate::plugins::{Metric, Registry};

/// The only output of a pipeline, opened first because its plugin can keep the checkpoint.
#[derive(Debug)]
pub(crate) struct OpenKeeper {
    pub(super) opener: OutputOpener,
    pub(super) thread: InstanceThread<OutputHandle>,
    pub(super) capabilities: OutputCapabilities,
    loaded: Option<Loaded>,
}

/// What the output has stored.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) pairs: Pairs,
    /// The part of the source that the input reads.
    pub(crate) share: Share,
}

impl OpenKeeper {
    /// What the output has stored; `None` if this instance keeps no checkpoint, because of its options.
    pub(crate) fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref()
    }
}

/// Whether the plugin of the only output can keep the checkpoint. Whether an instance does, depends on its options.
pub(crate) fn can_keep(pipeline: &Pipeline, registry: &Registry) -> bool {
    let [output] = pipeline.outputs.as_slice() else { return false };
    // The build reports why a plugin is missing.
    let descriptor = registry.descriptor(PluginKind::Output, &output.instance.plugin);
    descriptor
        .is_ok_and(|descriptor| descriptor.output_capabilities().keeps_checkpoint == KeepsCheckpoint::Yes)
}

/// Opens the only output of a pipeline that [can keep](can_keep) the checkpoint, before its input.
///
/// # Errors
/// The error of the plugin.
pub(crate) fn open_keeper(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: &Settings,
    stop: &Arc<Stop>,
    watchers: &Watchers,
) -> Result<OpenKeeper, Vec<Failure>> {
    let output = &pipeline.outputs[0];
    let instance = &output.instance;
    let failures = |error: PluginError| vec![open_error(instance, error).failure];
    let claim = registry.claim(PluginKind::Output, &instance.plugin);
    let claim = claim.map_err(|error| failures(not_available(error)))?;
    let descriptor = claim.library.descriptor(PluginKind::Output, claim.name);
    let declared = descriptor.map_err(|error| failures(not_available(error)))?.output_capabilities();
    let table = claim.library.output_table(claim.name).map_err(|error| failures(not_available(error)))?;
    let render = claim.library.render_table(claim.name).map_err(|error| failures(not_available(error)))?;
    let keeper = claim.library.keeper_table(claim.name).map_err(|error| failures(not_available(error)))?;
    let endless = !settings.until_idle && has_endless_input(pipeline, registry);
    let run = RunOfInstance { pipeline, settings, stop, hang: output.delivery.hang, endless };
    let opener = Opener::new((table, render, keeper), declared, PluginKind::Output, instance, claim, run);
    let mut thread = opener.thread();
    let receipt =
        settings.from.outputs.get(&instance.id).and_then(|state| state.receipt.clone().map(Receipt));
    let mut open = || {
        let (opened, retry) = (&mut thread, (output, endless));
        with_retries(&opener, retry, stop, || {
            let _ = opener.close(opened); // One that could not load.
            let capabilities = opener.open(opened, receipt.as_ref())?;
            if capabilities.keeps_checkpoint == KeepsCheckpoint::No {
                return Ok((capabilities, None));
            }
            check_only(pipeline, output, capabilities, settings.purpose)?;
            if settings.choice.is_some() {
                return Err(no_choice(&instance.id));
            }
            let (share, pairs) = opener.load(opened)?;
            Ok((capabilities, Some(Loaded { pairs, share })))
        })
    };
    match while_waiting(pipeline, &opener, (stop, watchers), &mut open) {
        Ok((capabilities, loaded)) => Ok(OpenKeeper { opener, thread, capabilities, loaded }),
        Err(error) => {
            opener.context().keys().release();
            Err(failures(error))
        }
    }
}

/// Checks that an output that keeps the checkpoint is the only output, of one input.
pub(super) fn check_only(
    pipeline: &Pipeline,
    output: &OutputInstance,
    capabilities: OutputCapabilities,
    purpose: Purpose,
) -> Result<(), PluginError> {
    if capabilities.keeps_checkpoint == KeepsCheckpoint::No || purpose == Purpose::Replay {
        return Ok(());
    }
    let keeps = format!("output {} keeps the checkpoint of this pipeline", output.instance.id);
    if pipeline.outputs.len() > 1 {
        return Err(PluginError::config(format!("{keeps}, so it must be the only output")).with_hint(
            "deliver to several destinations with this output, if it can (`routes`), or move the other outputs to another \
             pipeline",
        ));
    }
    if pipeline.inputs.len() != 1 {
        return Err(PluginError::config(format!("{keeps}, so the pipeline must have exactly one input"))
            .with_hint("use one pipeline for each input"));
    }
    Ok(())
}

fn no_choice(output: &str) -> PluginError {
    PluginError::config(format!(
        "reports cannot be chosen: output {output} keeps the checkpoint, and other instances may share this pipeline"
    ))
    .with_hint("use a pipeline with the same input and another output")
}

fn has_endless_input(pipeline: &Pipeline, registry: &Registry) -> bool {
    pipeline.inputs.iter().any(|input| {
        let descriptor = registry.descriptor(PluginKind::Input, &input.instance.plugin);
        descriptor.is_ok_and(|descriptor| descriptor.input_capabilities().ends == Ends::No)
    })
}

/// Opens the output. While it is unavailable, tries again as its `retry` says.
fn with_retries<T>(
    opener: &OutputOpener,
    (output, endless): (&OutputInstance, bool),
    stop: &Stop,
    mut open: impl FnMut() -> Result<T, PluginError>,
) -> Result<T, PluginError> {
    let retry = output.delivery.retry;
    let retry = if endless { retry.in_endless_run(&output.host) } else { retry };
    let mut outage = Outage::new(retry, stop.now());
    loop {
        let error = match open() {
            Err(error) if is_retryable(&error) => error,
            opened => return opened,
        };
        let Some(pause) = outage.failed(&error, stop.now()) else { return Err(error) };
        let (attempt, seconds) = (outage.failures(), pause.as_secs_f64());
        tracing::warn!(instance = opener.id(), "{error}; retry {attempt} in {seconds:.1} s");
        if stop.wait(pause) {
            return Err(error);
        }
    }
}

/// Interval of the ticks while the output waits.
const TICK: Duration = Duration::from_secs(10);
/// How often the thread that sends them looks whether the output is open, or a stop is requested.
const LOOK: Duration = Duration::from_millis(100);

/// Opens the output. Until it is open, tells the watchers what it waits for, and ends the drain time of a stop.
fn while_waiting<T>(
    pipeline: &Pipeline,
    opener: &OutputOpener,
    (stop, watchers): (&Stop, &Watchers),
    open: &mut (dyn FnMut() -> T + Send),
) -> T
where
    T: Send,
{
    let (done, context) = (AtomicBool::new(false), opener.context());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut next = stop.now() + Duration::from_secs(1);
            while !done.load(Ordering::Relaxed) {
                thread::park_timeout(LOOK);
                stop.abort_when_drained();
                if stop.now() >= next {
                    next = stop.now() + TICK;
                    watchers.notify(&RunEvent::Tick(waiting_tick(pipeline, context.phase())));
                    for Metric { name, value, .. } in context.metrics().to_list() {
                        let instance = context.instance().to_owned();
                        watchers.notify(&RunEvent::Gauge { instance, name, value });
                    }
                }
            }
        });
        let opened = open();
        done.store(true, Ordering::Relaxed);
        waiting.thread().unpark();
        opened
    })
}

fn waiting_tick(pipeline: &Pipeline, phase: String) -> Tick {
    let input =
        |id: &String| InputTick { id: id.clone(), state: InputState::Waiting, ..InputTick::default() };
    let output = |id: &String| OutputTick {
        id: id.clone(),
        state: OutputState::Waiting,
        phase: phase.clone(),
        ..OutputTick::default()
    };
    Tick {
        inputs: pipeline.inputs.iter().map(|instance| input(&instance.instance.id)).collect(),
        outputs: pipeline.outputs.iter().map(|instance| output(&instance.instance.id)).collect(),
    }
}
