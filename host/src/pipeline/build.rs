//! Opens the plugin instances of a pipeline. All are open before the run starts.

use std::sync::Arc;

use scanbridge_plugin_api::batch::Schema;
use scanbridge_plugin_api::{
    CheckReport, KeepsCheckpoint, OutputCapabilities, Partial, PluginError, PluginKind, Position, Purpose,
    Receipt, Shares,
};

use super::checkpoint::Kept;
use super::input::{DeadLetterSource, PluginSource, Source};
use super::keeper::{OpenKeeper, check_only};
use super::open_errors::{
    OpenError, cannot_share, delivered_repeatedly, not_available, open_error, partial_not_supported,
};
use super::opener::{Opener, RunOfInstance};
use super::output::{DISCARD, Destination, DestinationCipher};
use super::retry::is_retryable;
use super::row_faults::RowFaults;
use super::settings::Settings;
use super::stop::Stop;
use super::summary::Failure;
use crate::config::{
    CheckpointInterval, Delivery, InputInstance, Instance, OnInvalid, OutputInstance, Pipeline, RetryPolicy,
};
use crate::encryption::{Encryption, FrozenEncryption, Mode, OutputCipher};
use crate::exit_code::USAGE;
use crate::plugins::{Claim, Registry};
use crate::state::{DeadLetterReader, DeadLetterWriter, OutputState, StateError};

/// A pipeline whose plugins are open.
#[derive(Debug)]
pub struct OpenPipeline {
    pub(super) inputs: Vec<OpenInput>,
    pub(super) outputs: Vec<OpenOutput>,
    /// Optional outputs that could not be opened: the run continues without them.
    pub(super) absent: Vec<AbsentOutput>,
    pub(super) interval: CheckpointInterval,
    pub(super) settings: Settings,
    /// Set if the output keeps the checkpoint.
    pub(super) kept: Option<Kept>,
}

#[derive(Debug)]
pub(super) struct AbsentOutput {
    pub(super) index: usize,
    pub(super) id: String,
    pub(super) plugin: String,
    /// The `id` of its failover output.
    pub(super) failover: Option<String>,
    pub(super) failure: Failure,
    pub(super) cause: Option<Box<PluginError>>,
}

#[derive(Debug)]
pub(super) struct OpenInput {
    pub(super) source: Source,
    pub(super) retry: RetryPolicy,
    pub(super) faults: Arc<RowFaults>,
}

#[derive(Debug)]
pub(super) struct OpenOutput {
    /// Index in the pipeline file, from 0.
    pub(super) index: usize,
    pub(super) required: bool,
    pub(super) delivery: Delivery,
    pub(super) destination: Destination,
    /// The error of `open`, if it is retryable.
    pub(super) open_error: Option<PluginError>,
}

impl OpenOutput {
    fn with_cipher(self, cipher: Option<DestinationCipher>) -> Self {
        Self { destination: self.destination.with_cipher(cipher), ..self }
    }
}

impl OpenPipeline {
    /// Errors of outputs that were skipped, or could not be opened yet, and panics in threads of the plugins' own.
    pub(crate) fn open_errors(&self) -> Vec<OpenError> {
        let unavailable = self.outputs.iter().filter_map(|output| {
            let error = output.open_error.clone()?;
            let failure = Failure::new(output.destination.id(), &error);
            Some(OpenError { failure, cause: Some(Box::new(error)) })
        });
        let inputs = self.inputs.iter().filter_map(|input| input.source.context());
        let contexts = inputs.chain(self.outputs.iter().map(|output| output.destination.context()));
        let panics = contexts.flat_map(|context| {
            let panics = context.panics().into_iter();
            panics.map(|panic| OpenError {
                failure: Failure::new(context.instance(), &panic),
                cause: Some(Box::new(panic)),
            })
        });
        let absent = self
            .absent
            .iter()
            .map(|output| OpenError { failure: output.failure.clone(), cause: output.cause.clone() });
        absent.chain(unavailable).chain(panics).collect()
    }

