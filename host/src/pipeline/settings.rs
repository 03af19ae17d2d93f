//! What a run or another command opens its instances with.

use std::sync::Arc;

use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::{PluginKind, Purpose, ReportChoice, ReportKey};

use crate::compare::RunComparison;
use crate::plugins::CallRecorder;
use crate::state::{ChangedOptions, Checkpoint, Choice, Ledger, StateFolder};

/// State directory of a run and the checkpoint that it resumes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// State directory of the pipeline.
    pub folder: StateFolder,
    /// The checkpoint to resume; empty for a run from the beginning.
    pub from: Checkpoint,
    /// The ledger; `None` for commands that deliver nothing.
    pub ledger: Option<Arc<Ledger>>,
    /// Number of the run, for dead letters.
    pub run: u64,
    /// Records the calls in progress for the next run; `None` for a check.
    pub recorder: Option<Arc<CallRecorder>>,
    /// Why the instances are opened.
    pub purpose: Purpose,
    /// The reports that are read again, and the `id` of their input, which is opened alone. `None` for a run that reads
    /// everything.
    pub reports: Option<(String, Vec<ReportKey>)>,
    /// The reports that an operator has chosen, and the `id` of their input, which is opened alone. `None` for a run that
    /// reads what its inputs find.
    pub choice: Option<Choice>,
    /// Whether each input ends as soon as it has nothing to read now.
    pub until_idle: bool,
    /// Whether the outputs are only opened, and what they would get is discarded.
    pub discards: bool,
    /// Options that differ from those of the run that is resumed.
    pub options_changed: ChangedOptions,
    /// The part of the source that the input reads; `None` for all of it.
    pub share: Option<Share>,
    /// The comparison with the findings of the last run; `None` if nothing is compared.
    pub(crate) comparison: Option<Arc<RunComparison>>,
}

impl Settings {
    /// Whether the run stores checkpoints.
    pub(super) fn has_checkpoints(&self) -> bool {
        self.ledger.is_some() && self.purpose == Purpose::Run && self.reports.is_none()
    }

    /// The only input that is opened; `None` for all.
    pub(super) fn only_input(&self) -> Option<&str> {
        let of_reports = self.reports.as_ref().map(|(id, _)| id.as_str());
        of_reports.or(self.choice.as_ref().map(|choice| choice.input.as_str()))
    }

    /// The choice for an instance.
    pub(super) fn choice_of(&self, kind: PluginKind, id: &str) -> Option<ReportChoice> {
        let choice = self.choice.as_ref().filter(|choice| kind == PluginKind::Input && choice.input == id)?;
        Some(ReportChoice::new(choice.ids.clone(), choice.again))
    }

    /// Settings for a command that delivers nothing.
    #[must_use]
    pub fn without_run(folder: StateFolder, purpose: Purpose) -> Self {
        Self {
            folder,
            from: Checkpoint::default(),
            ledger: None,
            run: 0,
            recorder: None,
            purpose,
            reports: None,
            choice: None,
            until_idle: false,
            discards: false,
            options_changed: ChangedOptions::new(),
            share: None,
            comparison: None,
        }
    }
}
