//! The last runs of a pipeline, and its results of the last days, for the console.

use std::collections::{BTreeMap, VecDeque};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// The last run of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LastRun {
    /// Number in the ledger; 0 until the run has reported it.
    pub(crate) run: u64,
    pub(crate) started: Timestamp,
    /// `None` while it runs, and when the service ended before it.
    pub(crate) ended: Option<Timestamp>,
    /// `None` if a signal ended it.
    pub(crate) exit_code: Option<u8>,
    /// `ok`, `partial`, `failed` or `interrupted`.
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) findings: u64,
    pub(crate) outputs: BTreeMap<String, u64>,
}

impl LastRun {
    /// Whether the service should repeat it: it was interrupted, or it failed.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.ended.is_none() || matches!(self.status.as_str(), "interrupted" | "failed")
    }
}

/// Runs that are kept. The ledger has more.
const RUNS: usize = 20;
/// Days that are kept, with today.
pub(crate) const DAYS: usize = 14;

/// The last runs of a pipeline, and its results of the last days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    /// Newest first.
    pub(crate) runs: VecDeque<LastRun>,
    /// Runs by result, by the day of their end.
    days: BTreeMap<Date, Day>,
}

/// The runs of a day by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Day {
    pub(crate) ok: u64,
    pub(crate) partial: u64,
    pub(crate) failed: u64,
    pub(crate) interrupted: u64,
}

impl History {
    /// Adds a run that has ended on this day.
    pub(crate) fn add(&mut self, run: &LastRun, day: Date) {
        self.runs.push_front(run.clone());
        self.runs.truncate(RUNS);
        let results = self.days.entry(day).or_default();
        *match run.status.as_str() {
            "ok" => &mut results.ok,
            "partial" => &mut results.partial,
            "interrupted" => &mut results.interrupted,
            _ => &mut results.failed,
        } += 1;
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
    }

    /// The last days until today, oldest first; also those without a run.
    pub(crate) fn days(&self, today: Date) -> Vec<(Date, Day)> {
        let back = |number: usize| today.saturating_sub(i64::try_from(number).unwrap_or_default().days());
        let days = (0..DAYS).rev().map(back);
        days.map(|day| (day, self.days.get(&day).copied().unwrap_or_default())).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn last_runs_and_days_are_kept() {
        let mut history = History::default();
        let first = date(2026, 2, 20);
        for number in 0..40_u32 {
            let status = ["ok", "ok", "partial", "interrupted", "failed"][number as usize % 5].to_owned();
            let run = LastRun { run: number.into(), status, ..LastRun::default() };
            history.add(&run, first.saturating_add((i64::from(number) / 2).days()));
        }
        assert_eq!((history.runs.len(), history.runs[0].run, history.days.len()), (20, 39, 14));
        let days = history.days(date(2026, 3, 13));
        assert_eq!((days.len(), days[0].0, days[13].0), (14, date(2026, 2, 28), date(2026, 3, 13)));
        assert_eq!(days[13].1, Day::default());
        // Runs 36 and 37, of the day before the last.
        assert_eq!(days[10].1, Day { ok: 1, partial: 1, ..Day::default() });
    }
}
