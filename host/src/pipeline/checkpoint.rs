//! Checkpoints. Inputs put barriers into the stream. When every output that is available has committed a barrier, it
//! becomes the checkpoint in the ledger, in one transaction with the receipts.
//!
//! At the end of a report, an output waits for the others only briefly. Then its receipt is stored alone, and the
//! report is added to the reports that it is ahead by. A receipt is never replaced by an older one. A report that an
//! output has published is not sent to it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanbridge_observe::ReportEvent;
use scanbridge_plugin_api::{ReportKey, Stored, StoredReport};

pub(crate) use kept::Kept;
pub(super) use new_mark::{EndedReport, NewMark};
pub(super) use receipts::OutputIds;
use state::State;
pub(super) use state::{Inputs, Unsettled};

use super::stop::Stop;
use crate::state::{Checkpoint, DeadLetterEnd, Ledger, OutputState, SinceCheckpoint, StateError};

mod kept;
mod kept_commits;
mod marks;
mod new_mark;
mod parts;
mod receipts;
mod state;
mod writer;

/// The barriers of one run.
#[derive(Debug)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
    stop: Arc<Stop>,
}

impl Checkpoints {
    pub(super) fn new(
        ledger: Option<Arc<Ledger>>,
        from: Checkpoint,
        inputs: Inputs,
        outputs: Vec<OutputIds>,
        run_and_absent: (u64, Vec<(String, String)>),
        stop: Arc<Stop>,
    ) -> Self {
        let state = State::new(ledger, from, inputs, outputs, run_and_absent);
        Self { state: Mutex::new(state), changed: Condvar::new(), stop }
    }

    /// Adds a barrier and returns its number. The changes of the input's keys up to its last position belong to it.
    pub(super) fn mark(&self, mark: NewMark) -> u64 {
        let mut state = self.lock();
        state.last_mark += 1;
        let number = state.last_mark;
        if let Some(keys) = state.inputs.keys.get(mark.input) {
            keys.mark_position(number);
        }
        state.marks.push_back((number, mark));
        number
    }

    /// Whether barriers inside a report are allowed: every counted output can resume there.
    pub(super) fn allows_marks_in_reports(&self) -> bool {
        self.lock().outputs.iter().all(|output| output.resumes || !output.is_counted)
    }

    /// Sets whether an output can resume inside a report: a reopened instance may declare other capabilities.
    pub(super) fn set_resumes(&self, output: usize, resumes: bool) {
        self.lock().outputs[output].resumes = resumes;
    }

    /// Records that an output has published everything up to this barrier.
    pub(super) fn published(&self, output: usize, mark: u64) {
        let mut state = self.lock();
        state.outputs[output].published = mark;
        state.settle(self.stop.now());
        self.changed.notify_all();
    }

    /// Records that an output is unavailable or has ended, and why: checkpoints no longer wait for it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn exclude_output(&self, output: usize, reason: &str) -> Result<(), StateError> {
        let mut state = self.lock();
        state.outputs[output].is_counted = false;
        reason.clone_into(&mut state.outputs[output].excluded_by);
        self.store(&mut state)
    }

    /// Records a commit without a barrier: an output has ended its part of a report after another output took over.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn amend(&self, output: &str, committed: OutputState) -> Result<(), StateError> {
        let mut state = self.lock();
        for (_, states) in state.outputs.iter_mut().flat_map(|output| &mut output.committed) {
            // The ledger gets this state with later barriers too.
            let own = states.iter_mut().filter(|(id, _)| id == output);
            own.for_each(|(_, state)| state.clone_from(&committed));
        }
        state.checkpoint.outputs.insert(output.to_owned(), committed);
        let stored = state.stored;
        if state.checkpoint.positions.is_empty() { Ok(()) } else { state.write_to_ledger(stored) }
    }

    /// Closes the ledger after the run, so that a hanging call does not keep it open.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.ledger = None;
        state.all_keys().for_each(|keys| keys.release());
    }

    /// The last dead letter of each output at its last commit.
    pub(super) fn dead_letter_ends(&self) -> BTreeMap<String, DeadLetterEnd> {
        let state = self.lock();
        let committed = state.outputs.iter().filter_map(|output| output.committed.back());
        let committed = committed.flat_map(|(_, states)| states.iter().map(|(id, state)| (id, state)));
        let all = state.checkpoint.outputs.iter().chain(committed);
        all.map(|(id, state)| (id.clone(), state.dead_letters)).collect()
    }

    /// What an input has not been informed about yet.
    pub(super) fn take_notification(&self, input: usize) -> Option<Stored> {
        self.lock().notifications[input].take()
    }

    /// Takes the reports of an input that every counted output has published since the last call.
    pub(super) fn take_delivered(&self, input: &str) -> Vec<(Arc<ReportKey>, ReportEvent)> {
        self.lock().delivered.extract_if(.., |(_, report)| report.input == input).collect()
    }

    /// How many checkpoints the ledger has got in this run, and when the last one.
    pub(super) fn last_written(&self) -> (u64, String) {
        self.lock().written.clone()
    }

    /// Records that an input has confirmed reports.
    pub(super) fn confirmed(&self, input: usize, reports: &[StoredReport]) {
        let mut state = self.lock();
        let id = state.inputs.ids[input].clone();
        if let Some(unconfirmed) = state.checkpoint.unconfirmed.get_mut(&id) {
            for report in reports {
                if let Some(index) = unconfirmed.iter().position(|entry| entry.key == report.key) {
                    unconfirmed.remove(index);
                }
            }
        }
    }

    /// Reports that their inputs have not confirmed.
    pub(super) fn unconfirmed(&self) -> BTreeMap<String, Vec<StoredReport>> {
        self.lock().checkpoint.unconfirmed.clone()
    }

    /// Whether this run has a checkpoint or resumes from one.
    pub(super) fn has_first_checkpoint(&self) -> bool {
        let state = self.lock();
        state.ledger.is_none() || state.last_mark > 0 || !state.checkpoint.positions.is_empty()
    }

    /// Waits until this barrier is stored, at most `longest`. Returns whether it is stored.
    pub(super) fn wait_stored(&self, mark: u64, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| state.stored < mark);
        waited.unwrap_or_else(PoisonError::into_inner).0.stored >= mark
    }

    /// Waits until this barrier is stored and published, at most `longest`. Returns whether it is.
    pub(super) fn wait_settled(&self, mark: u64, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| state.settled < mark);
        waited.unwrap_or_else(PoisonError::into_inner).0.settled >= mark
    }

    /// What the reports that ended in this run lack.
    pub(super) fn unsettled(&self) -> Unsettled {
        self.lock().unsettled.clone()
    }

    /// Whether every barrier is stored and published.
    pub(super) fn is_everything_settled(&self) -> bool {
        let state = self.lock();
        state.settled == state.last_mark
    }

    /// What has happened since the last checkpoint in the ledger. Of the changes of keys all, or only those that belong
    /// to any next transaction.
    pub(super) fn since_checkpoint(&self, all_keys: bool) -> SinceCheckpoint {
        let state = self.lock();
        // What an output that keeps the checkpoint has not committed is known by the next run only.
        let since = if state.kept.is_some() { SinceCheckpoint::default() } else { state.since.clone() };
        let changes = state.all_keys().map(|keys| {
            let changes = if all_keys { keys.take_all() } else { keys.take_confirmed() };
            (keys.instance().to_owned(), changes)
        });
        let keys = changes.filter(|(_, changes)| !changes.is_empty()).collect();
        SinceCheckpoint { keys, ..since }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
