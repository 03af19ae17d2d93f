//! Fault injection for tests: kills the process, or fails, at a chosen step on the disk.
//!
//! After a simulated kill, calls and drops change nothing on the disk, and locks are released, as after a real kill.

use std::cell::Cell;
use std::io;

/// The fault at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed.
    Killed,
    /// The disk is full for one step.
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

/// Begins a new process. Returns whether a fault occurred in the previous one.
pub(crate) fn revive() -> bool {
    let came = PLAN.take().is_none();
    DEAD.set(false);
    UNSYNCED.set(false);
    came
}

/// Kills the simulated process now.
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
