//! The plugin call in progress of each thread, for messages about a process that ends in it.

use std::cell::Cell;

use super::recorder::{CallRecorder, Slot};

/// An instance whose calls are recorded. Never freed.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its name in messages: `output siem (Acme 1.2.0)`.
    name: String,
    /// The slot in which its calls are recorded for the next run, if any.
    slot: Option<Slot>,
}

impl Caller {
    /// Creates the caller for an instance, for a library that is being loaded, or for other plugin code.
    pub(crate) fn new(name: String, recorder: Option<&CallRecorder>) -> Self {
        Self { name, slot: recorder.and_then(CallRecorder::slot) }
    }
}

thread_local! {
    /// The current plugin call of this thread. It needs no destructor: at exit, thread-locals with a destructor no
    /// longer exist.
    static CALL: Cell<Option<(&'static Caller, &'static str)>> = const { Cell::new(None) };
}

/// Runs `work` as a plugin call and records the call.
pub(crate) fn run_call<T>(caller: &'static Caller, call: &'static str, work: impl FnOnce() -> T) -> T {
    let outer = CALL.replace(Some((caller, call)));
    if let Some(slot) = &caller.slot {
        slot.begin(&caller.name, call);
    }
    let result = work();
    if let Some(slot) = &caller.slot {
        slot.end();
    }
    CALL.set(outer);
    result
}

/// The caller and the current call of this thread. A signal handler may call this.
pub(super) fn current() -> Option<(&'static str, &'static str)> {
    CALL.get().map(|(caller, call)| (caller.name.as_str(), call))
}
