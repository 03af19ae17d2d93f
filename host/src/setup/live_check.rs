//! Tries an unfinished pipeline on this machine. Nothing is delivered, and no saved state is changed.

use std::path::PathBuf;
use std::sync::Arc;

use scanbridge_plugin_api::{PluginError, Purpose, Verdict};

use crate::cli::show_preview;
use crate::config::Pipeline;
use crate::pipeline::{self, Failure, Settings, Stop};
use crate::plugins::Registry;
use crate::read_only::{self, Outputs, ReadOnlyPipeline};
use crate::state::StateFolder;

/// What a plugin found about its options or its peer.
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) message: String,
    /// What the operator can do; may be empty.
    pub(crate) hint: String,
    /// The option that it is about, if the plugin names one.
    pub(crate) option: Option<String>,
}

/// Opens plugins. A trait, so that tests need no plugins.
pub(crate) trait Trial {
    /// Opens the instances of a pipeline, which may have no output, and lets them check themselves. With `probe`, they
    /// contact their peers.
    fn open(&self, pipeline: &Pipeline, probe: bool) -> Vec<Finding>;

    /// The first findings as the outputs would write them, as text, or why there are none.
    fn preview(&self, pipeline: &Pipeline, count: u64) -> String;
}

/// The installed plugins.
pub(crate) struct Machine<'a> {
    pub(crate) registry: &'a Registry,
    /// The state directory of all pipelines.
    pub(crate) state: PathBuf,
}

impl Trial for Machine<'_> {
    fn open(&self, pipeline: &Pipeline, probe: bool) -> Vec<Finding> {
        let purpose = if probe { Purpose::Probe } else { Purpose::Check };
        let folder = StateFolder::of(&self.state, &pipeline.state_name());
        let settings = Settings::without_run(folder, purpose);
        let mut opened =
            match pipeline::open_all(pipeline, self.registry, settings, &Arc::new(Stop::default())) {
                Ok(opened) => opened,
                Err(errors) => {
                    let failed = |error: pipeline::OpenError| match error.cause {
                        Some(cause) => of_error(&cause),
                        None => of_failure(error.failure),
                    };
                    return errors.into_iter().map(failed).collect();
                }
            };
        let mut found: Vec<Finding> =
            opened.open_errors().into_iter().map(|error| of_failure(error.failure)).collect();
        for (_, report) in opened.check(probe) {
            match report {
                Err(error) => found.push(of_error(&error)),
                Ok(report) => found.extend(report.steps.into_iter().map(|step| Finding {
                    verdict: step.verdict,
                    message: format!("{}: {}", step.name, step.detail),
                    hint: String::new(),
                    option: step.option,
                })),
            }
        }
        found
    }

    fn preview(&self, pipeline: &Pipeline, count: u64) -> String {
        let stop = Arc::new(Stop::default());
        match read_only::open(pipeline, self.registry, &self.state, Outputs::Render, &stop) {
            Err(failures) => in_words(&failures),
            Ok(ReadOnlyPipeline { opened, folder: _folder }) => {
                let preview = pipeline::preview(opened, count, &stop);
                show_preview(&preview) + &in_words(&preview.failures)
            }
        }
    }
}

fn of_error(error: &PluginError) -> Finding {
    Finding {
        verdict: Verdict::Failed,
        message: error.message.clone(),
        hint: error.hint.clone().unwrap_or_default(),
        option: error.option.clone(),
    }
}

fn of_failure(failure: Failure) -> Finding {
    let hint = failure.hint.unwrap_or_default();
    Finding { verdict: Verdict::Failed, message: failure.message, hint, option: None }
}

fn in_words(failures: &[Failure]) -> String {
    let line = |failure: &Failure| {
        let hint = failure.hint.as_ref().map(|hint| format!("  ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}\n", failure.instance, failure.message)
    };
    failures.iter().map(line).collect()
}
