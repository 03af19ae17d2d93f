//! How far one output is: what it has committed, the receipt that was stored alone, and the reports that it is ahead
//! by.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use scanbridge_plugin_api::ReportKey;

use super::new_mark::NewMark;
use crate::pipeline::output::Ended;
use crate::state::{AheadReport, Checkpoint, InstanceKeys, Missed, OutputState};

/// One output at the start of the run: its `id`, that of its failover output, and their capabilities.
#[derive(Debug)]
pub(in crate::pipeline) struct OutputIds {
    pub(in crate::pipeline) ids: Vec<String>,
    /// Whether it can resume inside a report.
    pub(in crate::pipeline) resumes: bool,
    /// The keys of both.
    pub(in crate::pipeline) keys: Vec<Arc<InstanceKeys>>,
}

impl OutputIds {
    /// Reports that the output, or its failover output, published before the interruption.
    pub(in crate::pipeline) fn ahead(&self, from: &Checkpoint) -> Vec<AheadReport> {
        let stored = self.ids.iter().filter_map(|id| from.outputs.get(id)).map(|state| &state.ahead);
        stored.max_by_key(|ahead| ahead.len()).cloned().unwrap_or_default()
    }
}

/// How far one output is.
#[derive(Debug)]
pub(super) struct OutputProgress {
    /// The `id:`s of the output and of its failover output.
    pub(super) ids: Vec<String>,
    /// Whether it can resume inside a report.
    pub(super) resumes: bool,
    /// The keys of the output and of its failover output.
    pub(super) keys: Vec<Arc<InstanceKeys>>,
    /// Whether checkpoints wait for this output.
    pub(super) is_counted: bool,
    /// Why they do not.
    pub(super) excluded_by: String,
    /// Barriers committed since the last stored one, with the states of the outputs.
    pub(super) committed: VecDeque<(u64, Vec<(String, OutputState)>)>,
    /// What the output missed of reports that ended, by barrier.
    pub(super) ended: VecDeque<(u64, Ended)>,
    /// The barrier of the receipt in the ledger: the checkpoint's, or a later one.
    pub(super) own_mark: u64,
    /// The reports that it is ahead by. Barrier 0: from an earlier run.
    pub(super) ahead: VecDeque<(u64, AheadReport)>,
    /// The last barrier up to which everything is published.
    pub(super) published: u64,
    /// Time that it waits for the others at the end of a report. Zero after a wait without success.
    pub(super) max_wait: Duration,
}

/// Time that an output waits for the others at the end of a report.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(200);

impl OutputProgress {
    pub(super) fn of(output: OutputIds, from: &Checkpoint) -> Self {
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
    pub(super) fn take_ended(&mut self, mark: u64, findings: u64) -> Ended {
        while self.ended.front().is_some_and(|(number, _)| *number < mark) {
            self.ended.pop_front();
        }
        let is_at_mark = self.ended.front().is_some_and(|(number, _)| *number == mark);
        let ended = if is_at_mark { self.ended.pop_front() } else { None };
        ended.map_or_else(
            || {
                let missed = Some(Missed { findings, reason: self.excluded_by.clone() });
                Ended { missed, ..Ended::default() }
            },
            |(_, ended)| ended,
        )
    }

    /// The common checkpoint has passed the end of this report.
    pub(super) fn drop_ahead_report(&mut self, mark: u64, key: &ReportKey) {
        let of_earlier_run = |(number, report): &(u64, AheadReport)| *number == 0 && report.key == *key;
        if let Some(index) = self.ahead.iter().position(of_earlier_run) {
            self.ahead.remove(index);
        }
        self.ahead.retain(|(number, _)| *number == 0 || *number > mark);
    }

    /// The output goes ahead of the common checkpoint: returns its states at its last commit, and adds the reports that
    /// ended since to those that it is ahead by.
    pub(super) fn go_ahead(
        &mut self,
        marks: &VecDeque<(u64, NewMark)>,
    ) -> Option<Vec<(String, OutputState)>> {
        let (mark, states) = self.committed.back().cloned()?;
        let last = self.ahead.back().map_or(0, |(number, _)| *number);
        for (number, new) in marks.iter().filter(|(number, _)| (last + 1..=mark).contains(number)) {
            let Some(report) = &new.ended else { continue };
            let is_known = self.ahead.iter().any(|(number, ahead)| *number == 0 && ahead.key == *report.key);
            let ended = self.ended.iter().find(|(barrier, _)| barrier == number);
            let Ended { missed, dead_letters, .. } =
                ended.map(|(_, ended)| ended.clone()).unwrap_or_default();
            if !is_known {
                let key = ReportKey::clone(&report.key);
                self.ahead.push_back((*number, AheadReport { key, missed, dead_letters }));
            }
        }
        self.own_mark = mark;
        Some(states)
    }
}
