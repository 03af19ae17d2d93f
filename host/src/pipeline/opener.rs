//! Opens instances of one plugin, repeatedly: with the same options, at different positions or receipts.

use std::sync::Arc;
use std::time::Duration;

use scanbridge_plugin_api::abi::{
    API, HostTable2, InputHandle, InputTable2, KeeperTable1, OutputHandle, OutputTable2, RenderTable1,
    ReportsTable1, mask,
};
use scanbridge_plugin_api::batch::Schema;
use scanbridge_plugin_api::keeper::{Pairs, Share};
use scanbridge_plugin_api::{
    ErrorKind, Fips, InputCapabilities, KeepsCheckpoint, LateAnswers, OpenFrame, OutputCapabilities,
    PluginError, PluginKind, Position, Purpose, Receipt, ReportChoice, Resume,
};

use super::machine;
use super::settings::Settings;
use super::stop::Stop;
use crate::config::{Instance, Pipeline};
use crate::encryption::Encryption;
use crate::plugins::Claim;
use crate::plugins::call::Caller;
use crate::plugins::context::Context;
use crate::plugins::instance_thread::{CallLimits, InstanceThread};
use crate::plugins::services::leaked_table;
use crate::state::InstanceKeys;

/// Opens instances of one input.
pub(super) type InputOpener = Opener<InputTables, InputCapabilities>;
/// Opens instances of one output.
pub(super) type OutputOpener = Opener<OutputTables, OutputCapabilities>;

/// The functions of an input, and those for stored reports, if it has them.
pub(super) type InputTables = (InputTable2, Option<ReportsTable1>);

/// The functions of an output, and those with which it renders and keeps the checkpoint, if it can.
pub(super) type OutputTables = (OutputTable2, Option<RenderTable1>, Option<KeeperTable1>);

/// Opens the instances of one input or output of the pipeline.
pub(super) struct Opener<T, C> {
    table: T,
    /// Capabilities of the plugin.
    declared: C,
    plugin: String,
    /// Contains the options, including secrets.
    frame: Arc<OpenFrame>,
    /// The reports that an input delivers; `None` for those that it finds itself.
    choice: Option<ReportChoice>,
    context: &'static Context,
    /// The host table of the context.
    host: &'static HostTable2,
    limits: CallLimits,
    /// Whether the run stores checkpoints.
    has_checkpoints: bool,
}

impl<T, C> std::fmt::Debug for Opener<T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.id(), self.plugin)
    }
}

impl<T, C> Opener<T, C> {
    pub(super) fn new(
        table: T,
        declared: C,
        kind: PluginKind,
        instance: &Instance,
        claim: Claim<'_>,
        run: RunOfInstance<'_>,
    ) -> Self {
        mask_secrets(instance, claim);
        let version = &claim.library.identity().crate_version;
        let name = format!("{} {} ({} {version})", kind.word(), instance.id, claim.name);
        let settings = run.settings;
        let caller = Caller::new(name, settings.recorder.as_deref());
        let limits = CallLimits::of(run.hang);
        let keys = InstanceKeys::new(&instance.id, settings.ledger.clone(), settings.purpose);
        let context = Context::leaked(keys, caller, run.stop);
        Self {
            table,
            declared,
            plugin: claim.name.to_owned(),
            frame: Arc::new(frame(kind, instance, run, limits)),
            choice: settings.choice_of(kind, &instance.id),
            context,
            host: leaked_table(context),
            limits,
            has_checkpoints: settings.has_checkpoints(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.frame.instance
    }

    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The FIPS mode of its instances.
    pub(super) fn fips(&self) -> Fips {
        self.frame.fips
    }

    /// Capabilities of the plugin.
    pub(super) fn declared(&self) -> C
    where
        C: Copy,
    {
        self.declared
    }

    /// Whether the instance is informed about what is stored: not if it reads only some reports, which an output has missed, because
    /// another output may still miss them, and not if it must change nothing.
    pub(super) fn is_informed(&self) -> bool {
        self.frame.reports.is_none() && !self.frame.purpose.is_read_only()
    }

    pub(super) fn context(&self) -> &'static Context {
        self.context
    }

    pub(super) fn limits(&self) -> CallLimits {
        self.limits
    }

    /// Starts a thread for an instance.
    pub(super) fn thread<H: Send + 'static>(&self) -> InstanceThread<H> {
        InstanceThread::start(self.id(), self.context)
    }
}

/// The run that an instance belongs to.
#[derive(Clone, Copy)]
pub(super) struct RunOfInstance<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Arc<Stop>,
    /// Time limit of a call without progress.
    pub(super) hang: Duration,
    /// Whether an input waits for new reports, so that the run has no end of its own. Outputs only.
    pub(super) endless: bool,
}

/// What this host passes to every instance.
pub(crate) fn new_frame(pipeline: &str, instance: &str, purpose: Purpose, limits: CallLimits) -> OpenFrame {
    let mut frame = OpenFrame::default();
    API.clone_into(&mut frame.api);
    frame.host = format!("Scanbridge {}", env!("CARGO_PKG_VERSION"));
    pipeline.clone_into(&mut frame.pipeline);
    instance.clone_into(&mut frame.instance);
    frame.purpose = purpose;
    frame.limits.hang_ms = u64::try_from(limits.hang.as_millis()).unwrap_or(u64::MAX);
    frame
}

