//! Who follows a run: the log, the progress bar, the supervision channel.

use std::fmt;
use std::sync::Arc;

use scanbridge_observe::RunEvent;

/// Follows a run. Any thread of the run may call it, so it must return soon and must not fail.
pub trait Watcher: Send + Sync {
    /// Receives an event of the run.
    fn on_event(&self, event: &RunEvent);
}

/// The watchers of a run, in the order in which they receive each event.
#[derive(Clone, Default)]
pub struct Watchers(Vec<Arc<dyn Watcher>>);

impl Watchers {
    /// Adds a watcher.
    pub fn add(&mut self, watcher: Arc<dyn Watcher>) {
        self.0.push(watcher);
    }

    /// Passes an event to every watcher.
    pub fn notify(&self, event: &RunEvent) {
        self.0.iter().for_each(|watcher| watcher.on_event(event));
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({})", self.0.len())
    }
}
