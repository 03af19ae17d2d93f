//! The thread of one output.

use std::sync::mpsc::Receiver;

use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::batch::{Batch, Selection};
use scanbridge_plugin_api::model::{DefinitionField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{ErrorKind, PluginError, Written};

use super::batch::{Examined, Item, SharedBatch};
use super::control::Control;
use super::instance::OpenOutput;
use super::summary::{KindCounts, OutputSummary};
use crate::config::Filter;
use crate::telemetry::without_controls;

/// How many rejected findings an output names in the log; the summary counts them all.
const SHOWN_REJECTIONS: u64 = 20;

/// Takes items until the inputs have gone, then closes the output and says what became of everything.
///
/// A failed output goes on taking items and only counts them, so that neither the inputs nor the other
/// outputs wait for it.
pub(super) fn run(output: OpenOutput, items: &Receiver<Item>, control: &Control) -> OutputSummary {
    let OpenOutput { id, plugin, handle, required, filters, .. } = output;
    let mut stage = Stage {
        summary: OutputSummary { id, plugin, ..OutputSummary::default() },
        handle: Some(handle),
        required,
        filters,
        control,
        report: Tally::default(),
        selection: Rows::default(),
    };
    while let Ok(item) = items.recv() {
        let outcome = match item {
            Item::Begin(report) => stage.begin(&report),
            Item::Batch(batch) => stage.write(&batch),
            Item::End(end) => stage.end(&end),
        };
        if let Err(error) = outcome {
            stage.fail(&error);
        }
    }
    stage.finish()
}

struct Stage<'a> {
    summary: OutputSummary,
    /// `None` once the output has failed.
    handle: Option<OutputHandle>,
    required: bool,
    filters: Vec<Filter>,
    control: &'a Control,
    report: Tally,
    selection: Rows,
}

/// The counts of the report that is under way; they count as delivered only when its end says so.
#[derive(Debug, Default)]
struct Tally {
    path: String,
    records: KindCounts,
    derived: u64,
    bytes: u64,
    /// Set when a batch of the report was not in order: what was written of it is taken back.
    broken: bool,
}

/// The rows that pass the filters, with memory that is used again.
#[derive(Debug, Default)]
struct Rows {
    assets: Vec<u32>,
    findings: Vec<u32>,
}

