//! `scanbridge state`.

use std::fs;
use std::path::Path;

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
        StateCommand::Reset { file } => with_folder(file, common, reset),
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
    if !folder.ledger().exists() {
        return Ok(known);
    }
    if let Err(occupied) = Lock::take(folder)? {
        return Err(occupied.error(name));
    }
    let ledger = Ledger::open_existing(&folder.ledger())?;
    known.pipeline = Some(ledger.pipeline()?);
    known.checkpoint = ledger.checkpoint()?;
    known.runs = ledger.runs()?;
    known.reports = ledger.reports()?;
    known.letters = list_letters(folder)?;
    Ok(known)
}

/// Nothing is thrown away: a folder with the time in its name takes what there was.
fn reset(name: &str, folder: &StateFolder) -> Result<(), StateError> {
    if !folder.path().exists() {
        return say(&format!("nothing is remembered of {name}\n"));
    }
    let held = session::lock(folder, name, false, &Stop::default());
    let _lock = held.map_err(|failures| StateError::of_failures(&failures))?;
    let time = crate::state::now().replace(':', "");
    let aside = folder.path().join(format!("aside-{time}-{}", std::process::id()));
    let mut moved = Vec::new();
    for path in [folder.ledger(), folder.instances()] {
        if path.exists() {
            fs::create_dir_all(&aside).map_err(|error| StateError::cannot_create(&aside, &error))?;
            let target = aside.join(path.file_name().unwrap_or_default());
            fs::rename(&path, &target).map_err(|error| StateError::io(&path, &error))?;
            moved.push(target);
        }
    }
    if moved.is_empty() {
        say(&format!("nothing is remembered of {name}\n"))
    } else {
        say(&format!("the next run of {name} starts over; what was remembered is in {}\n", aside.display()))
    }
}
