//! `scanbridge state`.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::run::state_folder;
use super::saved_states::{
    SavedState, SavedStates, no_state, refuse, require_state, with_one_state, with_state, with_states,
};
use super::service::Owner;
use super::terminal::{print, width};
use crate::cli::{
    CommonOptions, Format, KnownState, ListedState, StateCommand, export_instances, export_state,
    export_states, list_states, show_state,
};
use crate::config::Document;
use crate::plugins::CallRecorder;
use crate::session;
use crate::state::{Ledger, Lock, StateError, StateFolder, user_name};

pub(super) fn execute(command: &StateCommand, common: &CommonOptions) -> u8 {
    match command {
        StateCommand::List { format } => match folders(common) {
            Ok(folders) => list(&folders, *format),
            Err(code) => code,
        },
        StateCommand::Show { file, instances, format } => {
            with_states(file, common, |_, states| show(states, instances.run_instance, *format))
        }
        StateCommand::Export { file, instances } => {
            with_states(file, common, |_, states| show(states, instances.run_instance, Format::Json))
        }
        StateCommand::Runs { file, chosen, before, limit } => {
            with_one_state(file, chosen.run_instance, common, |_, SavedState { name, folder, .. }| {
                require_state(name, folder)?;
                let summaries = Ledger::read_copy(&folder.ledger())?.summaries_before(*before, *limit)?;
                print_text(&serde_json::to_string(&summaries).expect("values of JSON"))
            })
        }
        StateCommand::Discard { file, chosen } => {
            with_one_state(file, chosen.run_instance, common, |_, state| discard(file, state))
        }
        StateCommand::ForgetEncryption { file, chosen, output, yes: _ } => {
            with_one_state(file, chosen.run_instance, common, |document, state| {
                forget_encryption(file, document, state, output)
            })
        }
        StateCommand::Reset { file, chosen, instance } => {
            with_one_state(file, chosen.run_instance, common, |document, state| {
                reset(file, document, state, instance.as_deref())
            })
        }
    }
}

/// Prints the saved states of all instances, or of one. JSON is an object for one, and an array for all of several.
fn show(states: SavedStates, run_instance: Option<u32>, format: Format) -> Result<(), StateError> {
    let states = states.chosen(run_instance)?;
    let of_state = |state: &&SavedState| {
        let known = known(&state.name, &state.folder)?;
        Ok(KnownState { run_instance: state.run_instance, ..known })
    };
    let all: Vec<KnownState> =
        with_state(&states)?.iter().map(of_state).collect::<Result<_, StateError>>()?;
    match (format, states.as_slice(), all.as_slice()) {
        (Format::Json, [_], [only]) => print_text(&export_state(only)),
        (Format::Json, ..) => print_text(&export_instances(&all)),
        (Format::Text, ..) => {
            let texts: Vec<String> = all.iter().map(|known| show_state(known, width())).collect();
            print_text(&texts.join("\n"))
        }
    }
}

fn discard(file: &Path, SavedState { name, folder, .. }: &SavedState) -> Result<(), StateError> {
    require_state(name, folder)?;
    let _lock = session::lock_now(folder, name)?;
    let ledger = Ledger::open(&folder.ledger(), file)?;
    let effect = match ledger.discard_checkpoint()? {
        true => "the interrupted run was discarded: the next run starts from the beginning",
        false => "no run is interrupted: nothing was discarded",
    };
    ledger.close();
    print_text(&format!("pipeline {name} in {}: {effect}\n", folder.path().display()))
}

/// Prints part of the output.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn print_text(text: &str) -> Result<(), StateError> {
    print(text).map_err(|error| StateError::io(Path::new("standard output"), &error))
}

/// The state directories that `state list` shows: that of the service, if there is one, and that of this user.
fn folders(common: &CommonOptions) -> Result<Vec<PathBuf>, u8> {
    let own = state_folder(common);
    let of_service = Owner::of_any(common)?.map(|owner| owner.state_dir);
    let real = |folder: &Path| fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let is_same = of_service.as_deref().is_some_and(|folder| real(folder) == real(&own));
    Ok(of_service.into_iter().chain((!is_same).then_some(own)).collect())
}

/// Lists the pipelines with saved state in these directories.
fn list(folders: &[PathBuf], format: Format) -> u8 {
    match try_to_list(folders, format) {
        Ok(()) => 0,
        Err(error) => refuse(&error),
    }
}

