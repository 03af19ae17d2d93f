//! The contract tests of an input for interrupted runs.

use std::path::Path;

use scanbridge_plugin_api::{Input, Position, Stored};
use serde_json::Value;

use crate::host::{ExamHost, Keys};
use crate::input::{Collected, Run};

/// Maximum number of positions at which a run is interrupted. Of more positions, only some are tested.
const MAX_TESTED: usize = 32;

/// Interrupts an input at its positions, resumes it there, and compares the data with that of the uninterrupted run
/// `complete`. An input that never provides a position passes.
///
/// # Panics
/// If the input violates the contract; the message names the violated rule.
pub(crate) fn check<T: Input>(options: &Value, complete: &Collected) {
    let steps = resumable_steps::<T>(options);
    for step in steps.iter().step_by(steps.len().div_ceil(MAX_TESTED).max(1)) {
        interrupted_once::<T>(options, complete, *step);
    }
    for stored in [false, true] {
        interrupted_everywhere::<T>(options, complete, stored);
    }
}

/// The numbers of the steps after which the input provides a position.
fn resumable_steps<T: Input>(options: &Value) -> Vec<usize> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = open::<T>(options, folder.path(), None, Keys::new());
    let mut steps = Vec::new();
    for step in 1.. {
        if !run.step().expect("the input delivers") {
            break;
        }
        if run.position.is_some() {
            steps.push(step);
        }
    }
    steps
}

/// The host stored the position and was killed before it could call `stored`.
fn interrupted_once<T: Input>(options: &Value, complete: &Collected, steps: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut first = open::<T>(options, folder.path(), None, Keys::new());
    for _ in 0..steps {
        first.step().expect("the input delivers");
    }
    let (position, keys, mut parts) = end(first);
    let mut second = open::<T>(options, folder.path(), position.as_ref(), keys);
    while second.step().expect("the input resumes") {}
    append(&mut parts, second.collected);
    same::<T>(&parts, complete);
}

/// Interrupts the run at every position: each instance resumes at the position of the one before.
fn interrupted_everywhere<T: Input>(options: &Value, complete: &Collected, stored: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut position, mut keys, mut parts) = (None, Keys::new(), Collected::default());
    loop {
        let mut run = open::<T>(options, folder.path(), position.as_ref(), keys);
        let mut running = true;
        while running && run.position.is_none() {
            running = run.step().expect("the input resumes");
        }
        if let Some(position) = run.position.clone().filter(|_| running && stored) {
            let stored = Stored::new(position, Vec::new());
            run.handle.stored(&stored).expect("the input accepts the call of `stored`");
        }
        let (reached, stored, part) = end(run);
        append(&mut parts, part);
        assert!(
            complete.findings.starts_with(&parts.findings),
            "`{}` delivers different findings after it was interrupted",
            T::NAME
        );
        assert!(
            parts.ends.len() <= complete.ends.len(),
            "`{}` delivers a report twice after it was interrupted",
            T::NAME
        );
        if !running {
            break;
        }
        (position, keys) = (reached, stored);
    }
    same::<T>(&parts, complete);
}

fn open<T: Input>(options: &Value, folder: &Path, position: Option<&Position>, keys: Keys) -> Run {
    Run::resume::<T>(options, folder, ExamHost::with_keys(keys), position)
        .expect("the input opens at its own position")
}

/// The position of an instance, its keys, and the data that it has delivered so far.
fn end(run: Run) -> (Option<Position>, Keys, Collected) {
    let length = run.position.as_ref().map_or(0, |position| position.0.len());
    let limit = Position::MAX_BYTES;
    assert!(length <= limit, "a position has {length} bytes, more than {limit}");
    (run.position, run.host.keys(), run.collected)
}

/// Adds the data that was delivered after an interruption. An interrupted report must be continued, not begun again.
fn append(parts: &mut Collected, mut more: Collected) {
    if parts.starts.len() > parts.ends.len() {
        let start = more.starts.first().expect("the interrupted report is continued");
        assert!(
            more.continued[0],
            "the interrupted report {} starts from the beginning instead of continuing",
            start.path
        );
        assert_eq!(Some(start), parts.starts.last(), "the continued report has different metadata");
        more.starts.remove(0);
    }
    parts.starts.append(&mut more.starts);
    parts.ends.append(&mut more.ends);
    parts.refusals.append(&mut more.refusals);
    parts.findings.append(&mut more.findings);
    parts.assets += more.assets;
}

fn same<T: Input>(parts: &Collected, complete: &Collected) {
    let name = T::NAME;
    assert_eq!(
        parts.findings, complete.findings,
        "`{name}` delivers different findings after it was interrupted"
    );
    assert_eq!(parts.assets, complete.assets, "`{name}` delivers different assets after it was interrupted");
    assert_eq!(parts.starts, complete.starts, "`{name}` begins different reports after it was interrupted");
    assert_eq!(parts.ends, complete.ends, "`{name}` ends reports differently after it was interrupted");
}
