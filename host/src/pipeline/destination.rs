//! One instance of an output plugin: what it received, what it committed, and how to roll back to the last commit.

use std::sync::Arc;

use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::batch::Selection;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Receipt, Verdict, Written};

use super::batch::ValidatedBatch;
use super::instance::{Context, OutputOpener, too_long};
use super::selection::{Rows, kinds_of};
use super::summary::{KindCounts, OutputSummary};
use super::watch::CallWatch;
use crate::config::Filter;
use crate::state::{DeadLetters, Letter, LetterHistory, LetterReport, OutputState, Record, StateError};
use crate::telemetry::without_controls;

/// Maximum number of rejected findings in the log; the summary counts all.
const SHOWN_REJECTIONS: u64 = 20;

/// An output as its worker uses it. All counts can be rolled back to the last commit, because everything after it is
/// repeated when the instance is opened again.
#[derive(Debug)]
pub(super) struct Destination {
    opener: OutputOpener,
    handle: Option<OutputHandle>,
    /// Whether this instance received the start of the current report.
    told: bool,
    filters: Vec<Filter>,
    rows: Rows,
    dead_letters: DeadLetters,
    /// Number of the run.
    run: u64,
    receipt: Vec<u8>,
    now: Account,
    committed: Account,
    retried: u64,
    /// Whether current writes repeat earlier ones.
    repeating: bool,
    watch: Arc<CallWatch>,
}

/// Disposition of the findings.
#[derive(Debug, Clone, Default)]
struct Account {
    /// Reports that have ended, and findings that were filtered out or rejected.
    settled: OutputSummary,
    report: Option<OpenReport>,
    has_gap: bool,
    dead_letters: u64,
}

/// The current report. Its counts become those of delivered findings at the end of the report, if it is delivered.
#[derive(Debug, Clone)]
struct OpenReport {
    start: Arc<ReportStart>,
    records: KindCounts,
    derived: u64,
    bytes: u64,
    /// Whether findings of it were received.
    has_begun: bool,
    /// Whether rows of it were invalid: then the output lacks them, and must not clear anything.
    has_invalid_rows: bool,
    /// Set if a batch of the report was invalid: the report is then discarded.
    broken: bool,
}

impl Destination {
    pub(super) fn new(
        opener: OutputOpener,
        handle: Option<OutputHandle>,
        filters: Vec<Filter>,
        dead_letters: DeadLetters,
        from: OutputState,
        run: u64,
    ) -> Self {
        let settled = OutputSummary {
            id: opener.id().to_owned(),
            plugin: opener.plugin().to_owned(),
            ..OutputSummary::default()
        };
        let OutputState { receipt, has_gap, dead_letters: length, report } = from;
        let report =
            report.map(|report| OpenReport { has_begun: true, ..OpenReport::new(&Arc::new(report.into())) });
        let account = Account { settled, report, has_gap, dead_letters: length };
        let watch = Arc::new(CallWatch::of(opener.context().caller()));
        Self {
            opener,
            handle,
            told: false,
            filters,
            rows: Rows::default(),
            dead_letters,
            run,
            receipt,
            now: account.clone(),
            committed: account,
            retried: 0,
            repeating: false,
            watch,
        }
    }

    pub(super) fn id(&self) -> &str {
        self.opener.id()
    }

    pub(super) fn plugin(&self) -> &str {
        self.opener.plugin()
    }

    /// Probes the output; opens it if it is not open.
    pub(super) fn check(&mut self) -> Result<CheckReport, PluginError> {
        if self.handle.is_none() {
            self.handle = Some(self.opener.open(&self.receipt)?);
        }
        let handle = handle(&mut self.handle)?;
        self.watch.during("check", || handle.check())
    }

    pub(super) fn watch(&self) -> &Arc<CallWatch> {
        &self.watch
    }

