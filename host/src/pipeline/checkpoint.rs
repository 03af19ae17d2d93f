//! How far everything is delivered. The inputs put marks into the stream; when every output that is up has committed
//! a mark, it becomes the checkpoint in the ledger, in one transaction with the receipts.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanbridge_plugin_api::Position;

use crate::state::{Checkpoint, Ledger, OutputState, SentReport, StateError};

/// What is known of the marks of one run.
#[derive(Debug)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
}

/// A place in the stream where an input could go on.
#[derive(Debug)]
pub(super) struct NewMark {
    /// The input's place among the inputs.
    pub(super) input: usize,
    /// Where it goes on; empty where it begins, none where it cannot.
    pub(super) position: Option<Position>,
    /// Whether a report of this input is under way here.
    pub(super) in_report: bool,
    /// The report that ends here.
    pub(super) sent: Option<SentReport>,
}

#[derive(Debug)]
struct State {
    /// None for runs that keep no state, and when the run is over.
    ledger: Option<Arc<Ledger>>,
    input_ids: Vec<String>,
    /// Marks that are not stored yet, by number.
    marks: VecDeque<(u64, NewMark)>,
    last_mark: u64,
    stored: u64,
    lanes: Vec<LaneProgress>,
    /// The checkpoint as it is in the ledger.
    checkpoint: Checkpoint,
    /// Inputs that could not go on where they are: nothing is stored until they can again.
    stuck: BTreeSet<usize>,
    /// Reports that were delivered since the last checkpoint in the ledger.
    reports: Vec<SentReport>,
    /// The last position of each input that is stored.
    positions: Vec<Option<Position>>,
}

#[derive(Debug)]
struct LaneProgress {
    /// The `id:`s of its output and of what stands in for that.
    ids: Vec<String>,
    /// Whether a checkpoint waits for it.
    counts: bool,
    /// The marks it has committed since the last one that is stored, with what its outputs said.
    committed: VecDeque<(u64, Vec<(String, OutputState)>)>,
}

impl Checkpoints {
    pub(super) fn new(
        ledger: Option<Arc<Ledger>>,
        from: Checkpoint,
        input_ids: Vec<String>,
        lanes: Vec<Vec<String>>,
    ) -> Self {
        let positions = vec![None; input_ids.len()];
        let lanes = lanes.into_iter().map(LaneProgress::of).collect();
        let state = State {
            ledger,
            input_ids,
            marks: VecDeque::new(),
            last_mark: 0,
            stored: 0,
            lanes,
            checkpoint: from,
            stuck: BTreeSet::new(),
            reports: Vec::new(),
            positions,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Takes a new mark and gives its number.
    pub(super) fn mark(&self, mark: NewMark) -> u64 {
        let mut state = self.lock();
        state.last_mark += 1;
        let number = state.last_mark;
        state.marks.push_back((number, mark));
        number
    }

    /// An output has committed everything up to this mark.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn committed(
        &self,
        lane: usize,
        mark: u64,
        outputs: Vec<(String, OutputState)>,
    ) -> Result<(), StateError> {
        let mut state = self.lock();
        state.lanes[lane].committed.push_back((mark, outputs));
        state.lanes[lane].counts = true;
        self.store(&mut state)
    }

    /// An output is down, or has ended: checkpoints no longer wait for it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn leave_out(&self, lane: usize) -> Result<(), StateError> {
        let mut state = self.lock();
        state.lanes[lane].counts = false;
        self.store(&mut state)
    }

    /// An output has committed what belongs to no mark: the rest of a report that it was inside when another one took
    /// over.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn amend(&self, output: &str, known: OutputState) -> Result<(), StateError> {
        let mut state = self.lock();
        state.checkpoint.outputs.insert(output.to_owned(), known);
        if state.checkpoint.positions.is_empty() { Ok(()) } else { state.write_down() }
    }

    /// The run is over: a call that hangs for ever does not keep the ledger open.
    pub(super) fn release(&self) {
        self.lock().ledger = None;
    }

    /// The last stored position of an input, if it is another one than `told`.
    pub(super) fn news(&self, input: usize, told: Option<&Position>) -> Option<Position> {
        let position = self.lock().positions[input].clone();
        position.filter(|position| Some(position) != told && !position.0.is_empty())
    }

    /// Whether this run has a checkpoint, or goes on with one.
    pub(super) fn has_begun(&self) -> bool {
        let state = self.lock();
        state.ledger.is_none() || state.last_mark > 0 || !state.checkpoint.positions.is_empty()
    }

    /// Waits until this mark is stored, at most so long; says whether it is.
    pub(super) fn wait_stored(&self, mark: u64, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| state.stored < mark);
        waited.unwrap_or_else(PoisonError::into_inner).0.stored >= mark
    }

    /// Whether every mark is stored.
    pub(super) fn is_everything_stored(&self) -> bool {
        let state = self.lock();
        state.stored == state.last_mark
    }

    /// The reports that were delivered since the last checkpoint in the ledger.
    pub(super) fn unrecorded_reports(&self) -> Vec<SentReport> {
        self.lock().reports.clone()
    }

    fn store(&self, state: &mut State) -> Result<(), StateError> {
        let Some(mark) = state.common_mark() else { return Ok(()) };
        state.reach(mark);
        state.write_down()?;
        state.stored = mark;
        self.changed.notify_all();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneProgress {
    fn of(ids: Vec<String>) -> Self {
        Self { ids, counts: true, committed: VecDeque::new() }
    }
}

impl State {
    fn write_down(&mut self) -> Result<(), StateError> {
        if self.stuck.is_empty()
            && let Some(ledger) = &self.ledger
        {
            ledger.store(&self.checkpoint, &self.reports)?;
            self.reports.clear();
        }
        Ok(())
    }

    /// The latest mark that is not stored and that every output that counts has committed.
    fn common_mark(&self) -> Option<u64> {
        let counting = self.lanes.iter().filter(|lane| lane.counts);
        let latest = counting.map(|lane| lane.committed.back().map_or(self.stored, |(mark, _)| *mark));
        latest.min().filter(|mark| *mark > self.stored)
    }

    /// Makes this mark the checkpoint.
    fn reach(&mut self, mark: u64) {
        while self.marks.front().is_some_and(|(number, _)| *number <= mark) {
            if let Some((_, reached)) = self.marks.pop_front() {
                self.pass(reached);
            }
        }
        for lane in &mut self.lanes {
            let mut last = None;
            while lane.committed.front().is_some_and(|(number, _)| *number <= mark) {
                last = lane.committed.pop_front();
            }
            let is_here = last.as_ref().is_some_and(|(number, _)| *number == mark);
            self.checkpoint.outputs.extend(last.into_iter().flat_map(|(_, outputs)| outputs));
            if !is_here {
                // An output that is behind has not seen all of the report under way.
                for id in &lane.ids {
                    self.checkpoint.outputs.entry(id.clone()).and_modify(|state| state.has_gap = true);
                }
            }
        }
    }

    fn pass(&mut self, mark: NewMark) {
        let NewMark { input, position, in_report, sent } = mark;
        let id = &self.input_ids[input];
        self.checkpoint.under_way = in_report.then(|| id.clone());
        self.reports.extend(sent);
        match position {
            None => {
                self.stuck.insert(input);
            }
            Some(position) => {
                self.stuck.remove(&input);
                self.checkpoint.positions.insert(id.clone(), position.0.clone());
                self.positions[input] = Some(position);
            }
        }
    }
}

#[cfg(test)]
mod tests;
