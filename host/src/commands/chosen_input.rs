//! The input whose stored reports a command lists, sends or skips.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanbridge_plugin_api::{ReportMarks, ReportQuery};

use super::preparation::{Source, registry};
use super::run::{print_failures, state_folder, stoppable};
use super::service::Owner;
use super::summary::failures_of;
use crate::cli::{CommonOptions, ReportFilter};
use crate::config::{InputInstance, Pipeline};
use crate::exit_code::worst;
use crate::pipeline::{Failure, Stop};
use crate::plugins::Registry;
use crate::reports::{self, OfferedReport};

/// `EX_TEMPFAIL`.
const IN_USE: u8 = 75;
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

/// A checked pipeline, one input of which has stored reports.
pub(super) struct ChosenInput {
    pub(super) pipeline: Pipeline,
    pub(super) registry: Registry,
    /// Index of the input.
    index: usize,
    /// State directory of all pipelines.
    state: PathBuf,
    stop: Arc<Stop>,
}

impl ChosenInput {
    /// The input with this `id`, else the only one with stored reports. If a service runs the pipeline, its state directory
    /// is used.
    ///
    /// # Errors
    /// When the pipeline is invalid, there is no such input, or the service does not respond.
    pub(super) fn open(file: &Path, id: Option<&str>, common: &CommonOptions) -> Result<Self, Refused> {
        let owner = Owner::of(file, common).map_err(Refused::by_silent_service)?;
        let state = owner.map_or_else(|| state_folder(common), |owner| owner.state_dir);
        let registry = registry(common);
        let pipeline = Source::File(file).checked(&registry, NOTHING_DONE);
        let pipeline =
            pipeline.map_err(|problems| Refused { failures: failures_of(&problems), is_printed: true })?;
        let index = reports::choosing_input(&pipeline, &registry, id)?;
        Ok(Self { index, pipeline, registry, state, stop: stoppable("") })
    }

    /// Like [`ChosenInput::open`], for a command that runs the pipeline: two processes must not run it.
    ///
    /// # Errors
    /// Also when a service runs the pipeline.
    pub(super) fn open_to_run(
        file: &Path,
        id: Option<&str>,
        common: &CommonOptions,
    ) -> Result<Self, Refused> {
        let Some(owner) = Owner::of(file, common).map_err(Refused::by_silent_service)? else {
            return Self::open(file, id, common);
        };
        let Owner { name, state_dir, .. } = owner;
        let hint = format!(
            "pause it with `scanbridge service pause {name}`, repeat this command with --state-dir {}, then \
             `scanbridge service resume {name}`",
            state_dir.display()
        );
        let message = format!("a service runs this pipeline as `{name}`");
        Err(Failure::of_command("pipeline", &message, Some(&hint), IN_USE).into())
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