fn frame(kind: PluginKind, instance: &Instance, run: RunOfInstance<'_>, limits: CallLimits) -> OpenFrame {
    let RunOfInstance { pipeline, settings, .. } = run;
    let mut frame = new_frame(&pipeline.name, &instance.id, settings.purpose, limits);
    frame.run = settings.run;
    frame.options.clone_from(&instance.options);
    frame.options_changed = settings.options_changed.get(&instance.id).cloned().unwrap_or_default();
    if kind == PluginKind::Output {
        let output = pipeline.outputs.iter().find(|output| output.instance.id == instance.id);
        let encryption = output.and_then(|output| output.encryption.as_ref());
        frame.encrypted = encryption.map(Encryption::field_names).unwrap_or_default();
    }
    if kind == PluginKind::Input {
        frame.reports = settings.reports.as_ref().map(|(_, reports)| reports.clone());
        frame.share = settings.share;
    }
    frame.state_folder = settings.folder.instance(&instance.id);
    frame.endless = run.endless;
    frame.fips = instance.fips;
    frame.connector = machine::identity(&pipeline.connector);
    frame
}

impl InputOpener {
    /// Opens an instance on its thread. Returns its columns, its capabilities, and what reading would change at its source.
    /// An empty position is the beginning.
    pub(super) fn open(
        &self,
        thread: &mut InstanceThread<InputHandle>,
        position: &Position,
    ) -> Result<(Schema, InputCapabilities, Option<PluginError>), PluginError> {
        let ((table, reports), frame, host) = (self.table, Arc::clone(&self.frame), self.host);
        let position = (!position.0.is_empty()).then(|| position.clone());
        let declared = self.declared;
        let opened = thread.call("open", self.limits, move |handle| {
            let opened = InputHandle::open(table, &frame, position.as_ref(), host)?.with_reports(reports);
            let capabilities = opened.capabilities().map_or(declared, |answer| answer.at_most(declared));
            let (schema, effect) = (opened.schema().clone(), opened.effect().cloned());
            tracing::debug!(event = "opened", instance = frame.instance, "input opened");
            *handle = Some(opened);
            Ok((schema, capabilities, effect))
        })?;
        if let Some(choice) = self.choice.clone() {
            let closed = || PluginError::new(ErrorKind::Unavailable, "the input is closed");
            thread.call("choose", self.limits, move |handle| {
                handle.as_mut().ok_or_else(closed)?.choose_reports(&choice)
            })?;
        }
        Ok(opened)
    }
}

impl OutputOpener {
    /// Whether its instances keep the checkpoint if they can: in runs that have one.
    pub(super) fn is_keeper(&self) -> bool {
        self.has_checkpoints
    }

    /// Whether the plugin can render.
    pub(super) fn renders(&self) -> bool {
        self.table.1.is_some()
    }

    /// Opens an instance on its thread. Returns its capabilities.
    pub(super) fn open(
        &self,
        thread: &mut InstanceThread<OutputHandle>,
        receipt: Option<&Receipt>,
    ) -> Result<OutputCapabilities, PluginError> {
        let ((table, render, keeper), frame, host) = (self.table, Arc::clone(&self.frame), self.host);
        let (receipt, declared, is_keeper) = (receipt.cloned(), self.declared, self.is_keeper());
        thread.call("open", self.limits, move |handle| {
            let opened = OutputHandle::open(table, &frame, receipt.as_ref(), host)?;
            let opened = opened.with_render(render).with_keeper(keeper);
            let mut capabilities = opened.capabilities().map_or(declared, |answer| answer.at_most(declared));
            if is_keeper && capabilities.keeps_checkpoint == KeepsCheckpoint::Yes {
                // A commit stores findings and checkpoint, or neither.
                (capabilities.resume, capabilities.late_answers) = (Resume::Exact, LateAnswers::None);
            }
            tracing::debug!(event = "opened", instance = frame.instance, "output opened");
            *handle = Some(opened);
            Ok(capabilities)
        })
    }

    /// Closes the instance, if it is open.
    pub(super) fn close(&self, thread: &mut InstanceThread<OutputHandle>) -> Result<(), PluginError> {
        thread.call("close", self.limits, |handle| handle.take().map_or(Ok(()), OutputHandle::close))
    }

    /// What an instance that keeps the checkpoint has stored, and the part of the source that its input reads.
    pub(super) fn load(
        &self,
        thread: &mut InstanceThread<OutputHandle>,
    ) -> Result<(Share, Pairs), PluginError> {
        thread.call("load", self.limits, |handle| {
            let closed = || PluginError::new(ErrorKind::Unavailable, "the output is closed");
            let handle = handle.as_mut().ok_or_else(closed)?;
            Ok((handle.share(), handle.load()?))
        })
    }
}

/// Redacts the values of secret options in everything that the plugin reports to the host.
fn mask_secrets(instance: &Instance, claim: Claim<'_>) {
    let descriptor = claim.library.descriptor(claim.kind, claim.name).ok();
    let is_secret = |name: &str| {
        descriptor.and_then(|descriptor| descriptor.option(name)).is_some_and(|option| option.secret)
            || instance.origins.get(name).is_some_and(|origin| origin.is_credential)
    };
    for (_, value) in instance.options.iter().filter(|(name, _)| is_secret(name)) {
        texts(value).into_iter().for_each(mask);
    }
}

/// The texts of a value, of the items of a list or of the values of a map.
fn texts(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(texts).collect(),
        serde_json::Value::Object(values) => values.values().flat_map(texts).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

/// The error of a plugin whose data exceeds the limit of the contract.
pub(super) fn too_long(kind: &str, what: &str, bytes: usize, limit: usize) -> PluginError {
    PluginError::bug(format!(
        "plugin bug: the {kind} returned a {what} of {bytes} bytes; the limit is {limit}"
    ))
}