    pub(super) fn context(&self) -> &'static Context {
        self.opener.context()
    }

    /// The current report at the time of the last commit.
    pub(super) fn report_at_commit(&self) -> Option<&Arc<ReportStart>> {
        self.committed.report.as_ref().map(|report| &report.start)
    }

    /// Whether the output had received or missed findings of that report.
    pub(super) fn has_part_of_a_report(&self) -> bool {
        self.committed.has_gap || self.committed.report.as_ref().is_some_and(|report| report.has_begun)
    }

    /// Whether the output is inside this report, started in this run or in the interrupted one.
    pub(super) fn is_inside(&self, report: &ReportStart) -> bool {
        self.now.report.as_ref().is_some_and(|known| known.is(report))
    }

    /// State of the last commit, for the ledger.
    pub(super) fn state_at_commit(&self) -> OutputState {
        let Account { has_gap, dead_letters, ref report, .. } = self.committed;
        // Invalid rows are a gap that a resumed report keeps.
        let has_gap = has_gap || report.as_ref().is_some_and(|report| report.has_invalid_rows);
        let report = report.as_ref().filter(|report| report.has_begun).map(|report| (&*report.start).into());
        OutputState { receipt: self.receipt.clone(), has_gap, dead_letters, report }
    }

    /// Another output takes over after the last commit: this one will not receive the rest of the current report.
    pub(super) fn hand_over(&mut self) {
        self.drop_instance();
        self.committed.has_gap = true;
        self.now = self.committed.clone();
    }

    /// Marks the current report as incomplete for this output.
    pub(super) fn mark_gap(&mut self) {
        self.now.has_gap = true;
    }

    /// Sets whether the following writes repeat earlier ones.
    pub(super) fn set_repeating(&mut self, repeating: bool) {
        self.repeating = repeating;
    }

    /// Closes the instance and ignores errors: it has failed, or is not needed now.
    pub(super) fn drop_instance(&mut self) {
        self.told = false;
        let handle = self.handle.take();
        self.watch.during("close", || drop(handle));
    }

    /// Opens a new instance at the last commit; counts since then are discarded. With `probe`, the peer is probed
    /// first.
    pub(super) fn reopen(&mut self, probe: bool) -> Result<(), PluginError> {
        self.drop_instance();
        self.now = self.committed.clone();
        self.dead_letters.cut_back(self.committed.dead_letters).map_err(|error| io_error(&error))?;
        let mut handle = self.watch.during("open", || self.opener.open(&self.receipt))?;
        if probe {
            let report = self.watch.during("check", || handle.check())?;
            if let Some(step) = report.steps.iter().find(|step| step.verdict == Verdict::Failed) {
                let message = format!("{}: {}", step.name, step.detail);
                return Err(PluginError::new(ErrorKind::Unavailable, message));
            }
        }
        self.handle = Some(handle);
        Ok(())
    }

    /// Begins a report; with `continued`, resumes it if the output is inside it.
    pub(super) fn begin(&mut self, report: &Arc<ReportStart>, continued: bool) -> Result<(), PluginError> {
        let is_resumable = continued && self.is_inside(report);
        if is_resumable && self.told {
            return Ok(());
        }
        if self.now.has_gap && self.now.report.as_ref().is_some_and(|known| !known.is(report)) {
            self.end_part("the rest of the report was delivered to the failover output")?;
        }
        // An output that receives only the rest of a report has missed its beginning.
        self.now.has_gap = if is_resumable { self.now.has_gap } else { report.continued };
        // An output without a commit has nothing to resume.
        let continued = is_resumable && !self.receipt.is_empty();
        let start = ReportStart { continued, ..ReportStart::clone(report) };
        let known = self.now.report.take();
        self.now.report = Some(match known {
            Some(known) if continued => known,
            unfinished => {
                let taken_back = unfinished.map_or(0, |report| report.records.total());
                self.now.settled.undelivered += taken_back;
                OpenReport::new(report)
            }
        });
        self.send_start(&start)
    }

    /// Resumes the report of the last commit in a new instance.
    pub(super) fn resume_report(&mut self) -> Result<(), PluginError> {
        let Some(report) = &self.now.report else { return Ok(()) };
        let start = ReportStart { continued: true, ..ReportStart::clone(&report.start) };
        self.send_start(&start)
    }

    fn send_start(&mut self, report: &ReportStart) -> Result<(), PluginError> {
        self.told = true;
        let handle = handle(&mut self.handle)?;
        self.watch.during("begin", || handle.begin(report))
    }

    /// Ends this output's part of a report that another output also delivers: the part is delivered unless it is
    /// empty, and clears nothing.
    pub(super) fn end_part(&mut self, reason: &str) -> Result<(), PluginError> {
        let deliver = self.now.report.as_ref().is_some_and(|report| report.has_begun);
        if !self.told {
            self.resume_report()?;
        }
        self.end(&ReportEnd { deliver, reason: reason.to_owned(), ..ReportEnd::default() }, true)
    }

    /// Counts this output's part of a report as undelivered: it cannot be ended any more.
    pub(super) fn lose_part(&mut self) {
        let part = self.committed.report.take();
        self.committed.settled.undelivered += part.map_or(0, |report| report.records.total());
        self.now = self.committed.clone();
    }

    /// Writes the findings of a batch that pass the filters. Returns the rows to retry.
    pub(super) fn write(&mut self, batch: &ValidatedBatch) -> Result<Vec<u32>, PluginError> {
        let (selection, passed) = self.rows.of(batch, &self.filters);
        self.now.settled.filtered += batch.findings.total() - passed.total();
        if self.repeating {
            self.retried += passed.total();
        }
        if let Some(report) = &mut self.now.report {
            report.has_begun = true;
            report.has_invalid_rows |= batch.has_invalid_rows();
            report.records.add_all(&passed);
        }
        let handle = handle(&mut self.handle)?;
        let written = self.watch.during("write", || handle.write(&batch.batch, selection))?;
        let speaks = written.rejected.len() + written.retry.len() + written.left_out.len() > 0;
        let given = selection.findings.filter(|_| speaks).map(<[u32]>::to_vec);
        self.account(batch, given.as_deref(), written, 1)
    }

    /// Writes these rows of a batch again.
    pub(super) fn write_again(
        &mut self,
        batch: &ValidatedBatch,
        rows: &[u32],
        attempt: u32,
    ) -> Result<Vec<u32>, PluginError> {
        self.retried += rows.len() as u64;
        let assets = super::selection::assets_of(batch, rows);
        let selection = Selection { assets: Some(&assets), findings: Some(rows) };
        let handle = handle(&mut self.handle)?;
        let written = self.watch.during("write", || handle.write(&batch.batch, selection))?;
        self.account(batch, Some(rows), written, attempt)
    }

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

    /// Marks the current report as invalid, so that its end discards it. Returns the report's path.
    pub(super) fn break_report(&mut self) -> String {
        let report = self.now.report.as_mut();
        report.map_or_else(String::new, |report| {
            report.broken = true;
            report.start.path.clone()
        })
    }

    pub(super) fn end(&mut self, end: &ReportEnd, has_gap: bool) -> Result<(), PluginError> {
        let Some(report) = self.now.report.take() else {
            return Err(PluginError::bug("plugin bug: report end without a report start"));
        };
        let mut end = end.clone();
        end.complete &= !has_gap && !self.now.has_gap && !report.has_invalid_rows;
        if report.broken {
            (end.complete, end.deliver) = (false, false);
        }
        for ranges in self.filters.iter().filter_map(|filter| filter.ip_ranges.as_ref()) {
            // The output must not clear an asset that the filters exclude.
            end.clean_assets = end.clean_assets.iter().flat_map(|entry| ranges.common_with(entry)).collect();
        }
        self.told = false;
        let handle = handle(&mut self.handle)?;
        let written = self.watch.during("end", || handle.end(&end))?;
        if !(written.rejected.is_empty() && written.left_out.is_empty() && written.retry.is_empty()) {
            return Err(PluginError::bug(
                "plugin bug: the output returned row results at the end of a report",
            ));
        }
        self.settle(report, end.deliver, &written);
        Ok(())
    }

    /// Commits everything written so far and returns the state to roll back to.
    pub(super) fn commit(&mut self) -> Result<OutputState, PluginError> {
        let handle = handle(&mut self.handle)?;
        let receipt = self.watch.during("commit", || handle.commit())?.0;
        if receipt.len() > Receipt::MAX_BYTES {
            return Err(too_long("output", "receipt", receipt.len(), Receipt::MAX_BYTES));
        }
        self.now.dead_letters = self.dead_letters.commit().map_err(|error| io_error(&error))?;
        self.receipt = receipt;
        self.committed = self.now.clone();
        Ok(self.state_at_commit())
    }

    pub(super) fn close(&mut self) -> Result<(), PluginError> {
        let Some(handle) = self.handle.take() else { return Ok(()) };
        self.watch.during("close", || handle.close())
    }

    /// Ends the current report so that the output rolls back what it can: nothing will resume it.
    pub(super) fn discard_report(&mut self, reason: &str) {
        if let (true, Some(handle)) = (self.told, &mut self.handle) {
            let end = ReportEnd { reason: reason.to_owned(), ..ReportEnd::default() };
            // The output has failed already; a second error changes nothing.
            let _ = self.watch.during("end", || handle.end(&end));
        }
    }

    /// Rolls back the dead letters of findings that count as undelivered.
    pub(super) fn roll_back_dead_letters(&mut self) {
        if let Err(error) = self.dead_letters.cut_back(self.committed.dead_letters) {
            tracing::warn!(instance = self.id(), "{error}");
        }
    }

    /// Opens the output once more to roll back what it committed of the current report.
    pub(super) fn discard(&mut self) {
        if self.committed.report.is_some() && self.reopen(false).and_then(|()| self.resume_report()).is_ok() {
            self.discard_report("the output has been closed after a failure");
            self.drop_instance();
        }
    }

    /// Counts up to the last commit; later findings count as undelivered. A report that a later run resumes counts as
    /// far as it was committed.
    pub(super) fn summary(&self, is_resumable: bool) -> OutputSummary {
        let mut summary = self.committed.settled.clone();
        if let Some(report) = &self.committed.report {
            if is_resumable {
                deliver(&mut summary, report);
            } else {
                summary.undelivered += report.records.total();
            }
        }
        summary.retried = self.retried;
        summary.dead_letters_lost = self.dead_letters.lost();
        summary
    }

    fn settle(&mut self, mut report: OpenReport, delivered: bool, written: &Written) {
        report.derived = report.derived.saturating_add(written.derived);
        report.bytes = report.bytes.saturating_add(written.bytes);
        if delivered {
            deliver(&mut self.now.settled, &report);
        } else {
            self.now.settled.undelivered += report.records.total();
        }
        self.now.has_gap = false;
    }

    /// Counts the results that the output returned for the rows that it received.
    fn account(
        &mut self,
        batch: &ValidatedBatch,
        given: Option<&[u32]>,
        written: Written,
        attempt: u32,
    ) -> Result<Vec<u32>, PluginError> {
        let rejected: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
        super::selection::check_answer(batch, given, [&rejected, &written.left_out, &written.retry])?;
        self.show_rejections(batch, &written);
        let reasons = written.rejected.iter().map(|rejection| (rejection.row, rejection.reason.as_str()));
        self.reject(batch, reasons, attempt);
        let left_out = kinds_of(batch, &written.left_out);
        self.now.settled.filtered += left_out.total();
        if let Some(report) = &mut self.now.report {
            report.records = report.records.without(&left_out);
            report.derived = report.derived.saturating_add(written.derived);
            report.bytes = report.bytes.saturating_add(written.bytes);
        }
        if self.dead_letters.is_full() {
            self.dead_letters.flush().map_err(|error| io_error(&error))?;
        }
        Ok(written.retry)
    }

    fn reject<'a>(
        &mut self,
        batch: &ValidatedBatch,
        rows: impl Iterator<Item = (u32, &'a str)>,
        attempts: u32,
    ) {
        let Some(report) = &mut self.now.report else { return };
        let mut rejected = KindCounts::default();
        batch.batch.read(|view| {
            for (row, reason) in rows {
                let Some(finding) = view.finding(row) else { continue };
                rejected.add(finding.kind(), 1);
                let LetterHistory { run, attempts: before } =
                    batch.history(row).unwrap_or(LetterHistory { run: self.run, attempts: 0 });
                self.dead_letters.add(&Letter {
                    output: self.opener.id().to_owned(),
                    run,
                    time: crate::state::now(),
                    reason: without_controls(reason).into_owned(),
                    attempts: before.saturating_add(attempts),
                    report: (&*report.start).into(),
                    record: Record::of(finding, view.columns()),
                });
            }
        });
        self.now.settled.rejected += rejected.total();
        report.records = report.records.without(&rejected);
    }

    /// Logs the first rejected findings; logging all could hide everything else.
    fn show_rejections(&self, batch: &ValidatedBatch, written: &Written) {
        let shown = SHOWN_REJECTIONS.saturating_sub(self.now.settled.rejected);
        batch.batch.read(|view| {
            for rejection in written.rejected.iter().take(usize::try_from(shown).unwrap_or(usize::MAX)) {
                let Some(finding) = view.finding(rejection.row) else { continue };
                let (asset, id) = (finding.asset().address(), finding.definition().id());
                let reason = without_controls(&rejection.reason);
                tracing::warn!(instance = self.id(), asset, id, "finding rejected: {reason}");
            }
        });
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.drop_instance();
    }
}

impl OpenReport {
    /// Whether it is this report, at any position.
    fn is(&self, report: &ReportStart) -> bool {
        LetterReport::from(&*self.start) == LetterReport::from(report)
    }

    fn new(start: &Arc<ReportStart>) -> Self {
        let records = KindCounts::default();
        Self {
            start: Arc::clone(start),
            records,
            derived: 0,
            bytes: 0,
            has_begun: false,
            has_invalid_rows: false,
            broken: false,
        }
    }
}

fn deliver(summary: &mut OutputSummary, report: &OpenReport) {
    summary.records += report.records.total();
    summary.records_by_kind.add_all(&report.records);
    summary.derived += report.derived;
    summary.bytes += report.bytes;
}

fn handle(handle: &mut Option<OutputHandle>) -> Result<&mut OutputHandle, PluginError> {
    handle.as_mut().ok_or_else(|| PluginError::new(ErrorKind::Unavailable, "the output is closed"))
}

pub(super) fn io_error(error: &StateError) -> PluginError {
    PluginError::new(ErrorKind::Io, error.message.clone())
}
