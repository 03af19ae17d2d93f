//! I5: when an input touches its sources, and what it keeps between runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use scanbridge_plugin_api::Rereads;

use super::reading::{Reading, capabilities, read_all};
use super::runs::{compare_exact, when};
use super::tree::tree;
use crate::exam::job::{Resume, Step};
use crate::exam::process::Trace;
use crate::exam::report::{Checked, Finding, failed};
use crate::exam::subject::{Exam, Setup, Space, Subject, calls};

/// The check I5.
pub(super) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    sources_stay(exam, subject)?;
    confirmed_by_next_run(exam, subject)?;
    killed_before_transaction(exam, subject, false)?;
    killed_before_transaction(exam, subject, true)?;
    for outcome in ["delivered", "missed"] {
        without_own_files(exam, subject, outcome)?;
    }
    missed_is_read_again(exam, subject)
}

const READ: Step = Step::Read { positions: None };

fn confirm(outcome: &str) -> Step {
    Step::Confirm { outcome: outcome.to_owned() }
}

type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

fn sources_stay(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let space = exam.fresh(subject)?;
    let before = tree(&space);
    let trace = read_all(exam, subject, &space, Resume::Fresh)?;
    if let Some(error) = trace.first_error() {
        return failed(error);
    }
    let missing = |space: &Space| {
        let after = tree(space);
        let gone = before.iter().find(|(path, content)| after.get(*path) != Some(content));
        gone.map(|(path, _)| path.display().to_string())
    };
    if let Some(path) = missing(&space) {
        return failed(format!("{path} was changed or removed before `stored` was called"));
    }
    for outcome in ["missed", "withdrawn", "delivered"] {
        let space = exam.fresh(subject)?;
        let steps = [Step::Open(Resume::Fresh), READ, confirm(outcome), confirm(outcome), Step::Close];
        let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
        if let Some(error) = trace.first_error() {
            return failed(format!("`stored` was called twice: {error}"));
        }
        let why = match outcome {
            "missed" => "an output missed findings",
            "withdrawn" => "its report was not delivered",
            _ => continue,
        };
        if let Some(path) = missing(&space) {
            return failed(format!("{path} was changed or removed although {why}"));
        }
    }
    Ok(())
}

/// A run that was killed between the transaction and `stored`: the next one calls it before the first `next`.
fn confirmed_by_next_run(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let space = exam.fresh(subject)?;
    let open = || Step::Open(Resume::Fresh);
    let steps = [open(), READ, Step::Close, open(), confirm("delivered"), READ, Step::Close];
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    match trace.first_error() {
        Some(error) => failed(format!("the next run called `stored` before its first `next`: {error}")),
        None => Ok(()),
    }
}

/// A run has read everything, but it is killed before any transaction, or before those of its second half. Keys are then
/// as they were at that position; files that the input has written are ahead of it.
fn killed_before_transaction(exam: &mut Exam<'_>, subject: &mut Subject<'_>, in_the_middle: bool) -> Checked {
    let space = exam.fresh(subject)?;
    let before = tree(&space);
    let steps = [Step::Open(Resume::Fresh), READ, Step::Die];
    let first = exam.run(subject, &space, calls(steps), Setup::default())?;
    let positions: Vec<usize> = (1..)
        .zip(first.steps())
        .filter(|(_, step)| step.position.is_some())
        .map(|(number, _)| number)
        .collect();
    let stored = if in_the_middle { positions.get(positions.len() / 2).copied() } else { Some(0) };
    let Some(stored) = stored else { return Ok(()) };
    let position = stored.checked_sub(1).and_then(|last| first.steps().nth(last)?.position.clone());
    let how = || {
        let number = positions.iter().filter(|number| **number <= stored).count();
        format!(
            "killed after everything was read, when {number} of {} positions were stored, then resumed{}",
            positions.len(),
            in_words(&new_paths(&space, &before))
        )
    };
    let second = read_all(exam, subject, &space, position.map_or(Resume::Fresh, Resume::From))?;
    if let Some(error) = second.first_error() {
        return failed(format!("{}: {error}", how()));
    }
    let complete = reading(&first).map_err(when(how))?;
    let part = Reading::of_steps(first.steps().take(stored)).map_err(when(how))?;
    let resumed = part.resumed_by(reading(&second).map_err(when(how))?);
    compare_exact(&complete.lines(), &resumed.lines()).map_err(when(how))
}

/// What the next run reads may depend on the sources and on keys, but not on files that the input has written.
fn without_own_files(exam: &mut Exam<'_>, subject: &mut Subject<'_>, outcome: &str) -> Checked {
    let (kept, _) = next_run(exam, subject, outcome, false)?;
    let (removed, paths) = next_run(exam, subject, outcome, true)?;
    let how = || {
        format!(
            "when files that it has written are gone, the next run reads something else{}",
            in_words(&paths)
        )
    };
    compare_exact(&kept, &removed).map_err(when(how))
}

/// An input with `rereads: yes` reads a report again that the host names, and no other one.
fn missed_is_read_again(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let space = exam.fresh(subject)?;
    let steps = [Step::Open(Resume::Fresh), READ, confirm("missed"), Step::Close];
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    let Some((key, expected)) = reading(&trace)?.into_last_report(&space.dir(0)) else { return Ok(()) };
    if capabilities(subject, &trace).rereads != Rereads::Yes {
        return Ok(());
    }
    let how =
        || format!("an output has missed {}, and the input is opened to read only that again", key.path);
    let setup = Setup { reports: Some(vec![key.clone()]), ..Setup::default() };
    let steps = [Step::Open(Resume::NextRun), READ, Step::Close];
    let again = exam.run(subject, &space, calls(steps), setup)?;
    if let Some(error) = again.first_error() {
        return failed(format!("{}: {error}", how()));
    }
    compare_exact(&expected.lines(), &reading(&again).map_err(when(how))?.lines()).map_err(when(how))
}

/// What a run reads after one that has finished, and what the first one has written.
fn next_run(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    outcome: &str,
    removes: bool,
) -> Result<(Vec<String>, Vec<PathBuf>), Finding> {
    let space = exam.fresh(subject)?;
    let before = tree(&space);
    let steps = [Step::Open(Resume::Fresh), READ, confirm(outcome), Step::Close];
    exam.run(subject, &space, calls(steps), Setup::default())?;
    let paths = new_paths(&space, &before);
    for path in paths.iter().filter(|_| removes) {
        let path = space.path(path);
        // A path may be gone with its directory.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    let trace = read_all(exam, subject, &space, Resume::NextRun)?;
    match trace.first_error() {
        Some(error) => failed(format!("the next run after one with the outcome `{outcome}`: {error}")),
        None => Ok((reading(&trace)?.lines(), paths)),
    }
}

fn reading(trace: &Trace) -> Result<Reading, Finding> {
    Reading::of_steps(trace.steps())
}

/// Files and directories that did not exist before.
fn new_paths(space: &Space, before: &Tree) -> Vec<PathBuf> {
    tree(space).into_keys().filter(|path| !before.contains_key(path)).collect()
}

/// A hint at the files that the input has written.
fn in_words(paths: &[PathBuf]) -> String {
    match paths.last() {
        Some(path) => {
            format!(" (it has written {}; what it keeps between runs belongs in keys)", path.display())
        }
        None => String::new(),
    }
}
