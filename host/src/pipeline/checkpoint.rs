//! Checkpoints. Inputs put barriers into the stream. When every output that is available has committed a barrier, it
//! becomes the checkpoint in the ledger, in one transaction with the receipts.
//!
//! At the end of a report an output does not wait long for the others: its receipt is stored alone, and the report is
//! added to those that it is ahead by. A receipt is never replaced by an older one, and a report that an output has
//! published is not sent to it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanbridge_plugin_api::{Outcome, Position, ReportKey, Stored, StoredReport};

use super::batch::Mark;
use super::destination::Ended;
use crate::state::{AheadReport, Checkpoint, Ledger, OutputState, SentReport, StateError};

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
    pub(super) ended: Option<EndedReport>,
}

/// A report that ends at a barrier.
#[derive(Debug)]
pub(super) struct EndedReport {
    pub(super) key: Arc<ReportKey>,
    /// For the list of delivered reports; `None` for one that is withdrawn.
    pub(super) sent: Option<SentReport>,
}

/// What is known of one output at the start: its `id`, that of its failover output, and what they can do.
#[derive(Debug)]
pub(super) struct OutputIds {
    pub(super) ids: Vec<String>,
    /// Whether it can resume inside a report.
    pub(super) resumes: bool,
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
    /// The last barrier that is stored and published by every output that counts.
    settled: u64,
    outputs: Vec<OutputProgress>,
    /// The checkpoint as stored in the ledger.
    checkpoint: Checkpoint,
    /// Inputs that cannot resume at their current position: nothing is stored until they can.
    stuck: BTreeSet<usize>,
    /// Reports that were delivered since the last checkpoint in the ledger.
    reports: Vec<SentReport>,
    /// Stored barriers that are not settled yet: number, input, position, report.
    passed: VecDeque<(u64, usize, Option<Position>, Option<StoredReport>)>,
    /// What each input is to be told.
    news: Vec<Option<Stored>>,
}

#[derive(Debug)]
struct OutputProgress {
    /// The `id:`s of the output and of its failover output.
    ids: Vec<String>,
    /// Whether it can resume inside a report.
    resumes: bool,
    /// Whether a checkpoint waits for this output.
    counts: bool,
    /// Barriers committed since the last stored one, with the state of the outputs.
    committed: VecDeque<(u64, Vec<(String, OutputState)>)>,
    /// What the output lacks of reports that ended, by barrier.
    ended: VecDeque<(u64, Ended)>,
    /// The barrier of the receipt in the ledger: that of the checkpoint, or a later one.
    own: u64,
    /// The reports that it is ahead by. Barrier 0: of an earlier run.
    ahead: VecDeque<(u64, AheadReport)>,
    /// The last barrier up to which everything is published.
    published: u64,
    /// How long it waits for the others at the end of a report. Zero after it has waited in vain.
    patience: Duration,
}

/// How long an output waits for the others at the end of a report.
const PATIENCE: Duration = Duration::from_millis(200);

impl Checkpoints {
    pub(super) fn new(
        ledger: Option<Arc<Ledger>>,
        mut from: Checkpoint,
        input_ids: Vec<String>,
        outputs: Vec<OutputIds>,
    ) -> Self {
        let outputs = outputs.into_iter().map(|output| OutputProgress::of(output, &from)).collect();
        let news = input_ids.iter().map(|id| {
            let reports = from.unconfirmed.get(id).cloned().filter(|reports| !reports.is_empty())?;
            let position = Position(from.positions.get(id).cloned().unwrap_or_default());
            Some(Stored { position, reports })
        });
        let news = news.collect();
        from.unconfirmed.retain(|id, _| input_ids.contains(id));
        let state = State {
            ledger,
            input_ids,
            marks: VecDeque::new(),
            last_mark: 0,
            stored: 0,
            settled: 0,
            outputs,
            checkpoint: from,
            stuck: BTreeSet::new(),
            reports: Vec::new(),
            passed: VecDeque::new(),
            news,
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

    /// Whether barriers inside a report are allowed: every output that counts can resume there.
    pub(super) fn allows_marks_in_reports(&self) -> bool {
        self.lock().outputs.iter().all(|output| output.resumes || !output.counts)
    }

    /// Sets whether an output can resume inside a report: an instance that was opened again may declare something else.
    pub(super) fn set_resumes(&self, output: usize, resumes: bool) {
        self.lock().outputs[output].resumes = resumes;
    }

    /// Records that an output has committed everything up to this barrier. When it returns, the receipt of a report's end
    /// is stored, and the output may publish the report.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn committed(
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
        progress.counts = true;
        self.store(&mut state)?;
        if !mark.ends_report || state.stored >= mark.number || state.ledger.is_none() {
            return Ok(());
        }
        let patience = state.outputs[output].patience;
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.stored < mark.number);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let in_vain = timeout.timed_out() && state.stored < mark.number;
        state.outputs[output].patience = if in_vain { Duration::ZERO } else { PATIENCE };
        if in_vain { state.store_own(output) } else { Ok(()) }
    }

