//! The commits of an output that keeps the checkpoint. It is stored in two steps: what stays on this machine is written ahead
//! to the ledger, then the output commits its findings together with the pairs. Afterwards the ledger gets a copy.

use scanbridge_plugin_api::keeper::{PairChanges, Pairs};
use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::Checkpoints;
use super::kept::Kept;
use super::state::State;
use crate::pipeline::item::Mark;
use crate::pipeline::output::Ended;
use crate::state::{About, Checkpoint, OutputState, StateError};

impl Checkpoints {
    /// Sets that the output keeps the checkpoint.
    pub(in crate::pipeline) fn with_kept(self, kept: Option<Kept>) -> Self {
        self.lock().kept = kept;
        self
    }

    /// Writes ahead what this barrier changes on this machine, and returns the pairs that the output has to commit. `states`
    /// and `ended` are those of [`Checkpoints::committed`], which follows when the output has committed. A call for the same
    /// barrier repeats an earlier one.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(in crate::pipeline) fn prepare(
        &self,
        output: usize,
        mark: Mark,
        states: Vec<(String, OutputState)>,
        ended: Option<Ended>,
    ) -> Result<PairChanges, StateError> {
        let mut state = self.lock();
        let progress = &mut state.outputs[output];
        progress.committed.push_back((mark.number, states));
        progress.ended.extend(ended.map(|ended| (mark.number, ended)));
        state.advance_to(mark.number);
        let state = &mut *state;
        let Some(kept) = &state.kept else { return Ok(PairChanges::new()) };
        if let Some(ledger) = &state.ledger {
            ledger.prepare(kept.next(), &state.checkpoint, &state.since)?;
        }
        let keys =
            if state.unresumable_inputs.is_empty() { state.input_keys(mark.number) } else { Vec::new() };
        let State { kept, checkpoint, .. } = state;
        Ok(kept.as_mut().map_or_else(PairChanges::new, |kept| kept.changes(checkpoint, &[], &keys)))
    }

    /// The pairs that the output has to commit when it has delivered everything: the checkpoint of a run that has finished
    /// is removed. `None` if nothing has to be stored.
    pub(in crate::pipeline) fn prepare_end(&self, has_failed: bool) -> Option<PairChanges> {
        let mut state = self.lock();
        let state = &mut *state;
        let is_finished =
            !has_failed && state.settled == state.last_mark && state.ended_inputs == state.inputs.ids.len();
        if is_finished {
            for keys in &state.inputs.keys {
                keys.reached();
                keys.mark_position(u64::MAX);
            }
        }
        let keys = state.input_keys(if is_finished { u64::MAX } else { state.stored });
        let kept = state.kept.as_mut()?;
        let has_position = is_finished && !state.checkpoint.positions.is_empty();
        if !has_position && keys.is_empty() {
            return None;
        }
        if !is_finished {
            return Some(kept.changes(&state.checkpoint, &[], &keys));
        }
        let removed: Vec<String> = state.checkpoint.positions.keys().cloned().collect();
        let unconfirmed = state.checkpoint.unconfirmed.clone();
        let rest = Checkpoint { unconfirmed, ..Checkpoint::default() };
        Some(kept.changes(&rest, &removed, &keys))
    }

    /// Records that an input has read everything.
    pub(in crate::pipeline) fn input_finished(&self) {
        self.lock().ended_inputs += 1;
    }

    /// Checks that another instance of the output has the checkpoint of the last commit of this run.
    ///
    /// # Errors
    /// [`ErrorKind::Displaced`] if it has another one: that of another run, or that of a commit of which this run does not
    /// know the outcome.
    pub(in crate::pipeline) fn check_loaded(&self, pairs: &Pairs) -> Result<(), PluginError> {
        let loaded = pairs.get(About::NAME).and_then(|about| serde_json::from_slice::<About>(about).ok());
        if self.lock().kept.as_ref().is_none_or(|kept| kept.stored == loaded) {
            return Ok(());
        }
        let message = "the output keeps another checkpoint than that of this run's last commit: another instance has taken \
                       over, or the commit that failed has happened";
        Err(PluginError::new(ErrorKind::Displaced, message)
            .with_hint("the next run resumes at that checkpoint"))
    }
}

impl State {
    /// The changes of the inputs' keys up to this barrier.
    fn input_keys(&self, mark: u64) -> Vec<(String, crate::state::KeyChanges)> {
        let changes =
            self.inputs.keys.iter().map(|keys| (keys.instance().to_owned(), keys.begin_write(mark)));
        changes.filter(|(_, changes)| !changes.is_empty()).collect()
    }
}