impl Stage<'_> {
    fn begin(&mut self, report: &ReportStart) -> Result<(), PluginError> {
        self.report = Tally { path: report.path.clone(), ..Tally::default() };
        self.handle.as_mut().map_or(Ok(()), |handle| handle.begin(report))
    }

    fn write(&mut self, batch: &SharedBatch) -> Result<(), PluginError> {
        let examined = match batch.examine() {
            Ok(examined) => examined,
            Err(bad) => {
                self.report.broken = true;
                return self.control.broken_batch(&self.report.path, &bad);
            }
        };
        let Some(handle) = &mut self.handle else {
            self.summary.undelivered += examined.findings.total();
            return Ok(());
        };
        let (selection, passed) = self.selection.of(examined, &self.filters);
        self.summary.filtered += examined.findings.total() - passed.total();
        // Until the output says otherwise they count as on their way, also when it fails in this very call.
        self.report.records.add_all(&passed);
        let written = handle.write(&examined.batch, selection)?;
        let counted = self.count(examined, &written);
        if counted.is_err() {
            self.take_back();
        }
        counted
    }

    fn count(&mut self, examined: &Examined, written: &Written) -> Result<(), PluginError> {
        if !written.retry.is_empty() {
            return Err(PluginError::new(
                ErrorKind::Unavailable,
                format!("{} findings could not be written now", written.retry.len()),
            ));
        }
        let rejected: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
        self.check_rows(examined, &rejected, &written.left_out)?;
        self.show_rejections(examined, written);
        let (rejected, left_out) = (kinds_of(examined, &rejected), kinds_of(examined, &written.left_out));
        self.summary.rejected += rejected.total();
        self.summary.filtered += left_out.total();
        self.report.records = self.report.records.without(&rejected).without(&left_out);
        self.add(written);
        Ok(())
    }

    /// An output may speak of each finding once, and only of what it was given.
    fn check_rows(&self, examined: &Examined, rejected: &[u32], left_out: &[u32]) -> Result<(), PluginError> {
        let mut rows = [rejected, left_out].concat();
        rows.sort_unstable();
        if rows.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(PluginError::bug("the output spoke of a finding twice"));
        }
        let was_given =
            |row: &u32| self.filters.is_empty() || self.selection.findings.binary_search(row).is_ok();
        let known = examined.batch.read(|batch| rows.iter().all(|row| batch.finding(*row).is_some()));
        if known && rows.iter().all(was_given) {
            return Ok(());
        }
        Err(PluginError::bug("the output spoke of a finding that it was not given"))
    }

    /// Says what the output refused, for the first findings: a million lines would hide everything else.
    fn show_rejections(&self, examined: &Examined, written: &Written) {
        let shown = SHOWN_REJECTIONS.saturating_sub(self.summary.rejected);
        examined.batch.read(|batch| {
            for rejection in written.rejected.iter().take(usize::try_from(shown).unwrap_or(usize::MAX)) {
                let Some(finding) = batch.finding(rejection.row) else { continue };
                let (asset, qid) =
                    (finding.asset().address(), finding.definition().get(DefinitionField::Qid));
                let reason = without_controls(&rejection.reason);
                tracing::warn!(instance = self.summary.id, ?asset, ?qid, "finding rejected: {reason}");
            }
        });
    }

    fn add(&mut self, written: &Written) {
        self.report.derived = self.report.derived.saturating_add(written.derived);
        self.report.bytes = self.report.bytes.saturating_add(written.bytes);
    }

    fn end(&mut self, end: &ReportEnd) -> Result<(), PluginError> {
        let Some(handle) = &mut self.handle else { return Ok(()) };
        let mut end = end.clone();
        if self.report.broken {
            (end.complete, end.deliver) = (false, false);
        }
        for ranges in self.filters.iter().filter_map(|filter| filter.ip_ranges.as_ref()) {
            // An asset that the filters keep from the output is not the output's to clear.
            end.clean_assets = end.clean_assets.iter().flat_map(|entry| ranges.common_with(entry)).collect();
        }
        let written = handle.end(&end)?;
        if !(written.rejected.is_empty() && written.left_out.is_empty() && written.retry.is_empty()) {
            return Err(PluginError::bug(
                "the output spoke of rows at the end of a report, where there are none",
            ));
        }
        handle.commit()?;
        self.add(&written);
        let report = std::mem::take(&mut self.report);
        if end.deliver {
            self.summary.records += report.records.total();
            self.summary.records_by_kind.add_all(&report.records);
            self.summary.derived += report.derived;
            self.summary.bytes += report.bytes;
        } else {
            self.summary.undelivered += report.records.total();
        }
        Ok(())
    }

    /// Ends the report under way for an output that the host gives up, so that nothing of it takes effect.
    fn take_back(&mut self) {
        if let Some(handle) = &mut self.handle {
            let end = ReportEnd { reason: "the output is given up".to_owned(), ..ReportEnd::default() };
            // It is being given up; a second error changes nothing.
            let _ = handle.end(&end);
        }
    }

    /// The output is lost for this run; what it had of the report under way did not arrive.
    fn fail(&mut self, error: &PluginError) {
        let report = std::mem::take(&mut self.report);
        self.summary.undelivered += report.records.total();
        self.handle = None;
        self.control.output_failed(&self.summary.id, self.required, error);
    }

    fn finish(mut self) -> OutputSummary {
        if let Some(Err(error)) = self.handle.take().map(OutputHandle::close) {
            self.control.output_failed(&self.summary.id, self.required, &error);
        }
        self.summary
    }
}

fn kinds_of(examined: &Examined, rows: &[u32]) -> KindCounts {
    let mut counts = KindCounts::default();
    examined.batch.read(|batch| {
        rows.iter().filter_map(|row| batch.finding(*row)).for_each(|finding| counts.add(finding.kind(), 1));
    });
    counts
}

impl Rows {
    /// The rows of the batch that pass all filters, and how many findings of each kind they are.
    fn of<'a>(&'a mut self, examined: &Examined, filters: &[Filter]) -> (Selection<'a>, KindCounts) {
        if filters.is_empty() {
            return (Selection::default(), examined.findings);
        }
        self.assets.clear();
        self.findings.clear();
        let passed = examined.batch.read(|batch| self.select(batch, filters));
        (Selection { assets: Some(&self.assets), findings: Some(&self.findings) }, passed)
    }

    fn select(&mut self, batch: Batch<'_>, filters: &[Filter]) -> KindCounts {
        let admitted = batch.assets().filter(|asset| filters.iter().all(|filter| filter.admits_asset(asset)));
        self.assets.extend(admitted.map(|asset| asset.row()));
        let mut passed = KindCounts::default();
        for finding in batch.findings() {
            let asset_passes = self.assets.binary_search(&finding.asset().row()).is_ok();
            if asset_passes && filters.iter().all(|filter| filter.admits_finding(&finding)) {
                passed.add(finding.kind(), 1);
                self.findings.push(finding.row());
            }
        }
        passed
    }
}