    /// Records that an output has published everything up to this barrier.
    pub(super) fn published(&self, output: usize, mark: u64) {
        let mut state = self.lock();
        state.outputs[output].published = mark;
        state.settle();
        self.changed.notify_all();
    }

    /// Records that an output is unavailable or has ended: checkpoints no longer wait for it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn leave_out(&self, output: usize) -> Result<(), StateError> {
        let mut state = self.lock();
        state.outputs[output].counts = false;
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

    /// What an input has not been told yet.
    pub(super) fn take_news(&self, input: usize) -> Option<Stored> {
        self.lock().news[input].take()
    }

    /// Records that an input has confirmed reports.
    pub(super) fn confirmed(&self, input: usize, reports: &[StoredReport]) {
        let mut state = self.lock();
        let id = state.input_ids[input].clone();
        if let Some(unconfirmed) = state.checkpoint.unconfirmed.get_mut(&id) {
            for report in reports {
                if let Some(index) = unconfirmed.iter().position(|known| known.key == report.key) {
                    unconfirmed.remove(index);
                }
            }
        }
    }

    /// Reports that no input has confirmed.
    pub(super) fn unconfirmed(&self) -> BTreeMap<String, Vec<StoredReport>> {
        self.lock().checkpoint.unconfirmed.clone()
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

    /// Waits until this barrier is stored and published, at most `longest`. Returns whether it is.
    pub(super) fn wait_settled(&self, mark: u64, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| state.settled < mark);
        waited.unwrap_or_else(PoisonError::into_inner).0.settled >= mark
    }

    /// Whether every barrier is stored and published.
    pub(super) fn is_everything_settled(&self) -> bool {
        let state = self.lock();
        state.settled == state.last_mark
    }

    /// Reports that were delivered since the last checkpoint in the ledger.
    pub(super) fn unrecorded_reports(&self) -> Vec<SentReport> {
        self.lock().reports.clone()
    }

