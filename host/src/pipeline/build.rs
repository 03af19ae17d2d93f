//! Opens the plugin instances that a pipeline names: everything is open before anything runs.

use std::sync::Arc;

use scanbridge_plugin_api::{
    CheckReport, ErrorKind, Partial, PluginError, PluginKind, Position, Purpose, Receipt,
};

use super::destination::Destination;
use super::letters::LetterSource;
use super::opener::{Opener, RunOfInstance};
use super::retry::is_passing;
use super::source::{PluginSource, Source};
use super::stop::Stop;
use super::summary::Failure;
use crate::config::{
    CheckpointInterval, Delivery, InputInstance, Instance, OutputInstance, Pipeline, RetryPolicy,
};
use crate::plugins::{CallRecorder, Registry};
use crate::state::{Checkpoint, DeadLetters, Letter, StateError, StateFolder};

/// Where a run keeps its state, and what it goes on with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the pipeline.
    pub folder: StateFolder,
    /// What the run goes on with; empty for one that starts over.
    pub from: Checkpoint,
    /// The number of the run, which dead letters name.
    pub run: u64,
    /// Records the calls in progress for the next run; none for a check.
    pub recorder: Option<Arc<CallRecorder>>,
    /// Why the instances are opened.
    pub purpose: Purpose,
}

impl Settings {
    /// For a command that delivers nothing.
    #[must_use]
    pub fn without_run(folder: StateFolder, purpose: Purpose) -> Self {
        Self { folder, from: Checkpoint::default(), run: 0, recorder: None, purpose }
    }
}

/// A pipeline whose plugins are open.
#[derive(Debug)]
pub struct Built {
    pub(super) inputs: Vec<OpenInput>,
    pub(super) outputs: Vec<OpenOutput>,
    /// Outputs that are not required and could not be opened: the run goes on without them.
    pub(super) absent: Vec<AbsentOutput>,
    pub(super) interval: CheckpointInterval,
    pub(super) settings: Settings,
}

#[derive(Debug)]
pub(super) struct AbsentOutput {
    pub(super) place: usize,
    pub(super) id: String,
    pub(super) plugin: String,
    pub(super) failure: Failure,
}

#[derive(Debug)]
pub(super) struct OpenInput {
    pub(super) source: Source,
    pub(super) retry: RetryPolicy,
}

#[derive(Debug)]
pub(super) struct OpenOutput {
    /// Its place in the pipeline file, from 0.
    pub(super) place: usize,
    pub(super) required: bool,
    pub(super) delivery: Delivery,
    pub(super) destination: Destination,
    /// Why it could not be opened, if that may pass.
    pub(super) refusal: Option<PluginError>,
}

impl Built {
    /// Why outputs were left behind, or are not there yet.
    pub(crate) fn absences(&self) -> Vec<Failure> {
        let later = self
            .outputs
            .iter()
            .filter_map(|output| Some(Failure::new(output.destination.id(), output.refusal.as_ref()?)));
        self.absent.iter().map(|output| output.failure.clone()).chain(later).collect()
    }

    /// Asks every instance whether it would work now. Moves no data.
    pub(crate) fn probe(&mut self) -> Vec<(String, Result<CheckReport, PluginError>)> {
        let inputs = self.inputs.iter_mut().map(|input| (input.source.id().to_owned(), input.source.check()));
        let outputs = self
            .outputs
            .iter_mut()
            .map(|output| (output.destination.id().to_owned(), output.destination.check()));
        inputs.chain(outputs).collect()
    }
}

/// Opens every instance of the pipeline. `stop` ends the inputs; the outputs then drain. An output that is not
/// required and cannot be opened is left behind, as one that fails later would be; one that is unavailable is tried
/// again when the run has begun.
///
/// # Errors
/// Every instance that could not be opened, so that all can be mended at once: when an input or a required output
/// is among them, or no output is left.
pub fn build(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
) -> Result<Built, Vec<Failure>> {
    let mut failures = Vec::new();
    let (mut inputs, mut absent) = (Vec::new(), Vec::new());
    for input in &pipeline.inputs {
        match open_input(input, registry, pipeline, &settings, stop) {
            Ok(source) => inputs.push(OpenInput { source, retry: input.retry }),
            Err(error) => {
                failures.push(Failure::new(&input.instance.id, &located(&input.instance, error)));
            }
        }
    }
    let mut outputs = Vec::new();
    for (place, output) in pipeline.outputs.iter().enumerate() {
        let Instance { id, plugin, .. } = &output.instance;
        let dead_letter_bytes = pipeline.run.dead_letter_bytes;
        match open_output(place, output, registry, pipeline, &settings, stop, dead_letter_bytes) {
            Ok(output) => outputs.push(output),
            Err(failure) if output.required => failures.push(failure),
            Err(failure) => {
                absent.push(AbsentOutput { place, id: id.clone(), plugin: plugin.clone(), failure });
            }
        }
    }
    if failures.is_empty() && !outputs.is_empty() {
        return Ok(Built { inputs, outputs, absent, interval: pipeline.run.checkpoint, settings });
    }
    failures.extend(absent.into_iter().map(|output| output.failure));
    Err(failures)
}

