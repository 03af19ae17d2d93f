//! Reports of which an output lacks findings that are not all in its dead letters.

use scanbridge_plugin_api::{Outcome, ReportKey, StoredReport};

use super::tables::{MISSED, apply_missed, put_unconfirmed};
use super::{Ledger, StateError};
use crate::state::checkpoint::{MissedChange, MissedReport};

impl Ledger {
    /// The reports of which outputs lack findings, by output and report.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn missed(&self) -> Result<Vec<MissedReport>, StateError> {
        self.all(MISSED)?.into_iter().map(|(_, missed)| self.parse(&missed)).collect()
    }

    /// Settles missed reports of an output: it has received them (`Delivered`), or the operator abandons the findings
    /// (`Waived`). The inputs of reports that no other output misses are informed by the next run.
    ///
    /// # Errors
    /// When the ledger cannot be read or written. Then nothing has changed.
    pub fn settle_missed(
        &self,
        output: &str,
        reports: &[ReportKey],
        outcome: Outcome,
    ) -> Result<(), StateError> {
        let (settled, others): (Vec<_>, Vec<_>) = self
            .missed()?
            .into_iter()
            .partition(|missed| missed.output == output && reports.contains(&missed.report));
        let mut unconfirmed = self.unconfirmed()?;
        for MissedReport { report, .. } in &settled {
            if others.iter().any(|other| other.report == *report) {
                continue;
            }
            let stored = StoredReport::new(report.clone(), outcome);
            unconfirmed.entry(report.input.clone()).or_default().push(stored);
        }
        let changes = settled
            .into_iter()
            .map(|MissedReport { output, report, .. }| MissedChange::Remove { output, report });
        let changes: Vec<_> = changes.collect();
        self.change(|transaction| {
            apply_missed(transaction, &changes)?;
            put_unconfirmed(transaction, &unconfirmed)
        })
    }
}
