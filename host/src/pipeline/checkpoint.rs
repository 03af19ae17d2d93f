//! Checkpoints. Inputs put barriers into the stream. When every output that is available has committed a barrier, it
//! becomes the checkpoint in the ledger, in one transaction with the receipts.
//!
//! At the end of a report, an output waits for the others only briefly. Then its receipt is stored alone, and the
//! report is added to the reports that it is ahead by. A receipt is never replaced by an older one. A report that an
//! output has published is not sent to it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanbridge_plugin_api::{Outcome, Position, ReportKey, Stored, StoredReport};

use super::clock::after;
use super::item::Mark;
use super::output::Ended;
use super::row_faults::{ReportTally, RowFaults};
use super::stop::Stop;
use crate::state::{
    AheadReport, Checkpoint, DeadLetterEnd, InstanceKeys, Ledger, Missed, MissedChange, MissedReport,
    OutputState, SentReport, SinceCheckpoint, StateError,
};

/// The barriers of one run.
#[derive(Debug)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
    stop: Arc<Stop>,
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
    /// Its findings in this run.
    pub(super) tally: Arc<ReportTally>,
}

/// The inputs at the start of the run.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) ids: Vec<String>,
    /// Their keys. A replay has none.
    pub(super) keys: Vec<Arc<InstanceKeys>>,
    /// Their invalid rows.
    pub(super) faults: Vec<Arc<RowFaults>>,
}

/// One output at the start of the run: its `id`, that of its failover output, and their capabilities.
#[derive(Debug)]
pub(super) struct OutputIds {
    pub(super) ids: Vec<String>,
    /// Whether it can resume inside a report.
    pub(super) resumes: bool,
    /// The keys of both.
    pub(super) keys: Vec<Arc<InstanceKeys>>,
}

impl OutputIds {
    /// Reports that the output, or its failover output, published before the interruption.
    pub(super) fn ahead(&self, from: &Checkpoint) -> Vec<AheadReport> {
        let stored = self.ids.iter().filter_map(|id| from.outputs.get(id)).map(|state| &state.ahead);
        stored.max_by_key(|ahead| ahead.len()).cloned().unwrap_or_default()
    }
}

#[derive(Debug)]
struct State {
    /// `None` for runs without saved state, and after the run.
    ledger: Option<Arc<Ledger>>,
    inputs: Inputs,
    /// Barriers that are not stored yet, by number.
    marks: VecDeque<(u64, NewMark)>,
    last_mark: u64,
    stored: u64,
    /// The last barrier that every counted output has stored and published.
    settled: u64,
    outputs: Vec<OutputProgress>,
    /// The checkpoint as stored in the ledger.
    checkpoint: Checkpoint,
    /// Inputs that cannot resume at their current position: nothing is stored until they can.
    unresumable_inputs: BTreeSet<usize>,
    /// What has happened since the last checkpoint in the ledger, without the changes of keys.
    since: SinceCheckpoint,
    /// Number of the run, for missed reports.
    run: u64,
    /// The `id:`s of optional outputs that could not be opened, with the error: they miss every report.
    absent: Vec<(String, String)>,
    /// Stored barriers that are not published yet: number, input, position, report.
    unpublished: VecDeque<(u64, usize, Option<Position>, Option<StoredReport>)>,
    /// What `stored` must report to each input.
    notifications: Vec<Option<Stored>>,
}

#[derive(Debug)]
struct OutputProgress {
    /// The `id:`s of the output and of its failover output.
    ids: Vec<String>,
    /// Whether it can resume inside a report.
    resumes: bool,
    /// The keys of the output and of its failover output.
    keys: Vec<Arc<InstanceKeys>>,
    /// Whether checkpoints wait for this output.
    is_counted: bool,
    /// Why they do not.
    excluded_by: String,
    /// Barriers committed since the last stored one, with the states of the outputs.
    committed: VecDeque<(u64, Vec<(String, OutputState)>)>,
    /// What the output missed of reports that ended, by barrier.
    ended: VecDeque<(u64, Ended)>,
    /// The barrier of the receipt in the ledger: the checkpoint's, or a later one.
    own_mark: u64,
    /// The reports that it is ahead by. Barrier 0: from an earlier run.
    ahead: VecDeque<(u64, AheadReport)>,
    /// The last barrier up to which everything is published.
    published: u64,
    /// Time that it waits for the others at the end of a report. Zero after a wait without success.
    max_wait: Duration,
}

