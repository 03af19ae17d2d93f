//! The saved states that a command is about: one for each instance of the pipeline, in the directory of the service that
//! runs it or of this user.

use std::path::{Path, PathBuf};

use super::preparation::Source;
use super::run::{print_failures, state_folder};
use super::service::Owner;
use super::terminal::{error_style, print_error};
use crate::cli::CommonOptions;
use crate::config::{self, Document, Pipeline};
use crate::exit_code::USAGE;
use crate::pipeline::Failure;
use crate::state::{StateError, StateFolder};

/// The saved state of one instance. Its directory may not exist.
#[derive(Debug)]
pub(super) struct SavedState {
    /// Name of the pipeline; of one of several instances, `NAME.2`.
    pub(super) name: String,
    /// Number of the instance, from 1; `None` for a pipeline with one.
    pub(super) run_instance: Option<u32>,
    pub(super) folder: StateFolder,
}

/// The saved states of all instances of a pipeline.
#[derive(Debug)]
pub(super) struct SavedStates {
    /// The state directory of all pipelines.
    all: PathBuf,
    /// Name of the pipeline without the number of an instance.
    pipeline: String,
    states: Vec<SavedState>,
}

impl SavedStates {
    /// Those of a pipeline file that was not checked.
    pub(super) fn of_document(document: &Document, owner: Option<&Owner>, common: &CommonOptions) -> Self {
        Self::new(document.name(), document.all_instances(), owner, common)
    }

    /// Those of a pipeline.
    pub(super) fn of_pipeline(pipeline: &Pipeline, owner: Option<&Owner>, common: &CommonOptions) -> Self {
        Self::new(pipeline.name.clone(), pipeline.all_instances(), owner, common)
    }

    /// Those of the pipeline of a service.
    pub(super) fn of_service(owner: &Owner, common: &CommonOptions) -> Self {
        Self::new(owner.pipeline().to_owned(), Vec::new(), Some(owner), common)
    }

    /// The service knows how many instances the version has that it runs.
    fn new(
        pipeline: String,
        in_file: Vec<(Option<u32>, String)>,
        owner: Option<&Owner>,
        common: &CommonOptions,
    ) -> Self {
        let all = owner.map_or_else(|| state_folder(common), |owner| owner.state_dir.clone());
        let instances = owner.map_or(in_file, Owner::all_instances).into_iter();
        let state = |(run_instance, name): (Option<u32>, String)| {
            let folder = StateFolder::of(&all, &name);
            SavedState { name, run_instance, folder }
        };
        let states = instances.map(state).collect();
        Self { all, pipeline, states }
    }

    /// The directories of all instances.
    pub(super) fn folders(&self) -> impl Iterator<Item = &StateFolder> {
        self.states.iter().map(|state| &state.folder)
    }

    /// All, or that of this instance. One that the pipeline no longer has can be chosen while its state is there.
    ///
    /// # Errors
    /// When there is no such instance: a usage error.
    pub(super) fn chosen(self, run_instance: Option<u32>) -> Result<Vec<SavedState>, StateError> {
        let Self { all, pipeline, mut states } = self;
        let Some(number) = run_instance else { return Ok(states) };
        let has_one = states.iter().all(|state| state.run_instance.is_none());
        let is_chosen = |state: &SavedState| state.run_instance.unwrap_or(1) == number;
        if let Some(found) = states.iter().position(is_chosen) {
            return Ok(vec![states.swap_remove(found)]);
        }
        let name = format!("{pipeline}.{number}");
        let folder = StateFolder::of(&all, &name);
        if folder.ledger().exists() {
            return Ok(vec![SavedState { name, run_instance: Some(number), folder }]);
        }
        let hint = match has_one {
            true => "it has no `instances`: omit --run-instance".to_owned(),
            false => format!("choose {}", numbers(&states)),
        };
        let message = format!("pipeline {pipeline} has no instance {number}");
        Err(StateError { message, hint: Some(hint), exit_code: USAGE })
    }