fn try_to_list(folders: &[PathBuf], format: Format) -> Result<(), StateError> {
    let found = |folder: &PathBuf| Ok((folder.clone(), find_pipelines(folder)?));
    let mut found: Vec<(PathBuf, Vec<ListedState>)> =
        folders.iter().map(found).collect::<Result<_, StateError>>()?;
    if format == Format::Json {
        let all: Vec<ListedState> = found.into_iter().flat_map(|(_, pipelines)| pipelines).collect();
        return print_text(&export_states(&all));
    }
    found.retain(|(_, pipelines)| !pipelines.is_empty());
    let tables = found.iter().map(|(folder, pipelines)| list_states(folder, pipelines, width()));
    let tables: Vec<String> = tables.collect();
    match folders {
        [only] if tables.is_empty() => Err(no_state("", only)),
        [of_service, own] if tables.is_empty() => Err(StateError {
            message: format!("no saved state in directories {} and {}", of_service.display(), own.display()),
            hint: Some("the first is that of the service; set another directory with --state-dir".to_owned()),
            exit_code: 66,
        }),
        _ => print_text(&tables.join("\n")),
    }
}

fn find_pipelines(all: &Path) -> Result<Vec<ListedState>, StateError> {
    let entries = match fs::read_dir(all) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| StateError::io(all, &error))?,
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let folders = names.into_iter().map(|name| (StateFolder::of(all, &name), name));
    // One that this user may not look into is listed with the error.
    let has_state =
        |folder: &StateFolder| folder.path().is_dir() && folder.ledger().try_exists().unwrap_or(true);
    let with_state = folders.filter(|(folder, _)| has_state(folder));
    Ok(with_state.map(|(folder, name)| listed_state(name, &folder)).collect())
}

/// A ledger that cannot be read is listed with the error.
fn listed_state(name: String, folder: &StateFolder) -> ListedState {
    let metadata = fs::metadata(folder.path());
    let owner = metadata.map_or_else(|_| "-".to_owned(), |metadata| user_name(metadata.uid()));
    let (known, error) = match known(&name, folder) {
        Ok(known) => (known, None),
        Err(error) => (
            KnownState { name, folder: folder.path().to_owned(), ..KnownState::default() },
            Some(error.message),
        ),
    };
    ListedState { known, owner, bytes: size_of(folder.path()), error }
}

/// Size of all files below a directory, in bytes. What cannot be read counts nothing.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn known(name: &str, folder: &StateFolder) -> Result<KnownState, StateError> {
    let mut known =
        KnownState { name: name.to_owned(), folder: folder.path().to_owned(), ..KnownState::default() };
    known.holder = Lock::holder(folder)?.map(|occupied| occupied.to_string());
    known.calls = CallRecorder::read(&folder.calls());
    if folder.ledger().exists() {
        let ledger = Ledger::read_copy(&folder.ledger())?;
        known.pipeline = Some(ledger.pipeline()?);
        known.checkpoint = ledger.checkpoint()?;
        known.stored = ledger.stored()?;
        known.runs = ledger.runs()?;
        known.summaries = ledger.summaries()?;
        known.days = ledger.days()?;
        known.reports = ledger.reports()?;
        known.unconfirmed = ledger.unconfirmed()?;
        known.dead_letters = ledger.dead_letter_counts()?;
        known.keys = ledger.key_counts()?;
    }
    Ok(known)
}

fn forget_encryption(
    file: &Path,
    document: &Document,
    SavedState { name, folder, .. }: &SavedState,
    output: &str,
) -> Result<(), StateError> {
    require_state(name, folder)?;
    let _lock = session::lock_now(folder, name)?;
    let ledger = Ledger::open(&folder.ledger(), file)?;
    let all = ledger.frozen_encryptions()?;
    known_id("output", "outputs", output, document.ids().chain(all.keys().map(String::as_str)))?;
    let text = match ledger.forget_encryption(output)? {
        Some(frozen) => {
            let (user, key) = (user_name(rustix::process::getuid().as_raw()), frozen.label());
            tracing::info!(
                instance = output,
                "audit: {user} has removed the stored encryption settings of key {key}"
            );
            format!(
                "output {output} of pipeline {name}: the next run may encrypt it in another way than with {key}\n"
            )
        }
        None => format!("output {output} of pipeline {name} got no encrypted values: nothing was changed\n"),
    };
    ledger.close();
    print_text(&text)
}

