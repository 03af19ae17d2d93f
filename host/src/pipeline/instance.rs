//! Opens the plugin instances that a pipeline names: everything is open before anything runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scanbridge_plugin_api::abi::{
    HostTable2, InputHandle, InputTable2, OutputHandle, OutputTable2, mask, masked,
};
use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, PluginKind, Position};

use super::destination::Destination;
use super::letters::LetterSource;
use super::retry::is_passing;
use super::source::{PluginSource, Source};
use super::stop::Stop;
use super::summary::Failure;
use crate::config::{
    CheckpointInterval, Delivery, InputInstance, Instance, OutputInstance, Pipeline, RetryPolicy,
};
use crate::plugins::guard::{self, Caller};
use crate::plugins::{CallRecorder, Claim, Registry};
use crate::state::{Checkpoint, DeadLetters, Letter, StateError, StateFolder};
use crate::telemetry;

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
}

impl Settings {
    /// For a run that starts over.
    #[must_use]
    pub fn fresh(folder: StateFolder) -> Self {
        Self { folder, from: Checkpoint::default(), run: 0, recorder: None }
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

/// Opens instances of one input.
#[derive(Debug)]
pub(super) struct InputOpener {
    table: InputTable2,
    parts: Parts,
}

/// Opens instances of one output.
#[derive(Debug)]
pub(super) struct OutputOpener {
    table: OutputTable2,
    parts: Parts,
}

/// What every instance of one place in the pipeline is opened with.
struct Parts {
    id: String,
    plugin: String,
    /// The options as they cross. They hold secrets.
    options: Vec<u8>,
    state_folder: String,
    context: &'static Context,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.id, self.plugin)
    }
}

/// The host's side of one instance. It lives as long as the process, for a plugin's thread may call at any time.
#[derive(Debug)]
pub(super) struct Context {
    instance: String,
    caller: Caller,
    stop: Arc<Stop>,
    done: AtomicU64,
    total: AtomicU64,
    /// How often the instance has told how far it is.
    told: AtomicU64,
}

impl Context {
    /// How the exit guard names the instance.
    pub(super) fn caller(&'static self) -> &'static Caller {
        &self.caller
    }

    /// Bytes done and bytes in all; 0 of 0 while nothing is known.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// How often the instance has told how far it is: each time is a sign of life.
    pub(super) fn signs_of_life(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
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
        match open_input(input, registry, &settings, stop) {
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
        match open_output(place, output, registry, &settings, dead_letter_bytes) {
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
    letters: Box<dyn Iterator<Item = Result<Letter, StateError>> + Send>,
) -> Result<Built, Vec<Failure>> {
    let (mut outputs, mut failures) = (Vec::new(), Vec::new());
    for (place, output) in pipeline.outputs.iter().enumerate() {
        // A letter that was kept is kept, though a reason may have grown longer.
        match open_output(place, output, registry, &settings, u64::MAX) {
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
    settings: &Settings,
    stop: &Arc<Stop>,
) -> Result<Source, PluginError> {
    let claim = registry.claim(PluginKind::Input, &input.instance.plugin).map_err(not_available)?;
    let table = claim.library.input_table(claim.name).map_err(not_available)?;
    let parts = Parts::of(PluginKind::Input, &input.instance, claim, settings, stop);
    let opener = InputOpener { table, parts };
    let start = settings.from.positions.get(&input.instance.id).cloned().unwrap_or_default();
    let handle = opener.open(&start)?;
    Ok(Source::Plugin(PluginSource::new(opener, handle, Position(start))))
}

fn open_output(
    place: usize,
    output: &OutputInstance,
    registry: &Registry,
    settings: &Settings,
    dead_letter_bytes: u64,
) -> Result<OpenOutput, Failure> {
    let OutputInstance { instance, required, filters, delivery } = output;
    let failure = |error: PluginError| Failure::new(&instance.id, &located(instance, error));
    let claim = registry.claim(PluginKind::Output, &instance.plugin);
    let claim = claim.map_err(|error| failure(not_available(error)))?;
    let table = claim.library.output_table(claim.name).map_err(|error| failure(not_available(error)))?;
    // Outputs outlive the inputs' stop: they finish what they have. A second signal ends the process.
    let never = Arc::new(Stop::default());
    let opener =
        OutputOpener { table, parts: Parts::of(PluginKind::Output, instance, claim, settings, &never) };
    let known = settings.from.outputs.get(&instance.id).cloned();
    let length = known.as_ref().map(|state| state.dead_letters);
    let mut from = known.unwrap_or_default();
    let letters = DeadLetters::open(&settings.folder, &instance.id, length, dead_letter_bytes);
    let letters = letters.map_err(|error| Failure::of_state(&instance.id, &error))?;
    from.dead_letters = letters.length();
    let (handle, refusal) = match opener.open(&from.receipt) {
        Ok(handle) => (Some(handle), None),
        Err(error) if is_passing(&error) => (None, Some(error)),
        Err(error) => return Err(failure(error)),
    };
    let destination = Destination::new(opener, handle, filters.clone(), letters, from, settings.run);
    Ok(OpenOutput { place, required: *required, delivery: delivery.clone(), destination, refusal })
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

impl InputOpener {
    pub(super) fn open(&self, position: &[u8]) -> Result<InputHandle, PluginError> {
        let Parts { id, options, state_folder, context, .. } = &self.parts;
        guard::during(context.caller(), "open", || {
            InputHandle::open(self.table, options, id, state_folder, context.table(), position)
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.parts.id
    }

    pub(super) fn plugin(&self) -> &str {
        &self.parts.plugin
    }

    pub(super) fn context(&self) -> &'static Context {
        self.parts.context
    }
}

impl OutputOpener {
    pub(super) fn open(&self, receipt: &[u8]) -> Result<OutputHandle, PluginError> {
        let Parts { id, options, state_folder, context, .. } = &self.parts;
        guard::during(context.caller(), "open", || {
            OutputHandle::open(self.table, options, id, state_folder, context.table(), receipt)
        })
    }

    pub(super) fn context(&self) -> &'static Context {
        self.parts.context
    }

    pub(super) fn id(&self) -> &str {
        &self.parts.id
    }

    pub(super) fn plugin(&self) -> &str {
        &self.parts.plugin
    }
}

impl Parts {
    fn of(
        kind: PluginKind,
        instance: &Instance,
        claim: Claim<'_>,
        settings: &Settings,
        stop: &Arc<Stop>,
    ) -> Self {
        mask_secrets(instance, claim);
        let version = &claim.library.identity().crate_version;
        let name = format!("{} {} ({} {version})", kind.word(), instance.id, claim.name);
        let caller = Caller::new(name, settings.recorder.as_deref());
        Self {
            id: instance.id.clone(),
            plugin: claim.name.to_owned(),
            options: serde_json::to_vec(&instance.options).expect("a map of JSON values serialises"),
            state_folder: settings.folder.instance(&instance.id).to_string_lossy().into_owned(),
            context: Context::leaked(&instance.id, caller, stop),
        }
    }
}

/// The error of a plugin that asks the host to store more than the contract allows.
pub(super) fn too_long(kind: &str, what: &str, bytes: usize, limit: usize) -> PluginError {
    PluginError::bug(format!(
        "plugin bug: the {kind} returned a {what} of {bytes} bytes; the limit is {limit}"
    ))
}

/// Redacts the values of secret options in everything that the plugin tells the host.
fn mask_secrets(instance: &Instance, claim: Claim<'_>) {
    let descriptor = claim.library.descriptor(claim.kind, claim.name).ok();
    let is_secret = |name: &str| {
        descriptor.and_then(|descriptor| descriptor.option(name)).is_some_and(|option| option.secret)
            || instance.origins.get(name).is_some_and(|origin| origin.is_credential)
    };
    for (_, value) in instance.options.iter().filter(|(name, _)| is_secret(name)) {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        items.iter().filter_map(|item| item.as_str()).for_each(mask);
    }
}

fn not_available(error: impl std::fmt::Display) -> PluginError {
    PluginError::config(error.to_string())
}

impl Context {
    fn leaked(instance: &str, caller: Caller, stop: &Arc<Stop>) -> &'static Self {
        Box::leak(Box::new(Self {
            instance: instance.to_owned(),
            caller,
            stop: Arc::clone(stop),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }))
    }

    fn table(&'static self) -> HostTable2 {
        HostTable2 {
            context: std::ptr::from_ref(self).cast(),
            log_level: telemetry::plugins_level(),
            log: host::log,
            is_cancelled: host::is_cancelled,
            wait_cancelled: host::wait_cancelled,
            progress: host::progress,
        }
    }
}

/// The functions of `host/1`: what a plugin calls.
#[expect(unsafe_code, reason = "a plugin hands back the context that the host gave it")]
mod host {
    use super::{Context, Duration, Ordering, masked, telemetry};

    /// # Safety
    /// `context` is one that [`Context::table`] gave out; such a context is never freed.
    unsafe fn of(context: *const ()) -> &'static Context {
        // SAFETY: see above.
        unsafe { &*context.cast::<Context>() }
    }

    pub(super) extern "C" fn log(
        context: *const (),
        level: u32,
        target: scanbridge_plugin_api::abi::BytesRef<'_>,
        message: scanbridge_plugin_api::abi::BytesRef<'_>,
    ) {
        // SAFETY: plugins hand back what they were given.
        let context = unsafe { of(context) };
        telemetry::plugin_line(&context.instance, level, &target.to_text(), &masked(&message.to_text()));
    }

    pub(super) extern "C" fn is_cancelled(context: *const ()) -> u32 {
        // SAFETY: as above.
        unsafe { of(context) }.stop.is_given().into()
    }

    pub(super) extern "C" fn wait_cancelled(context: *const (), milliseconds: u64) -> u32 {
        // SAFETY: as above.
        unsafe { of(context) }.stop.wait(Duration::from_millis(milliseconds)).into()
    }

    pub(super) extern "C" fn progress(context: *const (), done: u64, total: u64) {
        // SAFETY: as above.
        let context = unsafe { of(context) };
        context.done.store(done, Ordering::Relaxed);
        context.total.store(total, Ordering::Relaxed);
        context.told.fetch_add(1, Ordering::Relaxed);
    }
}