/// Opens the outputs of a pipeline, to send dead letters to them.
///
/// # Errors
/// As for [`build`].
pub fn build_replay(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
    letters: Box<dyn Iterator<Item = Result<Letter, StateError>> + Send>,
) -> Result<Built, Vec<Failure>> {
    let (mut outputs, mut failures) = (Vec::new(), Vec::new());
    for (place, output) in pipeline.outputs.iter().enumerate() {
        // A letter that was kept is kept, though a reason may have grown longer.
        match open_output(place, output, registry, pipeline, &settings, stop, u64::MAX) {
            Ok(output) => outputs.push(output),
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    let source = Source::Letters(LetterSource::new(letters));
    let inputs = vec![OpenInput { source, retry: RetryPolicy::default() }];
    Ok(Built { inputs, outputs, absent: Vec::new(), interval: pipeline.run.checkpoint, settings })
}

fn open_input(
    input: &InputInstance,
    registry: &Registry,
    pipeline: &Pipeline,
    settings: &Settings,
    stop: &Arc<Stop>,
) -> Result<Source, PluginError> {
    let claim = registry.claim(PluginKind::Input, &input.instance.plugin).map_err(not_available)?;
    let table = claim.library.input_table(claim.name).map_err(not_available)?;
    let descriptor = claim.library.descriptor(PluginKind::Input, claim.name).map_err(not_available)?;
    let run = RunOfInstance { pipeline, settings, stop, hang: input.hang };
    let declared = descriptor.input_capabilities();
    let opener = Opener::new(table, declared, PluginKind::Input, &input.instance, claim, run);
    let start = settings.from.positions.get(&input.instance.id).cloned().unwrap_or_default();
    PluginSource::open(opener, Position(start)).map(Source::Plugin)
}

fn open_output(
    place: usize,
    output: &OutputInstance,
    registry: &Registry,
    pipeline: &Pipeline,
    settings: &Settings,
    stop: &Arc<Stop>,
    dead_letter_bytes: u64,
) -> Result<OpenOutput, Failure> {
    let OutputInstance { instance, required, filters, delivery } = output;
    let failure = |error: PluginError| Failure::new(&instance.id, &located(instance, error));
    let claim = registry.claim(PluginKind::Output, &instance.plugin);
    let claim = claim.map_err(|error| failure(not_available(error)))?;
    let table = claim.library.output_table(claim.name).map_err(|error| failure(not_available(error)))?;
    let descriptor = claim.library.descriptor(PluginKind::Output, claim.name);
    let declared = descriptor.map_err(|error| failure(not_available(error)))?.output_capabilities();
    let run = RunOfInstance { pipeline, settings, stop, hang: delivery.hang };
    let opener = Opener::new(table, declared, PluginKind::Output, instance, claim, run);
    let known = settings.from.outputs.get(&instance.id).cloned();
    let length = known.as_ref().map(|state| state.dead_letters);
    let mut from = known.unwrap_or_default();
    let letters = DeadLetters::open(&settings.folder, &instance.id, length, dead_letter_bytes);
    let letters = letters.map_err(|error| Failure::of_state(&instance.id, &error))?;
    from.dead_letters = letters.length();
    let mut thread = opener.thread();
    let receipt = from.receipt.clone().map(Receipt);
    let (capabilities, refusal) = match opener.open(&mut thread, receipt.as_ref()) {
        Ok(capabilities) => (capabilities, None),
        Err(error) if is_passing(&error) => (opener.declared(), Some(error)),
        Err(error) => return Err(failure(error)),
    };
    if settings.purpose == Purpose::Replay && capabilities.partial == Partial::Refuses {
        return Err(failure(refuses_partial(&instance.id)));
    }
    let destination =
        Destination::new(opener, thread, capabilities, filters.clone(), letters, from, settings.run);
    Ok(OpenOutput { place, required: *required, delivery: delivery.clone(), destination, refusal })
}

/// The error of a replay into an output that would replace findings by the few that were rejected.
fn refuses_partial(id: &str) -> PluginError {
    PluginError::config(format!(
        "cannot replay dead letters into output `{id}`: it does not accept single findings of a report"
    ))
    .with_hint(
        "run the pipeline again to send whole reports, or remove the dead letters with `dead-letters purge`",
    )
}

/// What a plugin finds wrong with its settings is said with the place of the option that it names first: what several
/// options say together only the plugin can judge.
fn located(instance: &Instance, mut error: PluginError) -> PluginError {
    if error.kind == ErrorKind::Config {
        let place = |name: &String| error.message.find(&format!("`{name}`"));
        let named = instance.origins.iter().filter_map(|(name, origin)| Some((place(name)?, origin)));
        if let Some((_, origin)) = named.min_by_key(|(place, _)| *place) {
            error.message = format!("{} ({}, line {})", error.message, origin.file.display(), origin.line);
        }
    }
    error
}

fn not_available(error: impl std::fmt::Display) -> PluginError {
    PluginError::config(error.to_string())
}