    /// The only one, or that of this instance.
    ///
    /// # Errors
    /// When there is no such instance, or several and none is chosen: a usage error.
    pub(super) fn only(self, run_instance: Option<u32>) -> Result<SavedState, StateError> {
        let pipeline = self.pipeline.clone();
        let mut states = self.chosen(run_instance)?;
        match states.pop() {
            Some(only) if states.is_empty() => Ok(only),
            last => {
                states.extend(last);
                let count = states.len();
                Err(StateError {
                    message: format!(
                        "pipeline {pipeline} has {count} instances, each with its own saved state"
                    ),
                    hint: Some(format!("choose {}", numbers(&states))),
                    exit_code: USAGE,
                })
            }
        }
    }
}

/// `one with --run-instance N: 1 or 2`.
fn numbers(states: &[SavedState]) -> String {
    let numbers: Vec<String> =
        states.iter().filter_map(|state| state.run_instance).map(|number| number.to_string()).collect();
    format!("one with --run-instance N: {}", numbers.join(", "))
}

/// Of the chosen states, those that exist.
///
/// # Errors
/// When there is none: that of the first, with exit code 66.
pub(super) fn with_state(states: &[SavedState]) -> Result<Vec<&SavedState>, StateError> {
    let mut existing = Vec::new();
    let mut first_error = None;
    for state in states {
        match require_state(&state.name, &state.folder) {
            Ok(()) => existing.push(state),
            Err(error) if error.exit_code == NO_STATE => first_error = first_error.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match first_error {
        Some(error) if existing.is_empty() => Err(error),
        _ => Ok(existing),
    }
}

/// Refuses a pipeline without saved state.
///
/// # Errors
/// With exit code 66, naming the directory.
pub(super) fn require_state(name: &str, folder: &StateFolder) -> Result<(), StateError> {
    let exists = folder.ledger().try_exists().map_err(|error| StateError::io(&folder.ledger(), &error))?;
    if exists { Ok(()) } else { Err(no_state(&format!("of pipeline {name} "), folder.path())) }
}

pub(super) fn no_state(what: &str, folder: &Path) -> StateError {
    StateError {
        message: format!("no saved state {what}in directory {}", folder.display()),
        hint: Some(
            "a service or another user may keep it elsewhere: set the directory with --state-dir".to_owned(),
        ),
        exit_code: NO_STATE,
    }
}

/// `EX_NOINPUT`.
const NO_STATE: u8 = 66;

/// Calls `work` with the pipeline file and the saved states of its instances: those of the service that runs it, if there
/// is one. Requires no plugin. Returns the exit code.
pub(super) fn with_states(
    file: &Path,
    common: &CommonOptions,
    work: impl FnOnce(&Document, SavedStates) -> Result<(), StateError>,
) -> u8 {
    match Owner::of(file, common) {
        Ok(owner) => with_states_of(Source::File(file), owner.as_ref(), common, work),
        Err(code) => code,
    }
}

/// Like [`with_states`], for a pipeline of this service.
pub(super) fn with_states_of(
    source: Source<'_>,
    owner: Option<&Owner>,
    common: &CommonOptions,
    work: impl FnOnce(&Document, SavedStates) -> Result<(), StateError>,
) -> u8 {
    let document = match source.document() {
        Ok(document) => document,
        Err(problems) => {
            print_error(&problems.render(error_style()));
            return config::Problems::EXIT_CODE;
        }
    };
    match work(&document, SavedStates::of_document(&document, owner, common)) {
        Ok(()) => 0,
        Err(error) => refuse(&error),
    }
}

/// Like [`with_states`], with the state of the chosen instance or of the only one.
pub(super) fn with_one_state(
    file: &Path,
    run_instance: Option<u32>,
    common: &CommonOptions,
    work: impl FnOnce(&Document, &SavedState) -> Result<(), StateError>,
) -> u8 {
    let owner = match Owner::of(file, common) {
        Ok(owner) => owner,
        Err(code) => return code,
    };
    let owned = owner.is_some();
    with_states_of(Source::File(file), owner.as_ref(), common, |document, states| {
        let state = states.only(run_instance)?;
        work(document, &state).map_err(|error| match (error.exit_code, owned) {
            (75, true) => StateError {
                hint: Some(format!(
                    "stop it with `scanbridge service pause {}`, then repeat this command",
                    state.name
                )),
                ..error
            },
            _ => error,
        })
    })
}

/// Prints the error. Returns its exit code.
pub(super) fn refuse(error: &StateError) -> u8 {
    print_failures(&[Failure::of_state("state", error)], "");
    error.exit_code
}
