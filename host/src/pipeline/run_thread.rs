//! A thread of a run that wakes the run when its work is done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use scanbridge_plugin_api::ErrorKind;

use crate::exit_code::exit_code;

/// A thread of a run.
#[derive(Debug)]
pub(super) struct RunThread<T> {
    handle: JoinHandle<T>,
    done: Arc<AtomicBool>,
}

impl<T: Send + 'static> RunThread<T> {
    /// Starts a thread. When its work is done, it unparks the thread that called this function. A panic in it ends the
    /// process: other threads would wait for it for ever.
    pub(super) fn start(name: String, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (starter, done) = (thread::current(), Arc::new(AtomicBool::new(false)));
        let is_done = Arc::clone(&done);
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| end_after_panic());
            is_done.store(true, Ordering::Release);
            starter.unpark();
            result
        };
        let handle = thread::Builder::new().name(name).spawn(work).expect("the system starts a thread");
        Self { handle, done }
    }

    /// Whether the work is done, so that [`RunThread::join`] returns at once.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Waits for the thread and returns its result.
    pub(super) fn join(self) -> T {
        // A panic ends the process, so there always is a result.
        self.handle.join().expect("a thread of the run ends with its result")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the run cannot continue, and the ledger has its last checkpoint"
)]
fn end_after_panic() -> ! {
    tracing::error!("internal error: a thread of the run panicked; the run was stopped; run again to resume");
    std::process::exit(i32::from(exit_code(ErrorKind::Bug)))
}
