//! Opens the plugin instances that a pipeline names: everything is open before anything runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scanbridge_plugin_api::abi::{HostTable1, InputHandle, OutputHandle};
use scanbridge_plugin_api::{CheckReport, PluginError, PluginKind};

use super::stop::Stop;
use super::summary::Failure;
use crate::config::{Filter, Instance, OutputInstance, Pipeline};
use crate::plugins::Registry;
use crate::telemetry;

/// What the operator chose for a run outside the pipeline file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder under which each pipeline's instances keep their state.
    pub state_folder: PathBuf,
}

/// A pipeline whose plugins are open.
#[derive(Debug)]
pub struct Built {
    pub(super) inputs: Vec<OpenInput>,
    pub(super) outputs: Vec<OpenOutput>,
    /// Outputs that are not required and could not be opened: the run goes on without them.
    pub(super) absent: Vec<AbsentOutput>,
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
    pub(super) id: String,
    pub(super) plugin: String,
    pub(super) handle: InputHandle,
    pub(super) context: &'static Context,
}

#[derive(Debug)]
pub(super) struct OpenOutput {
    /// Its place in the pipeline file, from 0.
    pub(super) place: usize,
    pub(super) id: String,
    pub(super) plugin: String,
    pub(super) handle: OutputHandle,
    pub(super) required: bool,
    pub(super) filters: Vec<Filter>,
}

/// The host's side of one instance. It lives as long as the process, for a plugin's thread may call at any time.
#[derive(Debug)]
pub(super) struct Context {
    instance: String,
    stop: Arc<Stop>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Context {
    /// Bytes done and bytes in all; 0 of 0 while nothing is known.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

impl Built {
    /// Why outputs were left behind.
    pub(crate) fn absences(&self) -> Vec<Failure> {
        self.absent.iter().map(|output| output.failure.clone()).collect()
    }

    /// Asks every instance whether it would work now. Moves no data.
    pub(crate) fn probe(&mut self) -> Vec<(String, Result<CheckReport, PluginError>)> {
        let inputs = self.inputs.iter_mut().map(|input| (input.id.clone(), input.handle.check()));
        let outputs = self.outputs.iter_mut().map(|output| (output.id.clone(), output.handle.check()));
        inputs.chain(outputs).collect()
    }
}

/// Opens every instance of the pipeline. `stop` ends the inputs; the outputs then drain. An output that is not
/// required and cannot be opened is left behind, as one that fails later would be.
///
/// # Errors
/// Every instance that could not be opened, so that all can be mended at once: when an input or a required output
/// is among them, or no output is left.
pub fn build(
    pipeline: &Pipeline,
    registry: &Registry,
    settings: &Settings,
    stop: &Arc<Stop>,
) -> Result<Built, Vec<Failure>> {
    let name = pipeline.file.file_stem().unwrap_or(pipeline.file.as_os_str());
    let folder = settings.state_folder.join(name);
    let mut failures = Vec::new();
    let mut built = Built { inputs: Vec::new(), outputs: Vec::new(), absent: Vec::new() };
    for instance in &pipeline.inputs {
        match open_input(instance, registry, &folder, stop) {
            Ok(input) => built.inputs.push(input),
            Err(error) => failures.push(Failure::new(&instance.id, &error)),
        }
    }
    for (place, output) in pipeline.outputs.iter().enumerate() {
        // Outputs outlive the inputs' stop: they finish what they have. A second signal ends the process.
        let never = Arc::new(Stop::default());
        let Instance { id, plugin, .. } = &output.instance;
        match open_output(place, output, registry, &folder, &never) {
            Ok(output) => built.outputs.push(output),
            Err(error) if output.required => failures.push(Failure::new(id, &error)),
            Err(error) => {
                let (id, plugin) = (id.clone(), plugin.clone());
                let failure = Failure::new(&id, &error);
                built.absent.push(AbsentOutput { place, id, plugin, failure });
            }
        }
    }
    if failures.is_empty() && !built.outputs.is_empty() {
        return Ok(built);
    }
    failures.extend(built.absent.into_iter().map(|output| output.failure));
    Err(failures)
}

fn open_input(
    instance: &Instance,
    registry: &Registry,
    folder: &Path,
    stop: &Arc<Stop>,
) -> Result<OpenInput, PluginError> {
    let claim = registry.claim(PluginKind::Input, &instance.plugin).map_err(not_available)?;
    let table = claim.library.input_table(claim.name).map_err(not_available)?;
    let context = Context::leaked(&instance.id, stop);
    let (options, state) = settings_of(instance, folder);
    let handle = InputHandle::open(table, &options, &instance.id, &state, context.table(), &[])?;
    Ok(OpenInput { id: instance.id.clone(), plugin: claim.name.to_owned(), handle, context })
}

fn open_output(
    place: usize,
    output: &OutputInstance,
    registry: &Registry,
    folder: &Path,
    stop: &Arc<Stop>,
) -> Result<OpenOutput, PluginError> {
    let instance = &output.instance;
    let claim = registry.claim(PluginKind::Output, &instance.plugin).map_err(not_available)?;
    let table = claim.library.output_table(claim.name).map_err(not_available)?;
    let context = Context::leaked(&instance.id, stop);
    let (options, state) = settings_of(instance, folder);
    let handle = OutputHandle::open(table, &options, &instance.id, &state, context.table(), &[])?;
    Ok(OpenOutput {
        place,
        id: instance.id.clone(),
        plugin: claim.name.to_owned(),
        handle,
        required: output.required,
        filters: output.filters.clone(),
    })
}

/// The options as they cross, and the instance's own folder below that of the pipeline.
fn settings_of(instance: &Instance, folder: &Path) -> (Vec<u8>, String) {
    let options = serde_json::to_vec(&instance.options).expect("a map of JSON values serialises");
    (options, folder.join(&instance.id).to_string_lossy().into_owned())
}

fn not_available(error: impl std::fmt::Display) -> PluginError {
    PluginError::config(error.to_string())
}

impl Context {
    fn leaked(instance: &str, stop: &Arc<Stop>) -> &'static Self {
        Box::leak(Box::new(Self {
            instance: instance.to_owned(),
            stop: Arc::clone(stop),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }))
    }

    fn table(&'static self) -> HostTable1 {
        HostTable1 {
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
    use super::{Context, Duration, Ordering, telemetry};

    /// # Safety
    /// `context` is one that [`Context::table`] gave out; such a context is never freed.
    unsafe fn of(context: *const ()) -> &'static Context {
        // SAFETY: see above.
        unsafe { &*context.cast::<Context>() }
    }

    pub(super) extern "C" fn log(
        context: *const (),
        level: u32,
        target: scanbridge_plugin_api::abi::Text<'_>,
        message: scanbridge_plugin_api::abi::Text<'_>,
    ) {
        // SAFETY: plugins hand back what they were given.
        let context = unsafe { of(context) };
        telemetry::plugin_line(&context.instance, level, target.as_str(), message.as_str());
    }

    pub(super) extern "C" fn is_cancelled(context: *const ()) -> bool {
        // SAFETY: as above.
        unsafe { of(context) }.stop.is_given()
    }

    pub(super) extern "C" fn wait_cancelled(context: *const (), milliseconds: u64) -> bool {
        // SAFETY: as above.
        unsafe { of(context) }.stop.wait(Duration::from_millis(milliseconds))
    }

    pub(super) extern "C" fn progress(context: *const (), done: u64, total: u64) {
        // SAFETY: as above.
        let context = unsafe { of(context) };
        context.done.store(done, Ordering::Relaxed);
        context.total.store(total, Ordering::Relaxed);
    }
}
