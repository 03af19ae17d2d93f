//! Writes checkpoints to the ledger: when an output has committed, after a wait for the others, in one transaction.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Checkpoints;
use super::kept::Kept;
use super::receipts::MAX_WAIT;
use super::state::State;
use crate::pipeline::clock::after;
use crate::pipeline::item::Mark;
use crate::pipeline::output::Ended;
use crate::state::{InstanceKeys, OutputState, SinceCheckpoint, StateError};

impl Checkpoints {
    /// Records that an output has committed everything up to this barrier. If a report ends there, the receipt is
    /// stored when this returns, and the output may publish the report.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(in crate::pipeline) fn committed(
        &self,
        output: usize,
        mark: Mark,
        states: Vec<(String, OutputState)>,
        ended: Option<Ended>,
    ) -> Result<(), StateError> {
        let mut state = self.lock();
        let progress = &mut state.outputs[output];
        progress.committed.push_back((mark.number, states));
        progress.ended.extend(ended.map(|ended| (mark.number, ended)));
        progress.is_counted = true;
        self.store(&mut state)?;
        if !mark.ends_report || state.stored >= mark.number || state.ledger.is_none() {
            return Ok(());
        }
        let max_wait = state.outputs[output].max_wait;
        let end = after(self.stop.now(), max_wait);
        while state.stored < mark.number {
            let left = self.stop.clock().until(end);
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let timed_out = state.stored < mark.number;
        state.outputs[output].max_wait = if timed_out { Duration::ZERO } else { MAX_WAIT };
        if timed_out { state.store_own_receipt(output) } else { Ok(()) }
    }

    pub(super) fn store(&self, state: &mut State) -> Result<(), StateError> {
        if let Some(mark) = state.common_mark() {
            state.advance_to(mark);
            state.write_to_ledger(mark)?;
            state.stored = mark;
        }
        state.settle(self.stop.now());
        self.changed.notify_all();
        Ok(())
    }
}

impl State {
    /// Stores the checkpoint, which is at this barrier.
    pub(super) fn write_to_ledger(&mut self, mark: u64) -> Result<(), StateError> {
        for output in &self.outputs {
            for id in &output.ids {
                if let Some(stored) = self.checkpoint.outputs.get_mut(id) {
                    stored.ahead = output.ahead.iter().map(|(_, report)| report.clone()).collect();
                }
            }
        }
        if self.unresumable_inputs.is_empty()
            && let Some(ledger) = &self.ledger
        {
            let changes =
                self.keys_at(mark).map(|(keys, mark)| (keys.instance().to_owned(), keys.begin_write(mark)));
            self.since.keys = changes.filter(|(_, changes)| !changes.is_empty()).collect();
            match &self.kept {
                None => ledger.store(&self.checkpoint, &self.since)?,
                Some(_) => ledger.store_copy(&self.checkpoint, &self.since)?,
            }
            self.all_keys().for_each(|keys| keys.written());
            for (input, letters) in &self.since.invalid_rows {
                let faults = self.inputs.faults.iter().find(|faults| faults.input() == input);
                faults.iter().for_each(|faults| faults.written(letters.iter().map(Vec::len).sum()));
            }
            self.since = SinceCheckpoint::default();
            self.written = (self.written.0 + 1, crate::state::now());
        }
        self.kept.iter_mut().for_each(Kept::commit_succeeded);
        Ok(())
    }

    /// Stores the receipt of one output alone, with the reports that it is ahead by.
    fn store_own_receipt(&mut self, output: usize) -> Result<(), StateError> {
        let Some(states) = self.outputs[output].go_ahead(&self.marks) else { return Ok(()) };
        self.checkpoint.outputs.extend(states);
        self.write_to_ledger(self.stored)
    }

    /// Keys with the last barrier up to which their changes are stored together with this barrier.
    fn keys_at(&self, mark: u64) -> impl Iterator<Item = (&Arc<InstanceKeys>, u64)> {
        let of_outputs = self.outputs.iter().flat_map(move |output| {
            // The ledger may have a later receipt of this output.
            output.keys.iter().map(move |keys| (keys, mark.max(output.own_mark)))
        });
        self.inputs.keys.iter().map(move |keys| (keys, mark)).chain(of_outputs)
    }
}
