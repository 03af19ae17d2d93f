//! `scanbridge state`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::run::{print_failures, state_folder};
use super::terminal::{error_style, print, print_error, width};
use crate::cli::{CommonOptions, Format, KnownState, StateCommand, export_state, show_state};
use crate::config::{self, Document};
use crate::pipeline::{Failure, Stop};
use crate::plugins::CallRecorder;
use crate::session;
use crate::state::{Ledger, Lock, StateError, StateFolder, list_dead_letter_files};

pub(super) fn execute(command: &StateCommand, common: &CommonOptions) -> u8 {
    match command {
        StateCommand::Show { file, format } => with_folder(file, common, |document, folder| {
            let known = known(&document.name(), folder)?;
            print_text(&match format {
                Format::Text => show_state(&known, width()),
                Format::Json => export_state(&known),
            })
        }),
        StateCommand::Export { file } => with_folder(file, common, |document, folder| {
            print_text(&export_state(&known(&document.name(), folder)?))
        }),
        StateCommand::Reset { file, instance } => {
            with_folder(file, common, |document, folder| reset(document, folder, instance.as_deref()))
        }
    }
}

/// Prints part of the output.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn print_text(text: &str) -> Result<(), StateError> {
    print(text).map_err(|error| StateError::io(Path::new("standard output"), &error))
}

/// Calls `work` with the pipeline file and the state directory of the pipeline. Requires no plugin. Returns the exit code.
pub(super) fn with_folder(
    file: &Path,
    common: &CommonOptions,
    work: impl FnOnce(&Document, &StateFolder) -> Result<(), StateError>,
) -> u8 {
    let document = match config::read(file) {
        Ok(document) => document,
        Err(problems) => {
            print_error(&problems.render(error_style()));
            return config::Problems::EXIT_CODE;
        }
    };
    let folder = StateFolder::of(&state_folder(common), &document.name());
    match work(&document, &folder) {
        Ok(()) => 0,
        Err(error) => {
            print_failures(&[Failure::of_state("state", &error)], "");
            error.exit_code
        }
    }
}

fn known(name: &str, folder: &StateFolder) -> Result<KnownState, StateError> {
    let mut known =
        KnownState { name: name.to_owned(), folder: folder.path().to_owned(), ..KnownState::default() };
    known.dead_letter_files = list_dead_letter_files(folder)?;
    known.holder = Lock::holder(folder)?.map(|occupied| occupied.to_string());
    known.calls = CallRecorder::read(&folder.calls());
    if folder.ledger().exists() {
        let ledger = Ledger::read_copy(&folder.ledger())?;
        known.pipeline = Some(ledger.pipeline()?);
        known.checkpoint = ledger.checkpoint()?;
        known.stored = ledger.stored()?;
        known.runs = ledger.runs()?;
        known.reports = ledger.reports()?;
        known.unconfirmed = ledger.unconfirmed()?;
    }
    Ok(known)
}

/// Archives the complete state, or only the private data of one input or output; in the latter case an
/// interrupted run can still be resumed.
fn reset(document: &Document, folder: &StateFolder, instance: Option<&str>) -> Result<(), StateError> {
    let name = &document.name();
    if let Some(id) = instance {
        let with_data = with_data(folder);
        let known = document.ids().chain(with_data.iter().map(String::as_str));
        known_id("instance", "inputs and outputs", id, known)?;
    }
    if !folder.path().exists() {
        return print_text(&format!("no saved state for pipeline {name}\n"));
    }
    let held = session::lock(folder, name, false, &Stop::default());
    let _lock = held.map_err(|failures| StateError::of_failures(&failures))?;
    let (paths, effect) = match instance {
        None => (
            vec![folder.ledger(), folder.instances()],
            format!("state of pipeline {name} was reset: its next run starts from the beginning"),
        ),
        Some(id) => {
            let path = instance_folder(folder, id)?;
            (vec![path], format!("data of `{id}` in pipeline {name} was reset"))
        }
    };
    match archive(folder, &paths)? {
        None => print_text(&format!("no saved state for pipeline {name}\n")),
        Some(archive) => {
            print_text(&format!("{effect}; the previous state was archived in {}\n", archive.display()))
        }
    }
}

/// Directory with the private data of this input or output.
///
/// # Errors
/// When it does not exist; the hint lists the inputs and outputs that have one.
fn instance_folder(folder: &StateFolder, id: &str) -> Result<PathBuf, StateError> {
    let mut known = with_data(folder);
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

/// IDs of the inputs and outputs that have private data, which may include some that were removed from the pipeline
/// file.
fn with_data(folder: &StateFolder) -> Vec<String> {
    let entries = fs::read_dir(folder.instances()).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().map(str::to_owned)).collect()
}

/// Checks an ID from the command line against those of the pipeline.
///
/// # Errors
/// When it is unknown: a usage error that lists the known IDs. An ID with a `${…}` reference is unknown until it is
/// resolved, so then every ID is accepted.
pub(super) fn known_id<'a>(
    what: &str,
    all: &str,
    id: &str,
    known: impl Iterator<Item = &'a str>,
) -> Result<(), StateError> {
    let known: BTreeSet<&str> = known.collect();
    if known.iter().any(|known| *known == id || known.contains("${")) {
        return Ok(());
    }
    let listed = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(StateError {
        message: format!("unknown {what} `{id}`"),
        hint: Some(format!("{all} of this pipeline: {listed}")),
        exit_code: 64,
    })
}

/// Moves the paths into a new directory with the time in its name. `None` when none of them exists.
fn archive(folder: &StateFolder, paths: &[PathBuf]) -> Result<Option<PathBuf>, StateError> {
    let time = crate::state::now().replace(':', "");
    let archive = folder.path().join(format!("archive-{time}-{}", std::process::id()));
    let mut moved = None;
    for path in paths.iter().filter(|path| path.exists()) {
        fs::create_dir_all(&archive).map_err(|error| StateError::cannot_create(&archive, &error))?;
        let target = archive.join(path.file_name().unwrap_or_default());
        fs::rename(path, &target).map_err(|error| StateError::io(path, &error))?;
        moved = Some(archive.clone());
    }
    Ok(moved)
}
