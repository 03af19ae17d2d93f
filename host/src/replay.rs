//! Sends dead letters to their outputs again, in the order in which they were written. A letter is removed when its
//! output has taken it; one that is refused again is written anew. Where the output goes away in between, what it
//! committed is removed and the rest stays.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::config::{Catalogue, OutputInstance, Pipeline};
use crate::pipeline::{self, Failure, Settings, Stop, Summary};
use crate::plugins::Registry;
use crate::session;
use crate::state::{Checkpoint, Ledger, LetterFile, Lock, StateError, StateFolder, list_letters};

/// Replays the dead letters of the pipeline's outputs, or of one of them. None when there are none.
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
    let refused = |error: StateError| vec![Failure::of_state("state", &error)];
    let _lock = lock_for_letters(&folder, &pipeline.name).map_err(refused)?;
    restore(&folder).map_err(refused)?;
    let mut files = list_letters(&folder).map_err(refused)?;
    files.retain(|file| only.is_none_or(|id| file.output == id));
    let mut whole: Option<Summary> = None;
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
        prepare(&mut output, registry);
        pipeline.outputs = vec![output];
        let replayed = replay_one(&pipeline, registry, &folder, file, stop);
        // Another output may have been served before this one: its summary is not thrown away.
        let summary = replayed.unwrap_or_else(|failures| Summary::not_started(&pipeline, failures));
        whole = Some(match whole {
            Some(known) => known.with(summary),
            None => summary,
        });
    }
    Ok(whole)
}

/// Takes the pipeline's lock for work on dead letters. While an interrupted run waits to be gone on with, its letters
/// may still be taken back, so they are left alone.
///
/// # Errors
/// When the pipeline is in use or was interrupted.
pub fn lock_for_letters(folder: &StateFolder, name: &str) -> Result<Lock, StateError> {
    let held = session::lock(folder, name, false, &Stop::default());
    let lock = held.map_err(|failures| StateError::of_failures(&failures))?;
    let path = folder.ledger();
    if path.exists() && Ledger::look(&path)?.checkpoint()?.is_some() {
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

/// The letters passed the filters once. A file that would be replaced by the letters alone grows instead: outputs
/// that replace offer `if_exists: append`.
fn prepare(output: &mut OutputInstance, registry: &Registry) {
    output.filters.clear();
    output.delivery.failover = None;
    let plugin = registry.find(scanbridge_plugin_api::PluginKind::Output, &output.instance.plugin);
    let replaces = plugin
        .and_then(|plugin| plugin.option("if_exists"))
        .is_some_and(|option| option.kind.parse("append").is_ok());
    if replaces {
        output.instance.options.insert("if_exists".to_owned(), json!("append"));
    }
}

fn replay_one(
    pipeline: &Pipeline,
    registry: &Registry,
    folder: &StateFolder,
    file: &LetterFile,
    stop: &Arc<Stop>,
) -> Result<Summary, Vec<Failure>> {
    let refused = |error: StateError| vec![Failure::of_state(&file.output, &error)];
    let aside = aside(&file.path);
    fs::rename(&file.path, &aside).map_err(|error| refused(StateError::io(&file.path, &error)))?;
    let source = LetterFile { path: aside.clone(), ..file.clone() };
    let settings = Settings { folder: folder.clone(), from: Checkpoint::default(), run: 0 };
    let letters = source.letters().map_err(refused)?;
    let built = pipeline::build_replay(pipeline, registry, settings, Box::new(letters));
    let built = match built {
        Ok(built) => built,
        Err(failures) => {
            fs::rename(&aside, &file.path).map_err(|error| refused(StateError::io(&aside, &error)))?;
            return Err(failures);
        }
    };
    let (summary, _) = pipeline::run(built, Arc::clone(stop), false, None);
    // Letters are sent in their order, and what came behind the last commit counts as not delivered.
    let settled =
        summary.outputs.iter().map(|output| output.records + output.rejected + output.filtered).sum();
    settle(&aside, &file.path, settled).map_err(|error| refused(StateError::io(&aside, &error)))?;
    Ok(summary)
}

/// Letters that a replay has in hand.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("replaying")
}

/// A replay that was killed left letters in its hand: they come before those that were written since.
fn restore(folder: &StateFolder) -> Result<(), StateError> {
    let place = folder.dead_letters();
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StateError::io(&place, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| StateError::io(&place, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "replaying") {
            let letters = path.with_extension("ndjson");
            join(&path, &letters).map_err(|error| StateError::io(&path, &error))?;
        }
    }
    Ok(())
}

/// The first letters in hand are settled; those behind them wait again, before those that were written anew.
fn settle(aside: &Path, letters: &Path, settled: u64) -> io::Result<()> {
    keep_the_rest(aside, settled)?;
    match fs::metadata(aside)?.len() {
        0 => fs::remove_file(aside),
        _ => join(aside, letters),
    }
}

/// Takes so many letters off the beginning of the file.
fn keep_the_rest(letters: &Path, settled: u64) -> io::Result<()> {
    let rest = letters.with_extension("rest");
    let mut from = BufReader::new(fs::File::open(letters)?);
    let mut line = Vec::new();
    let mut left = settled;
    while left > 0 && from.read_until(b'\n', &mut line)? > 0 {
        left -= u64::from(line != b"\n");
        line.clear();
    }
    let mut file = create(&rest)?;
    io::copy(&mut from, &mut file)?;
    file.sync_all()?;
    fs::rename(&rest, letters)
}

/// Makes one file of two, under the name of the second one.
fn join(first: &Path, second: &Path) -> io::Result<()> {
    if second.exists() {
        let both = first.with_extension("both");
        let mut file = create(&both)?;
        io::copy(&mut fs::File::open(first)?, &mut file)?;
        io::copy(&mut fs::File::open(second)?, &mut file)?;
        file.sync_all()?;
        fs::rename(&both, second)?;
        return fs::remove_file(first);
    }
    fs::rename(first, second)
}

/// A file for letters, which are nobody else's to read.
fn create(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
