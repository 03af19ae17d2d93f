//! Opens a pipeline so that it can be read without any effect: nothing is written to its state, and nothing changes at its
//! sources and destinations.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::{ErrorKind, PluginError, Purpose};
use tempfile::TempDir;

use crate::config::Pipeline;
use crate::pipeline::{
    self, Failure, Head, KindCounts, OpenPipeline, Settings, Stop, Summary, Trigger, Watchers,
};
use crate::plugins::Registry;
use crate::state::{Ledger, StateFolder};

/// What the outputs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// They render.
    Render,
    /// They are opened once; what they would get is counted and discarded.
    Discard,
}

/// A pipeline that is open for reading.
#[derive(Debug)]
pub(crate) struct ReadOnlyPipeline {
    pub(crate) opened: OpenPipeline,
    /// The directories of the instances. Removed at the end.
    pub(crate) folder: TempDir,
}

/// Opens all instances with a copy of the pipeline's state, which is discarded.
///
/// # Errors
/// When an instance cannot be opened, the state cannot be read, or reading would have an effect (exit code 64).
pub(crate) fn open(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
    outputs: Outputs,
    stop: &Arc<Stop>,
) -> Result<ReadOnlyPipeline, Vec<Failure>> {
    let (settings, folder) = settings(pipeline, state, Purpose::Preview)?;
    let settings = Settings { until_idle: true, discards: outputs == Outputs::Discard, ..settings };
    let opened = pipeline::open_all(pipeline, registry, settings, stop);
    let opened =
        opened.map_err(|errors| errors.into_iter().map(|error| error.failure).collect::<Vec<_>>())?;
    let errors: Vec<Failure> = opened.open_errors().into_iter().map(|error| error.failure).collect();
    let failures = if errors.is_empty() { opened.effects() } else { errors };
    if failures.is_empty() { Ok(ReadOnlyPipeline { opened, folder }) } else { Err(failures) }
}

/// Settings with a copy of the pipeline's state, and the temporary directory of its instances.
///
/// # Errors
/// When the state cannot be read, or the directory cannot be created.
pub(crate) fn settings(
    pipeline: &Pipeline,
    state: &Path,
    purpose: Purpose,
) -> Result<(Settings, TempDir), Vec<Failure>> {
    let ledger = StateFolder::of(state, &pipeline.state_name()).ledger();
    let ledger = ledger.exists().then(|| Ledger::read_copy(&ledger)).transpose();
    let ledger = ledger.map_err(|error| vec![Failure::of_state("state", &error)])?;
    let folder = tempfile::Builder::new().prefix("scanbridge-").tempdir().map_err(|error| {
        let message = format!("cannot create a temporary directory: {error}");
        vec![Failure::new("state", &PluginError::new(ErrorKind::CannotCreate, message))]
    })?;
    let settings = Settings {
        ledger: ledger.map(Arc::new),
        ..Settings::without_run(StateFolder::of(folder.path(), &pipeline.state_name()), purpose)
    };
    Ok((settings, folder))
}

/// Reads everything that a run would read now, and counts what the outputs would get.
///
/// # Errors
/// As for [`open`].
pub(crate) fn dry_run(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
    stop: &Arc<Stop>,
    watchers: &Watchers,
) -> Result<Summary, Vec<Failure>> {
    let head = Head { dry_run: true, ..Head::of(pipeline, Trigger::Command) };
    let ReadOnlyPipeline { opened, folder: _folder } =
        open(pipeline, registry, state, Outputs::Discard, stop)?;
    let (mut summary, _) = pipeline::run(opened, Arc::clone(stop), watchers);
    summary.head = head.ended();
    for output in &mut summary.outputs {
        output.would_deliver = Some(mem::take(&mut output.records));
        output.records_by_kind = KindCounts::default();
    }
    Ok(summary)
}
