//! The part of an input's exam that is about interrupted runs.

use std::path::Path;

use scanbridge_plugin_api::{Input, Position};
use serde_json::Value;

use crate::host::ExamHost;
use crate::input::{Collected, Run};

/// The host keeps a position with every checkpoint, and batches are many.
const LONGEST_POSITION: usize = 64 << 10;
/// Of an input that gives more positions, some are tried.
const MOST_TRIED: usize = 32;

/// Interrupts an input wherever it says that it can go on, and compares what comes with the undisturbed run. An
/// input that never gives a position has nothing to show here.
///
/// # Panics
/// With the promise that was broken.
pub(crate) fn examine<T: Input>(options: &Value, whole: &Collected) {
    let places = places::<T>(options);
    for place in places.iter().step_by(places.len().div_ceil(MOST_TRIED).max(1)) {
        interrupted_once::<T>(options, whole, *place);
    }
    for committed in [false, true] {
        interrupted_everywhere::<T>(options, whole, committed);
    }
}

/// After how many steps the input gives a position.
fn places<T: Input>(options: &Value) -> Vec<usize> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = open::<T>(options, folder.path(), &Position::default());
    let mut places = Vec::new();
    for steps in 1.. {
        run.position = Position::default();
        if !run.step().expect("the input delivers") {
            break;
        }
        if !run.position.0.is_empty() {
            places.push(steps);
        }
    }
    places
}

/// The host stored the position and died before it could say that all up to there is delivered.
fn interrupted_once<T: Input>(options: &Value, whole: &Collected, steps: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut first = open::<T>(options, folder.path(), &Position::default());
    for _ in 0..steps {
        first.step().expect("the input delivers");
    }
    let (position, mut parts) = end(first);
    let mut second = open::<T>(options, folder.path(), &position);
    while second.step().expect("the input goes on") {}
    append(&mut parts, second.collected);
    same::<T>(&parts, whole);
}

/// Every position that comes is the end of one instance and the beginning of the next.
fn interrupted_everywhere<T: Input>(options: &Value, whole: &Collected, committed: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut position, mut parts) = (Position::default(), Collected::default());
    loop {
        let mut run = open::<T>(options, folder.path(), &position);
        let mut goes_on = true;
        while goes_on && run.position.0.is_empty() {
            goes_on = run.step().expect("the input goes on");
        }
        if goes_on && committed {
            run.handle.committed(&run.position).expect("the input takes note of what is delivered");
        }
        let (reached, part) = end(run);
        append(&mut parts, part);
        assert!(
            whole.findings.starts_with(&parts.findings),
            "`{}` delivers other findings after it was interrupted",
            T::NAME
        );
        assert!(parts.ends.len() <= whole.ends.len(), "`{}` delivers reports again", T::NAME);
        if !goes_on {
            break;
        }
        position = reached;
    }
    same::<T>(&parts, whole);
}

fn open<T: Input>(options: &Value, folder: &Path, position: &Position) -> Run {
    Run::resume::<T>(options, folder, ExamHost::new(), position).expect("the input opens at its own position")
}

/// What an instance has delivered so far, and where it stands.
fn end(run: Run) -> (Position, Collected) {
    let length = run.position.0.len();
    assert!(length <= LONGEST_POSITION, "a position has {length} bytes");
    (run.position, run.collected)
}

/// Adds what came after an interruption. A report that was under way is not begun a second time, but gone on with.
fn append(parts: &mut Collected, mut more: Collected) {
    if parts.starts.len() > parts.ends.len() {
        let start = more.starts.first_mut().expect("the report that was under way begins again");
        assert!(start.continued, "{} was under way, and begins anew", start.path);
        start.continued = false;
        assert_eq!(Some(&*start), parts.starts.last(), "the report that was under way has another head");
        more.starts.remove(0);
    }
    parts.starts.append(&mut more.starts);
    parts.ends.append(&mut more.ends);
    parts.refusals.append(&mut more.refusals);
    parts.findings.append(&mut more.findings);
    parts.assets += more.assets;
}

fn same<T: Input>(parts: &Collected, whole: &Collected) {
    let name = T::NAME;
    assert_eq!(parts.findings, whole.findings, "`{name}` delivers other findings after it was interrupted");
    assert_eq!(parts.assets, whole.assets, "`{name}` delivers other assets after it was interrupted");
    assert_eq!(parts.starts, whole.starts, "`{name}` begins other reports after it was interrupted");
    assert_eq!(parts.ends, whole.ends, "`{name}` ends reports otherwise after it was interrupted");
}
