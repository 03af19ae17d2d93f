//! Reports that a failover pair has delivered together, except that one of both has not completed its part yet.

use std::collections::BTreeSet;

use scanbridge_plugin_api::{Outcome, Position, ReportKey};

use super::Checkpoints;
use super::state::{AwaitingReport, State};
use crate::state::MissedChange;

impl Checkpoints {
    /// Records that the primary output of a pair has completed its part of the last report. The change gets into the
    /// ledger with the next transaction; until then the report counts as missed.
    pub(in crate::pipeline) fn part_completed(&self, output: usize) {
        let mut state = self.lock();
        let progress = &mut state.outputs[output];
        let awaiting = progress.ended.iter_mut().filter(|(_, ended)| ended.awaits_part);
        let mut marks = BTreeSet::new();
        for (mark, ended) in awaiting {
            (ended.missed, ended.awaits_part) = (None, false);
            marks.insert(*mark);
        }
        let ahead = progress.ahead.iter_mut().filter(|(mark, _)| marks.contains(mark));
        ahead.for_each(|(_, report)| report.missed = None);
        state.complete_part(output);
        self.changed.notify_all();
    }
}

impl State {
    fn complete_part(&mut self, output: usize) {
        let id = self.outputs[output].ids[0].clone();
        for report in &mut self.awaiting {
            if report.awaiting.remove(&output) {
                let key = ReportKey::clone(&report.report.key);
                self.since.missed.push(MissedChange::Remove { output: id.clone(), report: key });
            }
        }
        for AwaitingReport { input, report, is_only_awaiting, .. } in
            self.awaiting.extract_if(.., |report| report.awaiting.is_empty())
        {
            if !is_only_awaiting {
                continue;
            }
            let mut report = report;
            report.outcome = Outcome::Delivered;
            let position = self.checkpoint.positions.get(&input).cloned().unwrap_or_default();
            self.checkpoint.unconfirmed.entry(input.clone()).or_default().push(report.clone());
            if let Some(index) = self.inputs.ids.iter().position(|id| *id == input) {
                let notification = self.notifications[index].get_or_insert_default();
                notification.position = Position(position);
                notification.reports.push(report);
            }
        }
    }
}