/// Time that an output waits for the others at the end of a report.
const MAX_WAIT: Duration = Duration::from_millis(200);

impl Checkpoints {
    pub(super) fn new(
        ledger: Option<Arc<Ledger>>,
        mut from: Checkpoint,
        inputs: Inputs,
        outputs: Vec<OutputIds>,
        (run, absent): (u64, Vec<(String, String)>),
        stop: Arc<Stop>,
    ) -> Self {
        let outputs = outputs.into_iter().map(|output| OutputProgress::of(output, &from)).collect();
        let notifications = inputs.ids.iter().map(|id| {
            let reports = from.unconfirmed.get(id).cloned().filter(|reports| !reports.is_empty())?;
            let position = Position(from.positions.get(id).cloned().unwrap_or_default());
            Some(Stored::new(position, reports))
        });
        let notifications = notifications.collect();
        from.unconfirmed.retain(|id, _| inputs.ids.contains(id));
        let state = State {
            ledger,
            inputs,
            marks: VecDeque::new(),
            last_mark: 0,
            stored: 0,
            settled: 0,
            outputs,
            checkpoint: from,
            unresumable_inputs: BTreeSet::new(),
            since: SinceCheckpoint::default(),
            run,
            absent,
            unpublished: VecDeque::new(),
            notifications,
        };
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

    /// Records that an output has committed everything up to this barrier. If a report ends there, the receipt is
    /// stored when this returns, and the output may publish the report.
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

    /// Records that an output has published everything up to this barrier.
    pub(super) fn published(&self, output: usize, mark: u64) {
        let mut state = self.lock();
        state.outputs[output].published = mark;
        state.settle();
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

    /// Whether every barrier is stored and published.
    pub(super) fn is_everything_settled(&self) -> bool {
        let state = self.lock();
        state.settled == state.last_mark
    }

    /// What has happened since the last checkpoint in the ledger. Of the changes of keys all, or only those that belong
    /// to any next transaction.
    pub(super) fn since_checkpoint(&self, all_keys: bool) -> SinceCheckpoint {
        let state = self.lock();
        let changes = state.all_keys().map(|keys| {
            let changes = if all_keys { keys.take_all() } else { keys.take_confirmed() };
            (keys.instance().to_owned(), changes)
        });
        let keys = changes.filter(|(_, changes)| !changes.is_empty()).collect();
        SinceCheckpoint { keys, ..state.since.clone() }
    }

    fn store(&self, state: &mut State) -> Result<(), StateError> {
        if let Some(mark) = state.common_mark() {
            state.advance_to(mark);
            state.write_to_ledger(mark)?;
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
        let ahead = output.ahead(from);
        let OutputIds { ids, resumes, keys } = output;
        Self {
            ids,
            resumes,
            keys,
            is_counted: true,
            excluded_by: String::new(),
            committed: VecDeque::new(),
            ended: VecDeque::new(),
            own_mark: 0,
            ahead: ahead.into_iter().map(|report| (0, report)).collect(),
            published: 0,
            max_wait: MAX_WAIT,
        }
    }

    /// What the output missed of the report that ended at this barrier; everything, if it has not committed the
    /// barrier.
    fn take_ended(&mut self, mark: u64, findings: u64) -> Ended {
        while self.ended.front().is_some_and(|(number, _)| *number < mark) {
            self.ended.pop_front();
        }
        let is_at_mark = self.ended.front().is_some_and(|(number, _)| *number == mark);
        let ended = if is_at_mark { self.ended.pop_front() } else { None };
        ended.map_or_else(
            || Ended { missed: Some(Missed { findings, reason: self.excluded_by.clone() }), dead_letters: 0 },
            |(_, ended)| ended,
        )
    }

    /// The common checkpoint has passed the end of this report.
    fn drop_ahead_report(&mut self, mark: u64, key: &ReportKey) {
        let of_earlier_run = |(number, report): &(u64, AheadReport)| *number == 0 && report.key == *key;
        if let Some(index) = self.ahead.iter().position(of_earlier_run) {
            self.ahead.remove(index);
        }
        self.ahead.retain(|(number, _)| *number == 0 || *number > mark);
    }
}

impl State {
    fn all_keys(&self) -> impl Iterator<Item = &Arc<InstanceKeys>> {
        self.inputs.keys.iter().chain(self.outputs.iter().flat_map(|output| &output.keys))
    }

    /// Keys with the last barrier up to which their changes are stored together with this barrier.
    fn keys_at(&self, mark: u64) -> impl Iterator<Item = (&Arc<InstanceKeys>, u64)> {
        let of_outputs = self.outputs.iter().flat_map(move |output| {
            // The ledger may have a later receipt of this output.
            output.keys.iter().map(move |keys| (keys, mark.max(output.own_mark)))
        });
        self.inputs.keys.iter().map(move |keys| (keys, mark)).chain(of_outputs)
    }

    /// Stores the checkpoint, which is at this barrier.
    fn write_to_ledger(&mut self, mark: u64) -> Result<(), StateError> {
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
            ledger.store(&self.checkpoint, &self.since)?;
            self.all_keys().for_each(|keys| keys.written());
            for (input, letters) in &self.since.invalid_rows {
                let faults = self.inputs.faults.iter().find(|faults| faults.input() == input);
                faults.iter().for_each(|faults| faults.written(letters.iter().map(Vec::len).sum()));
            }
            self.since = SinceCheckpoint::default();
        }
        Ok(())
    }

    /// Stores the receipt of one output alone, with the reports that it is ahead by.
    fn store_own_receipt(&mut self, output: usize) -> Result<(), StateError> {
        let progress = &mut self.outputs[output];
        let Some((mark, states)) = progress.committed.back().cloned() else { return Ok(()) };
        let last = progress.ahead.back().map_or(0, |(number, _)| *number);
        for (number, new) in self.marks.iter().filter(|(number, _)| (last + 1..=mark).contains(number)) {
            let Some(report) = &new.ended else { continue };
            let is_known =
                progress.ahead.iter().any(|(number, ahead)| *number == 0 && ahead.key == *report.key);
            let ended = progress.ended.iter().find(|(barrier, _)| barrier == number);
            let Ended { missed, dead_letters } = ended.map(|(_, ended)| ended.clone()).unwrap_or_default();
            if !is_known {
                let key = ReportKey::clone(&report.key);
                progress.ahead.push_back((*number, AheadReport { key, missed, dead_letters }));
            }
        }
        progress.own_mark = mark;
        self.checkpoint.outputs.extend(states);
        self.write_to_ledger(self.stored)
    }

    /// The latest unstored barrier that every counted output has committed.
    fn common_mark(&self) -> Option<u64> {
        let counting = self.outputs.iter().filter(|output| output.is_counted);
        let latest = counting.map(|output| output.committed.back().map_or(self.stored, |(mark, _)| *mark));
        latest.min().filter(|mark| *mark > self.stored)
    }

    /// Makes this barrier the checkpoint.
    fn advance_to(&mut self, mark: u64) {
        while self.marks.front().is_some_and(|(number, _)| *number <= mark) {
            if let Some((number, reached)) = self.marks.pop_front() {
                self.apply_mark(number, reached);
            }
        }
        for output in &mut self.outputs {
            let mut last = None;
            while output.committed.front().is_some_and(|(number, _)| *number <= mark) {
                last = output.committed.pop_front();
            }
            let is_at_mark = last.as_ref().is_some_and(|(number, _)| *number == mark);
            if output.own_mark > mark {
                continue; // The ledger has a later receipt of this output.
            }
            self.checkpoint.outputs.extend(last.into_iter().flat_map(|(_, states)| states));
            if !is_at_mark {
                // A late output has not received all of the current report.
                for id in &output.ids {
                    self.checkpoint.outputs.entry(id.clone()).and_modify(|state| state.has_gap = true);
                }
            }
        }
    }

    fn apply_mark(&mut self, number: u64, mark: NewMark) {
        let NewMark { input, position, in_report, ended } = mark;
        let id = self.inputs.ids[input].clone();
        self.checkpoint.active_input = in_report.then(|| id.clone());
        let letters = self.inputs.faults.get(input).map(|faults| faults.take_before(number));
        if let Some(letters) = letters.filter(|letters| !letters.is_empty()) {
            self.since.invalid_rows.push((id.clone(), letters));
        }
        let report = ended.map(|ended| self.report_outcome(number, &id, ended));
        self.checkpoint.unconfirmed.entry(id.clone()).or_default().extend(report.clone());
        match position.clone() {
            None => {
                self.unresumable_inputs.insert(input);
            }
            Some(position) => {
                self.unresumable_inputs.remove(&input);
                self.checkpoint.positions.insert(id, position.0);
            }
        }
        self.unpublished.push_back((number, input, position, report));
    }

    /// Determines the outcome of a report of this input that ended at this barrier.
    fn report_outcome(&mut self, number: u64, input: &str, ended: EndedReport) -> StoredReport {
        let EndedReport { key, sent, tally } = ended;
        let mut dead_letters = tally.dead_letters();
        let mut missed_by = Vec::new();
        for output in &mut self.outputs {
            let ended = output.take_ended(number, tally.findings());
            output.drop_ahead_report(number, &key);
            dead_letters += ended.dead_letters;
            missed_by.push((output.ids[0].clone(), ended.missed));
        }
        let of_all = |reason: &String| Missed { findings: tally.findings(), reason: reason.clone() };
        missed_by.extend(self.absent.iter().map(|(id, reason)| (id.clone(), Some(of_all(reason)))));
        let lost = (tally.lost() > 0).then(|| Missed {
            findings: tally.lost(),
            reason: "too many invalid rows to keep all as dead letters".to_owned(),
        });
        missed_by.push((input.to_owned(), lost));
        let outcome = match (&sent, missed_by.iter().any(|(_, missed)| missed.is_some())) {
            (None, _) => Outcome::Withdrawn,
            (Some(_), true) => Outcome::Missed,
            (Some(_), false) => Outcome::Delivered,
        };
        let missed_by = missed_by.into_iter().filter(|_| sent.is_some());
        self.since.missed.extend(missed_by.map(|(output, missed)| {
            let (report, run, time) = (ReportKey::clone(&key), self.run, crate::state::now());
            match missed {
                Some(missed) => MissedChange::Add(MissedReport { output, report, missed, run, time }),
                None => MissedChange::Remove { output, report },
            }
        }));
        self.since.reports.extend(sent);
        StoredReport::new(ReportKey::clone(&key), outcome).with_dead_letters(dead_letters)
    }

    /// Collects what is stored and published, for the inputs.
    fn settle(&mut self) {
        let counting = self.outputs.iter().filter(|output| output.is_counted);
        let published = counting.map(|output| output.published).min().unwrap_or(u64::MAX);
        self.settled = published.min(self.stored).max(self.settled);
        while self.unpublished.front().is_some_and(|(number, ..)| *number <= self.settled) {
            let Some((_, input, position, report)) = self.unpublished.pop_front() else { break };
            if position.is_none() && report.is_none() {
                continue;
            }
            let notification = self.notifications[input].get_or_insert_default();
            notification.position = position.unwrap_or_default();
            notification.reports.extend(report);
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