/// Archives the complete state except the dead letters, or only the data of one input or output; in the latter case an
/// interrupted run can still be resumed.
fn reset(
    file: &Path,
    document: &Document,
    SavedState { name, folder, .. }: &SavedState,
    instance: Option<&str>,
) -> Result<(), StateError> {
    let data = instance.map(|id| (id, OwnData::read(folder)));
    if let Some((id, data)) = &data {
        let known = document.ids().chain(data.ids.iter().map(String::as_str));
        known_id("instance", "inputs and outputs", id, known)?;
    }
    if !folder.path().exists() {
        return Err(no_state(&format!("of pipeline {name} "), folder.path()));
    }
    let _lock = session::lock_now(folder, name)?;
    match data {
        None => reset_all(file, name, folder),
        Some((id, data)) => reset_instance(file, name, folder, id, &data),
    }
}

fn reset_all(file: &Path, name: &str, folder: &StateFolder) -> Result<(), StateError> {
    let path = folder.ledger();
    // A ledger that cannot be read is archived too.
    let ledger = path.exists().then(|| Ledger::read_copy(&path)).transpose();
    let dead_letters = ledger.and_then(|ledger| {
        let Some(ledger) = ledger else { return Ok(None) };
        let has_any = ledger.dead_letter_counts()?.iter().any(|count| count.letters > 0);
        Ok(has_any.then(|| Arc::new(ledger)))
    });
    let encryptions = path.exists().then(|| Ledger::read_copy(&path)?.frozen_encryptions()).transpose();
    let Some(archive) = archive(folder, &[path.clone(), folder.instances()])? else {
        return Err(no_state(&format!("of pipeline {name} "), folder.path()));
    };
    let mut effect = format!("state of pipeline {name} was reset: its next run starts from the beginning");
    match dead_letters {
        Ok(Some(earlier)) => {
            Ledger::open(&path, file)?.copy_dead_letters(&earlier)?;
            effect.push_str("; its dead letters are kept");
        }
        Ok(None) => {}
        Err(_) => effect.push_str("; its dead letters are in the archive, because the ledger cannot be read"),
    }
    // A reset must not allow another encryption.
    for (output, frozen) in encryptions.ok().flatten().unwrap_or_default() {
        Ledger::open(&path, file)?.freeze_encryption(&output, &frozen)?;
    }
    print_text(&format!("{effect}; the previous state was archived in {}\n", archive.display()))
}

fn reset_instance(
    file: &Path,
    name: &str,
    folder: &StateFolder,
    id: &str,
    data: &OwnData,
) -> Result<(), StateError> {
    if !data.ids.contains(id) {
        return Err(data.none_of(id));
    }
    let mut effect = format!("data of `{id}` in pipeline {name} was reset");
    if data.with_keys.contains(id) {
        let deleted = Ledger::open(&folder.ledger(), file)?.delete_keys(id)?;
        let keys = if deleted == 1 { "key was" } else { "keys were" };
        effect.push_str(&format!("; {deleted} {keys} deleted"));
    }
    if let Some(archive) = archive(folder, &[folder.instance(id)])? {
        effect.push_str(&format!("; the previous files were archived in {}", archive.display()));
    }
    print_text(&(effect + "\n"))
}

/// The inputs and outputs that have data of their own, which may include some that were removed from the pipeline file.
struct OwnData {
    ids: BTreeSet<String>,
    with_keys: BTreeSet<String>,
}

impl OwnData {
    /// Those with keys or files. A ledger that is missing or cannot be read has no keys.
    fn read(folder: &StateFolder) -> Self {
        let keys = Ledger::read_copy(&folder.ledger()).and_then(|ledger| ledger.key_counts());
        let with_keys: BTreeSet<String> = keys.unwrap_or_default().into_keys().collect();
        let entries = fs::read_dir(folder.instances()).into_iter().flatten().flatten();
        let with_files = entries.filter_map(|entry| entry.file_name().to_str().map(str::to_owned));
        Self { ids: with_files.chain(with_keys.iter().cloned()).collect(), with_keys }
    }

    /// The error for an input or output without data of its own.
    fn none_of(&self, id: &str) -> StateError {
        let known: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        let hint = match known.is_empty() {
            true => "no input or output of this pipeline has data of its own".to_owned(),
            false => format!("inputs and outputs with data of their own: {}", known.join(", ")),
        };
        StateError { message: format!("`{id}` has no data of its own"), hint: Some(hint), exit_code: 64 }
    }
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
