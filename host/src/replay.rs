//! Replay: resends dead letters to their outputs, in the order in which they were written. A dead letter is removed
//! when its output has accepted it, and written again when it is rejected again. If the output becomes unavailable,
//! the committed dead letters are removed and the rest are kept.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanbridge_plugin_api::Purpose;

use crate::config::{OutputInstance, Pipeline};
use crate::pipeline::{self, Failure, Settings, Stop, Summary};
use crate::plugins::Registry;
use crate::session;
use crate::state::{DeadLetterFile, Ledger, Lock, StateError, StateFolder, list_dead_letter_files};

/// Replays the dead letters of all outputs, or of the output `only`. `None` when there are none.
///
/// # Errors
/// When nothing was sent: the pipeline is in use or was interrupted, or its state cannot be used.
pub fn replay(
    mut pipeline: Pipeline,
    registry: &Registry,
    folder: StateFolder,
    only: Option<&str>,
    stop: &Arc<Stop>,
) -> Result<Option<Summary>, Vec<Failure>> {
    let to_failures = |error: StateError| vec![Failure::of_state("state", &error)];
    let _lock = lock_for_dead_letters(&folder, &pipeline.name).map_err(to_failures)?;
    restore(&folder).map_err(to_failures)?;
    let mut files = list_dead_letter_files(&folder).map_err(to_failures)?;
    files.retain(|file| only.is_none_or(|id| file.output == id));
    let mut total: Option<Summary> = None;
    pipeline.inputs.clear();
    let outputs = std::mem::take(&mut pipeline.outputs);
    for file in &files {
        if outputs.iter().all(|output| output.instance.id != file.output) {
            tracing::warn!(
                "output `{}` no longer exists in the pipeline; its dead letters are kept",
                file.output
            );
        }
    }
    for mut output in outputs {
        let Some(file) = files.iter().find(|file| file.output == output.instance.id) else { continue };
        prepare(&mut output);
        pipeline.outputs = vec![output];
        let replayed = replay_one(&pipeline, registry, &folder, file, stop);
        // A failure of this output must not discard the summaries of the outputs before it.
        let summary = replayed.unwrap_or_else(|failures| Summary::not_started(&pipeline, failures));
        total = Some(match total {
            Some(earlier) => earlier.merge(summary),
            None => summary,
        });
    }
    Ok(total)
}

/// Locks the pipeline for a replay or purge of dead letters. Refused after an interrupted run: when it is
/// resumed, its dead letters may still be rolled back.
///
/// # Errors
/// When the pipeline is in use or was interrupted.
pub fn lock_for_dead_letters(folder: &StateFolder, name: &str) -> Result<Lock, StateError> {
    let locked = session::lock(folder, name, false, &Stop::default());
    let lock = locked.map_err(|failures| StateError::of_failures(&failures))?;
    let path = folder.ledger();
    if path.exists() && Ledger::read_copy(&path)?.checkpoint()?.is_some() {
        return Err(StateError {
            message: format!("cannot replay or purge: pipeline `{name}` has an interrupted run"),
            hint: Some(
                "finish it with `scanbridge run FILE`, or discard it with `scanbridge state reset \
                 FILE`"
                    .to_owned(),
            ),
            exit_code: 75,
        });
    }
    Ok(lock)
}

/// Removes the filters, which the dead letters have passed already, and the failover.
fn prepare(output: &mut OutputInstance) {
    output.filters.clear();
    output.delivery.failover = None;
}

fn replay_one(
    pipeline: &Pipeline,
    registry: &Registry,
    folder: &StateFolder,
    file: &DeadLetterFile,
    stop: &Arc<Stop>,
) -> Result<Summary, Vec<Failure>> {
    let to_failures = |error: StateError| vec![Failure::of_state(&file.output, &error)];
    let replaying = replaying_path(&file.path);
    fs::rename(&file.path, &replaying).map_err(|error| to_failures(StateError::io(&file.path, &error)))?;
    let source = DeadLetterFile { path: replaying.clone(), ..file.clone() };
    let recorder = session::record_calls(folder);
    let settings =
        Settings { recorder: recorder.clone(), ..Settings::without_run(folder.clone(), Purpose::Replay) };
    let dead_letters = source.dead_letters().map_err(to_failures)?;
    let schema = pipeline::schema_of_dead_letters(source.dead_letters().map_err(to_failures)?);
    let opened = pipeline::build_replay(pipeline, registry, settings, stop, Box::new(dead_letters), schema);
    let opened = match opened {
        Ok(opened) => opened,
        Err(failures) => {
            fs::rename(&replaying, &file.path)
                .map_err(|error| to_failures(StateError::io(&replaying, &error)))?;
            return Err(failures);
        }
    };
    let (summary, _) = pipeline::run(opened, Arc::clone(stop), false, None);
    drop(recorder);
    // Dead letters are sent in order, and those after the last commit count as undelivered. So the sum of all other
    // counts is the number of processed dead letters at the start of the file.
    let done = summary.outputs.iter().map(|output| output.records + output.rejected + output.filtered).sum();
    remove_done(&replaying, &file.path, done)
        .map_err(|error| to_failures(StateError::io(&replaying, &error)))?;
    Ok(summary)
}

/// File with the dead letters of a replay in progress.
fn replaying_path(path: &Path) -> PathBuf {
    path.with_extension("replaying")
}

/// Restores the dead letters of a replay that was killed. They go before those written since.
fn restore(folder: &StateFolder) -> Result<(), StateError> {
    let dead_letters = folder.dead_letters();
    let entries = match fs::read_dir(&dead_letters) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StateError::io(&dead_letters, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| StateError::io(&dead_letters, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "replaying") {
            let target = path.with_extension("ndjson");
            join(&path, &target).map_err(|error| StateError::io(&path, &error))?;
        }
    }
    Ok(())
}

/// Removes the first `done` dead letters of the replay. The rest go back to the dead letter file, before
/// those written during the replay.
fn remove_done(replaying: &Path, dead_letters: &Path, done: u64) -> io::Result<()> {
    drop_first(replaying, done)?;
    match fs::metadata(replaying)?.len() {
        0 => fs::remove_file(replaying),
        _ => join(replaying, dead_letters),
    }
}

/// Removes the first `count` dead letters from the file.
fn drop_first(path: &Path, count: u64) -> io::Result<()> {
    let rest = path.with_extension("rest");
    let mut from = BufReader::new(fs::File::open(path)?);
    let mut line = Vec::new();
    let mut remaining = count;
    while remaining > 0 && from.read_until(b'\n', &mut line)? > 0 {
        remaining -= u64::from(line != b"\n");
        line.clear();
    }
    let mut file = create(&rest)?;
    io::copy(&mut from, &mut file)?;
    file.sync_all()?;
    fs::rename(&rest, path)
}

/// Joins two files under the name of the second one.
fn join(first: &Path, second: &Path) -> io::Result<()> {
    if second.exists() {
        let joined = first.with_extension("both");
        let mut file = create(&joined)?;
        io::copy(&mut fs::File::open(first)?, &mut file)?;
        io::copy(&mut fs::File::open(second)?, &mut file)?;
        file.sync_all()?;
        fs::rename(&joined, second)?;
        return fs::remove_file(first);
    }
    fs::rename(first, second)
}

/// Creates a dead letter file that only its owner can read.
fn create(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
