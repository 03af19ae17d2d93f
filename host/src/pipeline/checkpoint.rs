//! Checkpoints. Inputs put barriers into the stream. When every output that is available has committed a barrier, it
//! becomes the checkpoint in the ledger, in one transaction with the receipts.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanbridge_plugin_api::Position;

use crate::state::{Checkpoint, Ledger, OutputState, SentReport, StateError};

/// The barriers of one run.
#[derive(Debug)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
}

/// A barrier: a position in the stream at which an input can resume.
#[derive(Debug)]
pub(super) struct NewMark {
    /// Index of the input.
    pub(super) input: usize,
    /// Position at which it resumes: empty for the beginning, `None` if it cannot resume.
    pub(super) position: Option<Position>,
    /// Whether the barrier is inside a report of this input.
    pub(super) in_report: bool,
    /// The report that ends here.
    pub(super) sent: Option<SentReport>,
}

#[derive(Debug)]
struct State {
    /// `None` for runs without saved state, and after the run.
    ledger: Option<Arc<Ledger>>,
    input_ids: Vec<String>,
    /// Barriers that are not stored yet, by number.
    marks: VecDeque<(u64, NewMark)>,
    last_mark: u64,
    stored: u64,
    lanes: Vec<LaneProgress>,
    /// The checkpoint as stored in the ledger.
    checkpoint: Checkpoint,
    /// Inputs that cannot resume at their current position: nothing is stored until they can.
    stuck: BTreeSet<usize>,
    /// Reports that were delivered since the last checkpoint in the ledger.
    reports: Vec<SentReport>,
    /// Last stored position of each input.
    positions: Vec<Option<Position>>,
}

#[derive(Debug)]
struct LaneProgress {
    /// The `id:`s of the output and of its failover output.
    ids: Vec<String>,
    /// Whether a checkpoint waits for this output.
    counts: bool,
    /// Barriers committed since the last stored one, with the state of the outputs.
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

    /// Adds a barrier and returns its number.
    pub(super) fn mark(&self, mark: NewMark) -> u64 {
        let mut state = self.lock();
        state.last_mark += 1;
        let number = state.last_mark;
        state.marks.push_back((number, mark));
        number
    }

    /// Records that an output has committed everything up to this barrier.
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

    /// Records that an output is unavailable or has ended: checkpoints no longer wait for it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn leave_out(&self, lane: usize) -> Result<(), StateError> {
        let mut state = self.lock();
        state.lanes[lane].counts = false;
        self.store(&mut state)
    }

    /// Records a commit that belongs to no barrier: an output has ended its part of a report after another output
    /// took over.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn amend(&self, output: &str, known: OutputState) -> Result<(), StateError> {
        let mut state = self.lock();
        state.checkpoint.outputs.insert(output.to_owned(), known);
        if state.checkpoint.positions.is_empty() { Ok(()) } else { state.write_down() }
    }

    /// Closes the ledger after the run, so that a hanging call does not keep it open.
    pub(super) fn release(&self) {
        self.lock().ledger = None;
    }

    /// Last stored position of an input, if it differs from `told`.
    pub(super) fn news(&self, input: usize, told: Option<&Position>) -> Option<Position> {
        let position = self.lock().positions[input].clone();
        position.filter(|position| Some(position) != told && !position.0.is_empty())
    }

    /// Whether this run has a checkpoint or resumes from one.
    pub(super) fn has_begun(&self) -> bool {
        let state = self.lock();
        state.ledger.is_none() || state.last_mark > 0 || !state.checkpoint.positions.is_empty()
    }

    /// Waits until this barrier is stored, at most `longest`. Returns whether it is stored.
    pub(super) fn wait_stored(&self, mark: u64, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| state.stored < mark);
        waited.unwrap_or_else(PoisonError::into_inner).0.stored >= mark
    }

    /// Whether every barrier is stored.
    pub(super) fn is_everything_stored(&self) -> bool {
        let state = self.lock();
        state.stored == state.last_mark
    }

    /// Reports that were delivered since the last checkpoint in the ledger.
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

    /// The latest unstored barrier that every output that counts has committed.
    fn common_mark(&self) -> Option<u64> {
        let counting = self.lanes.iter().filter(|lane| lane.counts);
        let latest = counting.map(|lane| lane.committed.back().map_or(self.stored, |(mark, _)| *mark));
        latest.min().filter(|mark| *mark > self.stored)
    }

    /// Makes this barrier the checkpoint.
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
                // An output that is late has not received all of the current report.
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
