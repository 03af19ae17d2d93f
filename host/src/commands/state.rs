//! `scanbridge state`.

use std::fs;
use std::path::{Path, PathBuf};

use super::run::{print_failures, state_folder};
use super::terminal::{look, print, print_error, width};
use crate::cli::{CommonOptions, Format, KnownState, StateCommand, export_state, show_state};
use crate::config;
use crate::pipeline::{Failure, Stop};
use crate::session;
use crate::state::{Ledger, Lock, StateError, StateFolder, list_letters};

pub(super) fn execute(command: &StateCommand, common: &CommonOptions) -> u8 {
    match command {
        StateCommand::Show { file, format } => with_folder(file, common, |name, folder| {
            let known = known(name, folder)?;
            say(&match format {
                Format::Text => show_state(&known, width()),
                Format::Json => export_state(&known),
            })
        }),
        StateCommand::Export { file } => {
            with_folder(file, common, |name, folder| say(&export_state(&known(name, folder)?)))
        }
        StateCommand::Reset { file, instance } => {
            with_folder(file, common, |name, folder| reset(name, folder, instance.as_deref()))
        }
    }
}

/// Prints part of an answer.
pub(super) fn say(text: &str) -> Result<(), StateError> {
    print(text).map_err(|error| StateError::io(Path::new("standard output"), &error))
}

/// Calls with the pipeline's name and the folder of its state. No plugin is needed for that.
pub(super) fn with_folder(
    file: &Path,
    common: &CommonOptions,
    work: impl FnOnce(&str, &StateFolder) -> Result<(), StateError>,
) -> u8 {
    let name = match config::read(file) {
        Ok(document) => document.name(),
        Err(problems) => {
            print_error(&problems.render(look()));
            return config::Problems::EXIT_CODE;
        }
    };
    let folder = StateFolder::of(&state_folder(common), &name);
    match work(&name, &folder) {
        Ok(()) => 0,
        Err(error) => {
            print_failures(&[Failure::of_state("state", &error)]);
            error.exit_code
        }
    }
}

fn known(name: &str, folder: &StateFolder) -> Result<KnownState, StateError> {
    let mut known =
        KnownState { name: name.to_owned(), folder: folder.path().to_owned(), ..KnownState::default() };
    known.letters = list_letters(folder)?;
    known.holder = Lock::holder(folder)?.map(|occupied| occupied.to_string());
    if folder.ledger().exists() {
        let ledger = Ledger::look(&folder.ledger())?;
        known.pipeline = Some(ledger.pipeline()?);
        known.checkpoint = ledger.checkpoint()?;
        known.stored = ledger.stored()?;
        known.runs = ledger.runs()?;
        known.reports = ledger.reports()?;
    }
    Ok(known)
}

/// Puts everything aside, or what one instance keeps for itself: then an interrupted run is still gone on with.
fn reset(name: &str, folder: &StateFolder, instance: Option<&str>) -> Result<(), StateError> {
    if !folder.path().exists() {
        return say(&format!("no saved state for pipeline {name}\n"));
    }
    let held = session::lock(folder, name, false, &Stop::default());
    let _lock = held.map_err(|failures| StateError::of_failures(&failures))?;
    let (paths, then) = match instance {
        None => (
            vec![folder.ledger(), folder.instances()],
            format!(
                "state of pipeline {name} was reset: \
             its next run starts from the beginning"
            ),
        ),
        Some(id) => {
            let path = instance_folder(folder, id)?;
            (vec![path], format!("data of `{id}` in pipeline {name} was reset"))
        }
    };
    match archive(folder, &paths)? {
        None => say(&format!("no saved state for pipeline {name}\n")),
        Some(aside) => say(&format!("{then}; the previous state was archived in {}\n", aside.display())),
    }
}

/// Where this instance keeps what is its own.
///
/// # Errors
/// When there is nothing; those that have something are named.
fn instance_folder(folder: &StateFolder, id: &str) -> Result<PathBuf, StateError> {
    let entries = fs::read_dir(folder.instances()).into_iter().flatten().flatten();
    let mut known: Vec<String> =
        entries.filter_map(|entry| entry.file_name().to_str().map(str::to_owned)).collect();
    if known.iter().any(|known| known == id) {
        return Ok(folder.instance(id));
    }
    known.sort();
    let hint = match known.is_empty() {
        true => "no input or output of this pipeline has data of its own".to_owned(),
        false => format!("inputs and outputs with data of their own: {}", known.join(", ")),
    };
    Err(StateError { message: format!("`{id}` has no data of its own"), hint: Some(hint), exit_code: 64 })
}

/// Nothing is thrown away: a folder with the time in its name takes what there was.
fn archive(folder: &StateFolder, paths: &[PathBuf]) -> Result<Option<PathBuf>, StateError> {
    let time = crate::state::now().replace(':', "");
    let aside = folder.path().join(format!("aside-{time}-{}", std::process::id()));
    let mut moved = None;
    for path in paths.iter().filter(|path| path.exists()) {
        fs::create_dir_all(&aside).map_err(|error| StateError::cannot_create(&aside, &error))?;
        let target = aside.join(path.file_name().unwrap_or_default());
        fs::rename(path, &target).map_err(|error| StateError::io(path, &error))?;
        moved = Some(aside.clone());
    }
    Ok(moved)
}
