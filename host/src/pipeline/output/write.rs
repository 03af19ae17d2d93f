//! Writes rows of batches, and counts what the output made of them.

use std::sync::Arc;

use scanbridge_plugin_api::{LateAnswers, PluginError, Written};

use super::cipher::SentBatch;
use super::destination::Destination;
use super::selection::{Rows, assets_of, check_response, kinds_of};
use crate::encryption::OutputCipher;
use crate::pipeline::batch::{SharedBatch, ValidatedBatch};

impl Destination {
    /// Writes the findings of a batch that pass the filters. Returns the rows to retry. The batch is valid.
    pub(super) fn write(
        &mut self,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
    ) -> Result<Vec<u32>, PluginError> {
        let mut rows = std::mem::take(&mut self.rows);
        let passed = rows.select(validated, &self.filters);
        self.current.summary.filtered += validated.findings.total() - passed.total();
        if self.repeating {
            self.retried += passed.total();
        }
        if let Some(report) = &mut self.current.report {
            report.has_findings = true;
            report.has_invalid_rows |= validated.has_invalid_rows();
            report.received += validated.findings.total();
            report.records.add_all(&passed);
        }
        self.batches += 1;
        if self.capabilities.late_answers == LateAnswers::Rows {
            self.late.insert(self.batches, Arc::clone(batch));
        }
        let (sent, rows, refused) = self.encrypted(batch, validated, rows)?;
        self.move_to_dead_letters(validated, &refused, OutputCipher::REFUSAL, 1);
        let (rows, written) = self.send_rows(sent, rows)?;
        let result = self.account(validated, rows.findings(), written, 1);
        self.rows = rows;
        result
    }

    /// Writes these rows of a batch again.
    pub(super) fn retry_rows(
        &mut self,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
        rows: Vec<u32>,
        attempt: u32,
    ) -> Result<Vec<u32>, PluginError> {
        self.retried += rows.len() as u64;
        let sent = self.as_sent(batch, validated, &rows)?;
        let rows = Rows::of(assets_of(validated, &rows), rows);
        let (rows, written) = self.send_rows(sent, rows)?;
        self.account(validated, rows.findings(), written, attempt)
    }

    fn send_rows(&mut self, batch: SentBatch, rows: Rows) -> Result<(Rows, Written), PluginError> {
        let number = self.batches;
        self.call("write", move |handle| {
            let written = batch.with(|batch| handle.write(batch, rows.selection(), number))?;
            Ok((rows, written))
        })
    }

    /// Counts the results that the output returned for the rows that it received.
    pub(super) fn account(
        &mut self,
        batch: &ValidatedBatch,
        sent: Option<&[u32]>,
        written: Written,
        attempt: u32,
    ) -> Result<Vec<u32>, PluginError> {
        let rejected: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
        check_response(batch, sent, [&rejected, &written.left_out, &written.retry])?;
        self.log_rejections(batch, &written);
        let reasons = written.rejected.iter().map(|rejection| (rejection.row, rejection.reason.as_str()));
        self.reject(batch, reasons, attempt);
        let left_out = kinds_of(batch, &written.left_out);
        self.current.summary.filtered += left_out.total();
        if let Some(report) = &mut self.current.report {
            report.records = report.records.without(&left_out);
            report.derived = report.derived.saturating_add(written.derived);
            report.bytes = report.bytes.saturating_add(written.bytes);
        }
        if self.dead_letters.needs_flush() {
            self.dead_letters.flush()?;
        }
        Ok(written.retry)
    }
}
