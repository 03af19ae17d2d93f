//! The common mark: the last barrier that all available outputs have committed becomes the checkpoint.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use scanbridge_plugin_api::{Outcome, ReportKey, StoredReport};

use super::new_mark::{EndedReport, NewMark};
use super::state::{AwaitingReport, State, Undelivered};
use crate::pipeline::row_faults::InvalidSince;
use crate::state::{InvalidOfReport, Missed, MissedChange, MissedReport};

impl State {
    /// The latest unstored barrier that every counted output has committed.
    pub(super) fn common_mark(&self) -> Option<u64> {
        let counting = self.outputs.iter().filter(|output| output.is_counted);
        let latest = counting.map(|output| output.committed.back().map_or(self.stored, |(mark, _)| *mark));
        latest.min().filter(|mark| *mark > self.stored)
    }

    /// Makes this barrier the checkpoint.
    pub(super) fn advance_to(&mut self, mark: u64) {
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
                    self.checkpoint.outputs.entry(id.clone()).and_modify(|state| {
                        (state.has_gap, state.gap_is_covered) = (true, false);
                    });
                }
            }
        }
    }

    fn apply_mark(&mut self, number: u64, mark: NewMark) {
        let NewMark { input, position, in_report, ended } = mark;
        let id = self.inputs.ids[input].clone();
        self.checkpoint.active_input = in_report.then(|| id.clone());
        let invalid = self.inputs.faults.get(input).map(|faults| faults.take_before(number));
        self.add_invalid_rows(&id, invalid.unwrap_or_default());
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

    /// Adds invalid rows of this input to those of its report in progress, of which an interrupted run has read a part.
    fn add_invalid_rows(&mut self, input: &str, since: InvalidSince) {
        let InvalidSince { has_begun, letters, lost } = since;
        let mut rows = self.checkpoint.invalid_rows.remove(input).filter(|_| !has_begun).unwrap_or_default();
        rows.dead_letters += letters.len() as u64;
        rows.lost += lost;
        self.checkpoint.invalid_rows.insert(input.to_owned(), rows);
        if !letters.is_empty() {
            self.since.invalid_rows.push((input.to_owned(), letters));
        }
    }

    /// Determines the outcome of a report of this input that ended at this barrier.
    fn report_outcome(&mut self, number: u64, input: &str, ended: EndedReport) -> StoredReport {
        let EndedReport { key, mut sent, tally, mut event, started } = ended;
        let InvalidOfReport { mut dead_letters, lost } =
            self.checkpoint.invalid_rows.remove(input).unwrap_or_default();
        if let Some(sent) = sent.as_mut().filter(|_| dead_letters + lost > 0) {
            sent.complete = false;
        }
        *self.unsettled.invalid.entry(input.to_owned()).or_default() += dead_letters + lost;
        let (mut missed_by, mut awaiting) = (Vec::new(), BTreeSet::new());
        for (index, output) in self.outputs.iter_mut().enumerate() {
            let ended = output.take_ended(number, tally.findings());
            output.drop_ahead_report(number, &key);
            dead_letters += ended.dead_letters;
            *self.unsettled.rejected.entry(output.ids[0].clone()).or_default() += ended.dead_letters;
            if sent.is_some() && ended.missed.is_some() && !ended.awaits_part {
                *self.unsettled.missed.entry(output.ids[0].clone()).or_default() += 1;
            }
            if ended.awaits_part {
                awaiting.insert(index);
            }
            missed_by.push((output.ids[0].clone(), ended.missed));
        }
        let of_all = |reason: &String| Missed { findings: tally.findings(), reason: reason.clone() };
        missed_by.extend(self.absent.iter().map(|(id, reason)| (id.clone(), Some(of_all(reason)))));
        let lost = (lost > 0).then(|| Missed {
            findings: lost,
            reason: "too many invalid rows to keep all as dead letters".to_owned(),
        });
        missed_by.push((input.to_owned(), lost));
        let missing = missed_by.iter().filter(|(_, missed)| missed.is_some()).count();
        let is_only_awaiting = missing == awaiting.len();
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
        if let Some(sent) = &sent {
            event.complete = sent.complete;
            let tally = Arc::clone(&tally);
            let key = Arc::clone(&key);
            self.undelivered.push_back((number, Undelivered { key, event, tally, started }));
        }
        let report = StoredReport::new(ReportKey::clone(&key), outcome).with_dead_letters(dead_letters);
        if sent.is_some() && !awaiting.is_empty() {
            let input = input.to_owned();
            self.awaiting.push(AwaitingReport { input, report: report.clone(), awaiting, is_only_awaiting });
        }
        self.since.reports.extend(sent);
        report
    }

    /// Collects what is stored and published, for the inputs.
    pub(super) fn settle(&mut self, now: Instant) {
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
        while self.undelivered.front().is_some_and(|(number, ..)| *number <= self.settled) {
            let Some((_, report)) = self.undelivered.pop_front() else { break };
            let Undelivered { key, mut event, tally, started } = report;
            let duration = now.saturating_duration_since(started).as_millis();
            event.duration_ms = u64::try_from(duration).unwrap_or(u64::MAX);
            (event.findings, event.assets) = (tally.findings(), tally.assets());
            event.outputs = tally.delivered();
            self.delivered.push((key, event));
        }
    }
}
