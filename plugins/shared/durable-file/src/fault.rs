//! For the tests: ends the program, or fails, at a chosen step on the disk.
//!
//! "Ends" means that from then on nothing on the disk changes, whatever is still called or dropped, and that locks
//! go: what a killed process leaves.

use std::cell::Cell;
use std::io;

/// What happens at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed.
    Killed,
    /// The disk is full, this once.
    Full,
}

thread_local! {
    static PLAN: Cell<Option<(u32, Fault)>> = const { Cell::new(None) };
    static DEAD: Cell<bool> = const { Cell::new(false) };
    /// Whether data was written since the last synchronization.
    static UNSYNCED: Cell<bool> = const { Cell::new(false) };
}

/// Plans the fault for the step after the next `steps` steps.
pub(crate) fn plan(steps: u32, fault: Fault) {
    PLAN.set(Some((steps, fault)));
}

/// A new process begins. Gives whether a fault had come.
pub(crate) fn revive() -> bool {
    let came = PLAN.take().is_none();
    DEAD.set(false);
    UNSYNCED.set(false);
    came
}

/// The process is killed now.
pub(crate) fn kill() {
    DEAD.set(true);
}

pub(crate) fn step() -> io::Result<()> {
    match PLAN.take() {
        Some((0, Fault::Killed)) => kill(),
        Some((0, Fault::Full)) => return Err(io::ErrorKind::StorageFull.into()),
        Some((steps, fault)) => PLAN.set(Some((steps - 1, fault))),
        None => {}
    }
    if DEAD.get() { Err(io::Error::other("the process was killed")) } else { Ok(()) }
}

pub(crate) fn note_write() {
    UNSYNCED.set(true);
}

pub(crate) fn note_sync() {
    UNSYNCED.set(false);
}

/// Whether a power failure now would lose data. After the process was killed, its receipts reach no ledger.
pub(crate) fn is_unsynced() -> bool {
    UNSYNCED.get() && !DEAD.get()
}