    fn store(&self, state: &mut State) -> Result<(), StateError> {
        if let Some(mark) = state.common_mark() {
            state.reach(mark);
            state.write_down()?;
            state.stored = mark;
        }
        state.settle();
        self.changed.notify_all();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputProgress {
    fn of(output: OutputIds, from: &Checkpoint) -> Self {
        let OutputIds { ids, resumes } = output;
        let known = ids.iter().filter_map(|id| from.outputs.get(id)).map(|state| &state.ahead);
        let ahead = known.max_by_key(|ahead| ahead.len()).cloned().unwrap_or_default();
        Self {
            ids,
            resumes,
            counts: true,
            committed: VecDeque::new(),
            ended: VecDeque::new(),
            own: 0,
            ahead: ahead.into_iter().map(|report| (0, report)).collect(),
            published: 0,
            patience: PATIENCE,
        }
    }

    /// What it lacks of the report that ended at this barrier. Everything, if it has not committed the barrier.
    fn take_ended(&mut self, mark: u64) -> Ended {
        while self.ended.front().is_some_and(|(number, _)| *number < mark) {
            self.ended.pop_front();
        }
        let is_here = self.ended.front().is_some_and(|(number, _)| *number == mark);
        let ended = if is_here { self.ended.pop_front() } else { None };
        ended.map_or(Ended { missed: true, dead_letters: 0 }, |(_, ended)| ended)
    }

    /// The common checkpoint has passed the end of this report.
    fn catch_up(&mut self, mark: u64, key: &ReportKey) {
        let of_earlier_run = |(number, report): &(u64, AheadReport)| *number == 0 && report.key == *key;
        if let Some(index) = self.ahead.iter().position(of_earlier_run) {
            self.ahead.remove(index);
        }
        self.ahead.retain(|(number, _)| *number == 0 || *number > mark);
    }
}

impl State {
    fn write_down(&mut self) -> Result<(), StateError> {
        for output in &self.outputs {
            for id in &output.ids {
                if let Some(known) = self.checkpoint.outputs.get_mut(id) {
                    known.ahead = output.ahead.iter().map(|(_, report)| report.clone()).collect();
                }
            }
        }
        if self.stuck.is_empty()
            && let Some(ledger) = &self.ledger
        {
            ledger.store(&self.checkpoint, &self.reports)?;
            self.reports.clear();
        }
        Ok(())
    }

    /// Stores the receipt of one output alone, with the reports that it is ahead by.
    fn store_own(&mut self, output: usize) -> Result<(), StateError> {
        let progress = &mut self.outputs[output];
        let Some((mark, states)) = progress.committed.back().cloned() else { return Ok(()) };
        let last = progress.ahead.back().map_or(0, |(number, _)| *number);
        for (number, new) in self.marks.iter().filter(|(number, _)| (last + 1..=mark).contains(number)) {
            let Some(report) = &new.ended else { continue };
            let is_known =
                progress.ahead.iter().any(|(number, known)| *number == 0 && known.key == *report.key);
            let ended = progress.ended.iter().find(|(known, _)| known == number).map(|(_, ended)| *ended);
            let Ended { missed, dead_letters } = ended.unwrap_or_default();
            if !is_known {
                let key = ReportKey::clone(&report.key);
                progress.ahead.push_back((*number, AheadReport { key, missed, dead_letters }));
            }
        }
        progress.own = mark;
        self.checkpoint.outputs.extend(states);
        self.write_down()
    }

    /// The latest unstored barrier that every output that counts has committed.
    fn common_mark(&self) -> Option<u64> {
        let counting = self.outputs.iter().filter(|output| output.counts);
        let latest = counting.map(|output| output.committed.back().map_or(self.stored, |(mark, _)| *mark));
        latest.min().filter(|mark| *mark > self.stored)
    }

    /// Makes this barrier the checkpoint.
    fn reach(&mut self, mark: u64) {
        while self.marks.front().is_some_and(|(number, _)| *number <= mark) {
            if let Some((number, reached)) = self.marks.pop_front() {
                self.pass(number, reached);
            }
        }
        for output in &mut self.outputs {
            let mut last = None;
            while output.committed.front().is_some_and(|(number, _)| *number <= mark) {
                last = output.committed.pop_front();
            }
            let is_here = last.as_ref().is_some_and(|(number, _)| *number == mark);
            if output.own > mark {
                continue; // Its receipt in the ledger is later than this one.
            }
            self.checkpoint.outputs.extend(last.into_iter().flat_map(|(_, states)| states));
            if !is_here {
                // An output that is late has not received all of the current report.
                for id in &output.ids {
                    self.checkpoint.outputs.entry(id.clone()).and_modify(|state| state.has_gap = true);
                }
            }
        }
    }

    fn pass(&mut self, number: u64, mark: NewMark) {
        let NewMark { input, position, in_report, ended } = mark;
        let id = self.input_ids[input].clone();
        self.checkpoint.under_way = in_report.then(|| id.clone());
        let report = ended.map(|ended| self.pass_report(number, ended));
        self.checkpoint.unconfirmed.entry(id.clone()).or_default().extend(report.clone());
        match position.clone() {
            None => {
                self.stuck.insert(input);
            }
            Some(position) => {
                self.stuck.remove(&input);
                self.checkpoint.positions.insert(id, position.0);
            }
        }
        self.passed.push_back((number, input, position, report));
    }

    /// What became of a report that ended at this barrier.
    fn pass_report(&mut self, number: u64, ended: EndedReport) -> StoredReport {
        let EndedReport { key, sent } = ended;
        let (mut missed, mut dead_letters) = (false, 0);
        for output in &mut self.outputs {
            let ended = output.take_ended(number);
            output.catch_up(number, &key);
            missed |= ended.missed;
            dead_letters += ended.dead_letters;
        }
        let outcome = match (&sent, missed) {
            (None, _) => Outcome::Withdrawn,
            (Some(_), true) => Outcome::Missed,
            (Some(_), false) => Outcome::Delivered,
        };
        self.reports.extend(sent);
        StoredReport { key: ReportKey::clone(&key), outcome, dead_letters }
    }

    /// Tells the inputs what is stored and published.
    fn settle(&mut self) {
        let counting = self.outputs.iter().filter(|output| output.counts);
        let published = counting.map(|output| output.published).min().unwrap_or(u64::MAX);
        self.settled = published.min(self.stored).max(self.settled);
        while self.passed.front().is_some_and(|(number, ..)| *number <= self.settled) {
            let Some((_, input, position, report)) = self.passed.pop_front() else { break };
            if position.is_none() && report.is_none() {
                continue;
            }
            let news = self.news[input].get_or_insert_default();
            news.position = position.unwrap_or_default();
            news.reports.extend(report);
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