    /// The inputs that cannot be read without an effect at their source.
    pub(crate) fn effects(&self) -> Vec<Failure> {
        let effects =
            self.inputs.iter().filter_map(|input| Some((input.source.id(), input.source.effect()?)));
        effects.map(|(id, effect)| Failure { exit_code: USAGE, ..Failure::new(id, &effect) }).collect()
    }

    /// Calls `check` of every instance. Moves no data. Without `peers`, only of those that judge what is on this machine.
    pub(crate) fn check(&mut self, peers: bool) -> Vec<(String, Result<CheckReport, PluginError>)> {
        let inputs = self
            .inputs
            .iter_mut()
            .filter(|input| peers || input.source.local_check())
            .map(|input| (input.source.id().to_owned(), input.source.check()));
        let outputs = self
            .outputs
            .iter_mut()
            .filter(|output| peers || output.destination.local_check())
            .map(|output| (output.destination.id().to_owned(), output.destination.check()));
        inputs.chain(outputs).collect()
    }
}

/// Opens every instance of the pipeline. `stop` ends the inputs; the outputs then drain. An optional output that
/// cannot be opened is skipped, as if it had failed later. If it is unavailable, it is retried when the run has
/// started.
///
/// # Errors
/// All errors of `open`, so that the operator can fix them together: when an input or a required output failed, or no
/// output is left.
pub fn build(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
) -> Result<OpenPipeline, Vec<Failure>> {
    build_with(pipeline, registry, settings, stop, None)
}

/// Like [`build`]. `keeper` is the output that [`open_keeper`](super::keeper::open_keeper) has opened, and what is known of the
/// checkpoint if it keeps one.
///
/// # Errors
/// As for [`build`].
pub(crate) fn build_with(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
    keeper: Option<(OpenKeeper, Option<Kept>)>,
) -> Result<OpenPipeline, Vec<Failure>> {
    let (keeper, kept) = keeper.unzip();
    let opened = open_with(pipeline, registry, settings, stop, keeper);
    let opened =
        opened.map_err(|errors| errors.into_iter().map(|error| error.failure).collect::<Vec<_>>())?;
    Ok(OpenPipeline { kept: kept.flatten(), ..opened })
}

/// Like [`build`], with the errors of the plugins.
pub(crate) fn open_all(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
) -> Result<OpenPipeline, Vec<OpenError>> {
    open_with(pipeline, registry, settings, stop, None)
}

