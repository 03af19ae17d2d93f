//! Rows that an output does not accept, at once or at a later commit: they are counted and become dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use scanbridge_plugin_api::{LateRow, PluginError, Rejection, Written};

use super::destination::{Destination, LateRetry};
use crate::pipeline::KindCounts;
use crate::pipeline::batch::ValidatedBatch;
use crate::state::{DeadLetter, Record, ReportRecord, Stage};
use crate::telemetry::without_controls;

/// Maximum number of rejected findings in the log; the summary counts all.
const MAX_LOGGED_REJECTIONS: u64 = 20;

impl Destination {
    /// Moves these rows to dead letters.
    pub(super) fn move_to_dead_letters(
        &mut self,
        batch: &ValidatedBatch,
        rows: &[u32],
        reason: &str,
        attempts: u32,
    ) {
        self.reject(batch, rows.iter().map(|row| (*row, reason)), attempts);
    }

    /// Counts the results that a commit has returned for earlier batches.
    pub(super) fn account_late(
        &mut self,
        rejected: Vec<(LateRow, String)>,
        retry: Vec<LateRow>,
    ) -> Result<Vec<LateRetry>, PluginError> {
        let mut batches: BTreeMap<u64, Written> = BTreeMap::new();
        for (late, reason) in rejected {
            let rejection = Rejection::new(late.row, reason);
            batches.entry(late.batch).or_default().rejected.push(rejection);
        }
        for late in retry {
            batches.entry(late.batch).or_default().retry.push(late.row);
        }
        let mut retries = Vec::new();
        for (number, written) in batches {
            let Some(batch) = self.late.get(&number).map(Arc::clone) else {
                return Err(PluginError::bug(format!(
                    "plugin bug: `commit` named rows of batch {number}, which was not written since the last commit"
                )));
            };
            let validated = batch.validate()?;
            let retry = self.account(validated, None, written, 1)?;
            if !retry.is_empty() {
                retries.push((Arc::clone(&batch), retry));
            }
        }
        Ok(retries)
    }

    pub(super) fn reject<'a>(
        &mut self,
        batch: &ValidatedBatch,
        rows: impl Iterator<Item = (u32, &'a str)>,
        attempts: u32,
    ) {
        let start = match &self.current.report {
            Some(report) => Arc::clone(&report.begin.report),
            // A commit after the end of the report has rejected them.
            None => self.last_report.clone(),
        };
        let rows: Vec<(u32, &str)> = rows.collect();
        // Most batches have no rejected finding.
        if rows.is_empty() {
            return;
        }
        let report = ReportRecord::from(&*self.start_as_sent(&start));
        let (encryption, mut rejected) = (self.encryption_label().into_owned(), KindCounts::default());
        let numbers: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        let mut letters = Vec::new();
        self.read_as_sent(batch, &numbers, |batch| {
            batch.read(|view| {
                for (row, reason) in rows {
                    let Some(finding) = view.finding(row) else { continue };
                    rejected.add(finding.kind(), 1);
                    let now = crate::state::now();
                    letters.push(DeadLetter {
                        stage: Stage::Output { output: self.opener.id().to_owned() },
                        run: self.run,
                        first: now.clone(),
                        time: now,
                        reason: without_controls(reason).into_owned(),
                        attempts,
                        report: ReportRecord::clone(&report),
                        encryption: encryption.clone(),
                        record: Record::of(finding, view.columns()),
                    });
                }
            })
        });
        letters.iter().for_each(|letter| self.dead_letters.add(letter));
        self.current.summary.rejected += rejected.total();
        match &mut self.current.report {
            Some(report) => {
                report.rejected += rejected.total();
                report.records = report.records.without(&rejected);
            }
            None => {
                let summary = &mut self.current.summary;
                summary.records = summary.records.saturating_sub(rejected.total());
                summary.records_by_kind = summary.records_by_kind.without(&rejected);
                self.current.ended.dead_letters += rejected.total();
            }
        }
    }

    /// Logs the first rejected findings; logging all could hide everything else.
    pub(super) fn log_rejections(&self, batch: &ValidatedBatch, written: &Written) {
        let logged = MAX_LOGGED_REJECTIONS.saturating_sub(self.current.summary.rejected);
        let logged = written.rejected.iter().take(usize::try_from(logged).unwrap_or(usize::MAX));
        let rows: Vec<u32> = logged.clone().map(|rejection| rejection.row).collect();
        if rows.is_empty() {
            return;
        }
        self.read_as_sent(batch, &rows, |batch| {
            batch.read(|view| {
                for rejection in logged {
                    let Some(finding) = view.finding(rejection.row) else { continue };
                    let (asset, id) = (finding.asset().address(), finding.definition().id());
                    let reason = without_controls(&rejection.reason);
                    tracing::warn!(instance = self.id(), asset, id, "finding rejected: {reason}");
                }
            })
        });
    }
}
