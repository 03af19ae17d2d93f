//! The input whose stored reports a command lists, sends or skips.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanbridge_plugin_api::{ReportMarks, ReportQuery};

use super::preparation::{Source, registry};
use super::run::{print_failures, state_folder, stoppable};
use super::saved_states::SavedStates;
use super::service::Owner;
use super::summary::failures_of;
use crate::cli::{CommonOptions, OneInstance, ReportFilter};
use crate::config::{InputInstance, Pipeline};
use crate::exit_code::worst;
use crate::pipeline::{Failure, Stop};
use crate::plugins::Registry;
use crate::reports::{self, OfferedReport};

/// End of the last error line.
const NOTHING_DONE: &str = "; nothing was changed";

/// Why a command has done nothing.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) failures: Vec<Failure>,
    pub(super) is_printed: bool,
}

impl Refused {
    /// Prints the failures. Returns the exit code.
    pub(super) fn print(&self) -> u8 {
        if !self.is_printed {
            print_failures(&self.failures, NOTHING_DONE);
        }
        worst(self.failures.iter().map(|failure| failure.exit_code))
    }

    fn by_silent_service(code: u8) -> Self {
        let failures = vec![Failure::of_command("service", "the service does not respond", None, code)];
        Self { failures, is_printed: true }
    }
}

impl From<Vec<Failure>> for Refused {
    fn from(failures: Vec<Failure>) -> Self {
        Self { failures, is_printed: false }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        vec![failure].into()
    }
}

/// The service that runs this pipeline file.
///
/// # Errors
/// When a service exists that does not respond.
pub(super) fn owner(file: &Path, common: &CommonOptions) -> Result<Option<Owner>, Refused> {
    Owner::of(file, common).map_err(Refused::by_silent_service)
}

/// A checked pipeline, one input of which has stored reports.
pub(super) struct ChosenInput {
    pub(super) pipeline: Pipeline,
    pub(super) registry: Registry,
    /// Index of the input.
    index: usize,
    /// State directory of all pipelines.
    state: PathBuf,
    stop: Arc<Stop>,
    /// The service that runs the pipeline.
    pub(super) owner: Option<Owner>,
}

impl ChosenInput {
    /// The input with this `id`, else the only one with stored reports, of this instance of the pipeline. If a service runs
    /// the pipeline, its state directory is used.
    ///
    /// # Errors
    /// When the pipeline is invalid, there is no such input or instance, several instances and none is chosen, or the service
    /// does not respond.
    pub(super) fn open(
        source: Source<'_>,
        (id, chosen): (Option<&str>, OneInstance),
        common: &CommonOptions,
    ) -> Result<Self, Refused> {
        let mut owner = match source {
            Source::File(file) => owner(file, common)?,
            // The service itself calls this command.
            Source::Bundle(_) => None,
        };
        let state = owner.as_ref().map_or_else(|| state_folder(common), |owner| owner.state_dir.clone());
        let registry = registry(common);
        let pipeline = source.checked(&registry, NOTHING_DONE);
        let mut pipeline =
            pipeline.map_err(|problems| Refused { failures: failures_of(&problems), is_printed: true })?;
        let states = SavedStates::of_pipeline(&pipeline, owner.as_ref(), common);
        let only = states.only(chosen.run_instance).map_err(|error| Failure::of_state("reports", &error))?;
        pipeline.choose_instance(only.run_instance);
        if let Some(owner) = &mut owner {
            owner.name = only.name;
        }
        let index = reports::choosing_input(&pipeline, &registry, id)?;
        Ok(Self { index, pipeline, registry, state, stop: stoppable(""), owner })
    }

    /// The input.
    pub(super) fn input(&self) -> &InputInstance {
        &self.pipeline.inputs[self.index]
    }

    /// The stored reports, newest first.
    ///
    /// # Errors
    /// As for [`reports::list`].
    pub(super) fn list(&self, filter: &ReportFilter) -> Result<Vec<OfferedReport>, Refused> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let query = ReportQuery::default()
            .with_since(text(&filter.since))
            .with_until(text(&filter.until))
            .with_text(text(&filter.text));
        let Self { pipeline, registry, state, stop, .. } = self;
        Ok(reports::list(pipeline, registry, state, self.input(), &query, stop)?)
    }

    /// Makes reports count as sent, or no longer. Returns how many were changed.
    ///
    /// # Errors
    /// As for [`reports::mark`].
    pub(super) fn mark(&self, marks: ReportMarks) -> Result<u64, Refused> {
        let Self { pipeline, registry, state, stop, .. } = self;
        Ok(reports::mark(pipeline, registry, state, self.input(), marks, stop)?)
    }
}