fn open_with(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
    mut keeper: Option<OpenKeeper>,
) -> Result<OpenPipeline, Vec<OpenError>> {
    let mut failures = Vec::new();
    let (mut inputs, mut absent) = (Vec::new(), Vec::new());
    let is_read = |input: &&InputInstance| settings.only_input().is_none_or(|id| *id == input.instance.id);
    for input in pipeline.inputs.iter().filter(is_read) {
        match open_input(input, registry, pipeline, &settings, stop) {
            Ok(input) => inputs.push(input),
            Err(error) => failures.push(open_error(&input.instance, error)),
        }
    }
    let endless = !settings.until_idle && inputs.iter().any(|input| input.source.is_endless());
    if endless {
        for (input, opened) in pipeline.inputs.iter().filter(is_read).zip(&mut inputs) {
            opened.retry = opened.retry.in_endless_run(&input.host);
        }
    }
    let mut outputs = Vec::new();
    for (index, output) in pipeline.outputs.iter().enumerate() {
        let Instance { id, plugin, .. } = &output.instance;
        let dead_letter_bytes = pipeline.run.dead_letter_bytes;
        let run = (stop, endless);
        // Never without encryption, even if the output is optional.
        let cipher = match cipher_of(output, &settings, Mode::Encrypt) {
            Ok(cipher) => cipher,
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        let keeper = keeper.take();
        match open_output((index, keeper), output, registry, pipeline, &settings, run, dead_letter_bytes) {
            Ok(output) => outputs.push(output.with_cipher(cipher)),
            Err(failure) if output.required => failures.push(failure),
            Err(OpenError { failure, cause }) => {
                let (id, plugin, failover) = (id.clone(), plugin.clone(), output.delivery.failover.clone());
                absent.push(AbsentOutput { index, id, plugin, failover, failure, cause });
            }
        }
    }
    failures.extend(delivers_repeatedly(pipeline, &settings, &inputs, &outputs));
    if failures.is_empty() && (!outputs.is_empty() || pipeline.outputs.is_empty()) {
        let interval = pipeline.run.checkpoint;
        return Ok(OpenPipeline { inputs, outputs, absent, interval, settings, kept: None });
    }
    let absent = absent.into_iter();
    failures.extend(absent.map(|output| OpenError { failure: output.failure, cause: output.cause }));
    Err(failures)
}

/// The errors of inputs that several instances of the pipeline would read completely each, so that everything would be
/// delivered several times.
fn delivers_repeatedly(
    pipeline: &Pipeline,
    settings: &Settings,
    inputs: &[OpenInput],
    outputs: &[OpenOutput],
) -> Vec<OpenError> {
    let is_kept =
        |output: &OpenOutput| output.destination.capabilities().keeps_checkpoint == KeepsCheckpoint::Yes;
    let delivers = matches!(settings.purpose, Purpose::Run | Purpose::Check | Purpose::Probe);
    if pipeline.run.instances < 2 || !delivers || outputs.iter().any(is_kept) {
        return Vec::new();
    }
    let of_input = |input: &InputInstance| {
        let opened = inputs.iter().find(|opened| opened.source.id() == input.instance.id)?;
        let error = delivered_repeatedly(input, pipeline.run.instances);
        (!opened.source.is_divided()).then(|| open_error(&input.instance, error))
    };
    pipeline.inputs.iter().filter_map(of_input).collect()
}

/// Opens the only output of a pipeline for a replay of its dead letters. `schema` is that of
/// [`schema_of_dead_letters`](super::schema_of_dead_letters).
///
/// # Errors
/// As for [`build`].
pub fn build_replay(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: Settings,
    stop: &Arc<Stop>,
    dead_letters: DeadLetterReader,
    schema: Schema,
) -> Result<OpenPipeline, Vec<Failure>> {
    let (mut outputs, mut failures) = (Vec::new(), Vec::new());
    for (index, output) in pipeline.outputs.iter().enumerate() {
        let opened = check_encryption(output, dead_letters.clone())
            .map_err(|error| open_error(&output.instance, error))
            .and_then(|()| cipher_of(output, &settings, Mode::AsTheyAre))
            .and_then(|cipher| {
                // No size limit: existing dead letters are kept even if a new reason makes one longer.
                let opened = open_output(
                    (index, None),
                    output,
                    registry,
                    pipeline,
                    &settings,
                    (stop, false),
                    u64::MAX,
                )?;
                Ok(opened.with_cipher(cipher))
            });
        match opened {
            Ok(output) => outputs.push(output),
            Err(error) => failures.push(error.failure),
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    let source = Source::DeadLetters(Box::new(DeadLetterSource::new(dead_letters, schema)));
    let faults = RowFaults::new(source.id(), source.plugin(), OnInvalid::Reject, 0, None);
    let inputs = vec![OpenInput { source, retry: RetryPolicy::default(), faults: Arc::new(faults) }];
    let interval = pipeline.run.checkpoint;
    Ok(OpenPipeline { inputs, outputs, absent: Vec::new(), interval, settings, kept: None })
}

pub(super) fn open_input(
    input: &InputInstance,
    registry: &Registry,
    pipeline: &Pipeline,
    settings: &Settings,
    stop: &Arc<Stop>,
) -> Result<OpenInput, PluginError> {
    let claim = registry.claim(PluginKind::Input, &input.instance.plugin).map_err(not_available)?;
    let table = claim.library.input_table(claim.name).map_err(not_available)?;
    let reports = claim.library.reports_table(claim.name).map_err(not_available)?;
    let descriptor = claim.library.descriptor(PluginKind::Input, claim.name).map_err(not_available)?;
    let run = RunOfInstance { pipeline, settings, stop, hang: input.hang, endless: false };
    let declared = descriptor.input_capabilities();
    let opener = Opener::new((table, reports), declared, PluginKind::Input, &input.instance, claim, run);
    let InputInstance { instance, retry, on_invalid, .. } = input;
    let room = settings.ledger.as_ref().filter(|_| settings.has_checkpoints()).map(|ledger| {
        let end = ledger.dead_letter_end(&instance.id)?;
        Ok::<_, StateError>(pipeline.run.dead_letter_bytes.saturating_sub(end.bytes))
    });
    let room = room.transpose()?;
    let faults = RowFaults::new(&instance.id, &instance.plugin, *on_invalid, settings.run, room);
    let start = settings.from.positions.get(&instance.id).cloned().unwrap_or_default();
    let share = settings.share.unwrap_or_default();
    if !share.is_whole() && declared.shares != Shares::Yes {
        return Err(cannot_share(input, share));
    }
    let source = PluginSource::open(opener, Position(start))?;
    if !share.is_whole() && !source.shares() {
        return Err(cannot_share(input, share));
    }
    let source = Source::Plugin(Box::new(source));
    Ok(OpenInput { source, retry: *retry, faults: Arc::new(faults) })
}

fn open_output(
    (index, keeper): (usize, Option<OpenKeeper>),
    output: &OutputInstance,
    registry: &Registry,
    pipeline: &Pipeline,
    settings: &Settings,
    (stop, endless): (&Arc<Stop>, bool),
    dead_letter_bytes: u64,
) -> Result<OpenOutput, OpenError> {
    let OutputInstance { instance, required, filters, delivery, host, .. } = output;
    let failure = |error: PluginError| open_error(instance, error);
    let claim = registry.claim(PluginKind::Output, &instance.plugin);
    let claim = claim.map_err(|error| failure(not_available(error)))?;
    let table = claim.library.output_table(claim.name).map_err(|error| failure(not_available(error)))?;
    let render = claim.library.render_table(claim.name).map_err(|error| failure(not_available(error)))?;
    let with_keeper = claim.library.keeper_table(claim.name);
    let with_keeper = with_keeper.map_err(|error| failure(not_available(error)))?;
    let descriptor = claim.library.descriptor(PluginKind::Output, claim.name);
    let declared = descriptor.map_err(|error| failure(not_available(error)))?.output_capabilities();
    let run = RunOfInstance { pipeline, settings, stop, hang: delivery.hang, endless };
    let stored = settings.from.outputs.get(&instance.id).cloned();
    let mut from = stored.unwrap_or_default();
    let dead_letters = DeadLetterWriter::open(settings.ledger.clone(), &instance.id, dead_letter_bytes);
    let dead_letters = dead_letters
        .map_err(|error| OpenError { failure: Failure::of_state(&instance.id, &error), cause: None })?;
    from.dead_letters = dead_letters.end();
    let tables = (table, render, with_keeper);
    let new_opener = || Opener::new(tables, declared, PluginKind::Output, instance, claim, run);
    if settings.discards {
        let opener = new_opener();
        let mut thread = opener.thread();
        opener.open(&mut thread, None).map_err(failure)?;
        let destination = discarding(output, claim, run, dead_letters, from);
        let delivery = Delivery { max_findings_per_sec: None, ..delivery.clone() };
        return Ok(OpenOutput { index, required: *required, delivery, destination, open_error: None });
    }
    let receipt = from.receipt.clone().map(Receipt);
    let (opener, thread, capabilities, open_error) = match keeper {
        Some(OpenKeeper { opener, thread, capabilities, .. }) => (opener, thread, capabilities, None),
        None => {
            let opener = new_opener();
            let mut thread = opener.thread();
            match opener.open(&mut thread, receipt.as_ref()) {
                Ok(capabilities) => (opener, thread, capabilities, None),
                Err(error) if is_retryable(&error) => {
                    let declared = opener.declared();
                    (opener, thread, declared, Some(error))
                }
                Err(error) => return Err(failure(error)),
            }
        }
    };
    if open_error.is_none() {
        check_only(pipeline, output, capabilities, settings.purpose).map_err(failure)?;
    }
    if settings.purpose == Purpose::Replay && capabilities.partial == Partial::Refuses {
        return Err(failure(partial_not_supported(&instance.id)));
    }
    let destination =
        Destination::new(opener, thread, capabilities, filters.clone(), dead_letters, from, settings.run);
    let mut delivery = delivery.clone();
    if endless {
        delivery.retry = delivery.retry.in_endless_run(host);
    }
    // Without it there is no checkpoint.
    let required = *required || destination.keeps_checkpoint();
    Ok(OpenOutput { index, required, delivery, destination, open_error })
}

/// The encryption of an output. Its settings are compared with those of the first delivery.
fn cipher_of(
    output: &OutputInstance,
    settings: &Settings,
    mode: Mode,
) -> Result<Option<DestinationCipher>, OpenError> {
    let id = &output.instance.id;
    let failure = |error: PluginError| open_error(&output.instance, error);
    let frozen = settings.ledger.as_ref().map(|ledger| ledger.frozen_encryption(id)).transpose();
    let frozen =
        frozen.map_err(|error| OpenError { failure: Failure::of_state(id, &error), cause: None })?.flatten();
    let Some(encryption) = &output.encryption else {
        let compared = frozen.map_or(Ok(()), |frozen| frozen.compare(id, None));
        return compared.map(|()| None).map_err(failure);
    };
    let cipher = OutputCipher::new(encryption, mode).map_err(failure)?;
    if let Some(comparison) = &settings.comparison {
        comparison.use_key(cipher.hash_key());
    }
    let now = FrozenEncryption::of(encryption, &cipher);
    if let Some(frozen) = &frozen {
        frozen.compare(id, Some(&now)).map_err(failure)?;
    }
    let delivers = matches!(settings.purpose, Purpose::Run | Purpose::Replay);
    let to_freeze = settings.ledger.clone().filter(|_| delivers && frozen.is_none() && !settings.discards);
    Ok(Some(DestinationCipher::new(Arc::new(cipher), to_freeze.map(|ledger| (ledger, now)))))
}

/// Checks that the dead letters of an output are encrypted as the output is now: they are sent as they are.
fn check_encryption(output: &OutputInstance, dead_letters: DeadLetterReader) -> Result<(), PluginError> {
    let now = output.encryption.as_ref().map(Encryption::label).unwrap_or_default();
    // A corrupt one is reported when it is read.
    let other = dead_letters.flatten().find(|(_, letter)| letter.encryption != now);
    let Some((_, letter)) = other else { return Ok(()) };
    let words = |label: &str| match label {
        "" => "not encrypted".to_owned(),
        label => format!("encrypted with {label}"),
    };
    let (was, now) = (words(&letter.encryption), words(&now));
    let message = format!(
        "cannot replay the dead letters of output `{}`: at least one is {was}, and the output is {now}",
        output.instance.id
    );
    Err(PluginError::config(message).with_hint(
        "undo the change of `encrypt` to replay them, or remove them with `dead-letters purge` and run the pipeline again",
    ))
}

/// Gets what this output would get, and discards it.
fn discarding(
    output: &OutputInstance,
    claim: Claim<'_>,
    run: RunOfInstance<'_>,
    dead_letters: DeadLetterWriter,
    from: OutputState,
) -> Destination {
    let declared = OutputCapabilities::NONE;
    let OutputInstance { instance, filters, .. } = output;
    let opener = Opener::new(
        (DISCARD, None, None),
        declared,
        PluginKind::Output,
        &instance.without_options(),
        claim,
        run,
    );
    let mut thread = opener.thread();
    opener.open(&mut thread, None).expect("this output opens");
    Destination::new(opener, thread, declared, filters.clone(), dead_letters, from, 0)
}
