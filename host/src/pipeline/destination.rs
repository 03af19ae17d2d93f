//! One instance of an output plugin: what it received, what it committed, and how to roll back to the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::model::{DefinitionField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, LateAnswers, LateRow, OutputCapabilities,
    PluginError, Receipt, Rejection, Resume, Verdict, Written,
};

use super::batch::{ReportBegin, SharedBatch, ValidatedBatch};
use super::opener::{OutputOpener, too_long};
use super::selection::{Rows, kinds_of};
use super::summary::{KindCounts, OutputSummary};
use crate::config::Filter;
use crate::plugins::context::Context;
use crate::plugins::instance_thread::InstanceThread;
use crate::state::{
    DeadLetter, DeadLetterHistory, DeadLetterWriter, OutputState, Record, ReportRecord, StateError,
};
use crate::telemetry::without_controls;

/// Maximum number of rejected findings in the log; the summary counts all.
const SHOWN_REJECTIONS: u64 = 20;

/// An output as its worker uses it. All counts can be rolled back to the last commit, because everything after it is
/// repeated when the instance is opened again.
#[derive(Debug)]
pub(super) struct Destination {
    opener: OutputOpener,
    thread: InstanceThread<OutputHandle>,
    capabilities: OutputCapabilities,
    /// Whether this instance received the start of the current report.
    has_started: bool,
    filters: Vec<Filter>,
    rows: Rows,
    dead_letters: DeadLetterWriter,
    /// Number of the run.
    run: u64,
    receipt: Option<Receipt>,
    now: Account,
    committed: Account,
    retried: u64,
    /// Whether current writes repeat earlier ones.
    repeating: bool,
    /// Number of batches that were written.
    batches: u64,
    /// The last report that ended.
    last_report: Arc<ReportStart>,
    /// The batches since the last commit, for an output that may refuse their rows later.
    late: BTreeMap<u64, Arc<SharedBatch>>,
}

/// Disposition of the findings.
#[derive(Debug, Clone, Default)]
struct Account {
    /// Reports that have ended, and findings that were filtered out or rejected.
    settled: OutputSummary,
    report: Option<OpenReport>,
    has_gap: bool,
    dead_letters: u64,
    /// What became of the last report that ended.
    ended: Ended,
}

/// What an output lacks of a report that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether it lacks findings for which there is no dead letter.
    pub(super) missed: bool,
    /// Findings of the report that became dead letters.
    pub(super) dead_letters: u64,
}

/// The current report. Its counts become those of delivered findings at the end of the report, if it is delivered.
#[derive(Debug, Clone)]
struct OpenReport {
    begin: ReportBegin,
    records: KindCounts,
    derived: u64,
    bytes: u64,
    rejected: u64,
    /// Whether findings of it were received.
    has_begun: bool,
    /// Set if a batch of the report was invalid: the report is then discarded.
    broken: bool,
}

/// Rows of one batch to be sent again.
pub(super) type LateRetry = (Arc<SharedBatch>, Vec<u32>);

impl Destination {
    pub(super) fn new(
        opener: OutputOpener,
        thread: InstanceThread<OutputHandle>,
        capabilities: OutputCapabilities,
        filters: Vec<Filter>,
        dead_letters: DeadLetterWriter,
        from: OutputState,
        run: u64,
    ) -> Self {
        let settled = OutputSummary {
            id: opener.id().to_owned(),
            plugin: opener.plugin().to_owned(),
            ..OutputSummary::default()
        };
        let OutputState { receipt, has_gap, dead_letters: length, report, .. } = from;
        let report = report
            .map(|report| OpenReport { has_begun: true, ..OpenReport::new(ReportBegin::of_state(report)) });
        let account = Account { settled, report, has_gap, dead_letters: length, ended: Ended::default() };
        Self {
            opener,
            thread,
            capabilities,
            has_started: false,
            filters,
            rows: Rows::default(),
            dead_letters,
            run,
            receipt: receipt.map(Receipt),
            now: account.clone(),
            committed: account,
            retried: 0,
            repeating: false,
            batches: 0,
            last_report: Arc::default(),
            late: BTreeMap::new(),
        }
    }

    fn call<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut OutputHandle) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let closed = || PluginError::new(ErrorKind::Unavailable, "the output is closed");
        let limits = self.opener.limits();
        self.thread.call(name, limits, move |handle| work(handle.as_mut().ok_or_else(closed)?))
    }

    pub(super) fn id(&self) -> &str {
        self.opener.id()
    }

    /// What the instance can do.
    pub(super) fn capabilities(&self) -> OutputCapabilities {
        self.capabilities
    }

    /// Whether a call did not return.
    pub(super) fn is_hung(&self) -> bool {
        self.thread.is_hung()
    }

    /// Probes the output.
    pub(super) fn check(&mut self) -> Result<CheckReport, PluginError> {
        self.call("check", OutputHandle::check)
    }

    pub(super) fn context(&self) -> &'static Context {
        self.opener.context()
    }

    /// The current report at the time of the last commit.
    pub(super) fn report_at_commit(&self) -> Option<&ReportBegin> {
        self.committed.report.as_ref().map(|report| &report.begin)
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
        let report =
            report.as_ref().filter(|report| report.has_begun).map(|report| (&*report.begin.report).into());
        let receipt = self.receipt.as_ref().map(|receipt| receipt.0.clone());
        OutputState { receipt, has_gap, dead_letters, report, ahead: Vec::new() }
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
        let _ = self.close();
    }

    /// Opens a new instance at the last commit; counts since then are discarded. With `probe`, the peer is probed
    /// first.
    pub(super) fn reopen(&mut self, probe: bool) -> Result<(), PluginError> {
        self.drop_instance();
        self.now = self.committed.clone();
        self.late.clear();
        self.dead_letters.roll_back_to(self.committed.dead_letters).map_err(|error| io_error(&error))?;
        self.capabilities = self.opener.open(&mut self.thread, self.receipt.as_ref())?;
        if probe {
            let report = self.check()?;
            if let Some(step) = report.steps.iter().find(|step| step.verdict == Verdict::Failed) {
                let message = format!("{}: {}", step.name, step.detail);
                self.drop_instance();
                return Err(PluginError::new(ErrorKind::Unavailable, message));
            }
        }
        Ok(())
    }

    /// Begins a report; with `continued`, resumes it if the output is inside it.
    pub(super) fn begin(&mut self, begin: &ReportBegin, continued: bool) -> Result<(), PluginError> {
        let report = &begin.report;
        let is_resumable = continued && self.is_inside(report) && self.capabilities.resume != Resume::None;
        if is_resumable && self.has_started {
            return Ok(());
        }
        if self.now.has_gap && self.now.report.as_ref().is_some_and(|known| !known.is(report)) {
            self.end_part("the rest of the report was delivered to the failover output")?;
        }
        // An output that receives only the rest of a report has missed its beginning.
        self.now.has_gap = if is_resumable { self.now.has_gap } else { begin.continued };
        // An output without a commit has nothing to resume.
        let continued = is_resumable && self.receipt.is_some();
        let known = self.now.report.take();
        self.now.report = Some(match known {
            Some(known) if continued => OpenReport { begin: begin.clone(), ..known },
            unfinished => {
                self.now.settled.undelivered += unfinished.map_or(0, |report| report.records.total());
                OpenReport::new(begin.clone())
            }
        });
        self.send_start(begin, continued)
    }

    /// Resumes the report of the last commit in a new instance.
    pub(super) fn resume_report(&mut self) -> Result<(), PluginError> {
        let Some(report) = &self.now.report else { return Ok(()) };
        let begin = report.begin.clone();
        self.send_start(&begin, self.receipt.is_some())
    }

    fn send_start(&mut self, begin: &ReportBegin, continued: bool) -> Result<(), PluginError> {
        self.has_started = true;
        let how = if begin.partial { Begin::PARTIAL } else { Begin::NEW };
        let how = how.with_continued(continued).with_gap(self.now.has_gap);
        let report = Arc::clone(&begin.report);
        self.call("begin", move |handle| handle.begin(&report, how))
    }

    /// Ends this output's part of a report that another output also delivers: the part is delivered unless it is
    /// empty, and clears nothing.
    pub(super) fn end_part(&mut self, reason: &str) -> Result<(), PluginError> {
        let deliver = self.now.report.as_ref().is_some_and(|report| report.has_begun);
        if !self.has_started {
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

    /// Writes the findings of a batch that pass the filters. Returns the rows to retry. The batch is valid.
    pub(super) fn write(
        &mut self,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
    ) -> Result<Vec<u32>, PluginError> {
        let mut rows = std::mem::take(&mut self.rows);
        let passed = rows.select(validated, &self.filters);
        self.now.settled.filtered += validated.findings.total() - passed.total();
        if self.repeating {
            self.retried += passed.total();
        }
        if let Some(report) = &mut self.now.report {
            report.has_begun = true;
            report.records.add_all(&passed);
        }
        self.batches += 1;
        if self.capabilities.late_answers == LateAnswers::Rows {
            self.late.insert(self.batches, Arc::clone(batch));
        }
        let (rows, written) = self.send_rows(batch, rows)?;
        let result = self.account(validated, rows.findings(), written, 1);
        self.rows = rows;
        result
    }

    /// Writes these rows of a batch again.
    pub(super) fn write_again(
        &mut self,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
        rows: Vec<u32>,
        attempt: u32,
    ) -> Result<Vec<u32>, PluginError> {
        self.retried += rows.len() as u64;
        let rows = Rows::of(super::selection::assets_of(validated, &rows), rows);
        let (rows, written) = self.send_rows(batch, rows)?;
        self.account(validated, rows.findings(), written, attempt)
    }

    fn send_rows(&mut self, batch: &Arc<SharedBatch>, rows: Rows) -> Result<(Rows, Written), PluginError> {
        let (batch, number) = (Arc::clone(batch), self.batches);
        self.call("write", move |handle| {
            let validated = batch.validate().map_err(|bad| PluginError::bug(bad.to_string()))?;
            let written = handle.write(&validated.batch, rows.selection(), number)?;
            Ok((rows, written))
        })
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
            report.begin.report.path.clone()
        })
    }

    pub(super) fn end(&mut self, end: &ReportEnd, has_gap: bool) -> Result<(), PluginError> {
        let Some(report) = self.now.report.take() else {
            return Err(PluginError::bug("plugin bug: report end without a report start"));
        };
        let mut end = end.clone();
        let has_gap = has_gap || self.now.has_gap;
        end.complete &= !has_gap;
        if report.broken {
            (end.complete, end.deliver) = (false, false);
        }
        self.now.ended = Ended { missed: has_gap || report.broken, dead_letters: report.rejected };
        for ranges in self.filters.iter().filter_map(|filter| filter.ip_ranges.as_ref()) {
            // The output must not clear an asset that the filters exclude.
            end.clean_assets = end.clean_assets.iter().flat_map(|entry| ranges.common_with(entry)).collect();
        }
        self.has_started = false;
        self.last_report = Arc::clone(&report.begin.report);
        let deliver = end.deliver;
        let written = self.call("end", move |handle| handle.end(&end))?;
        if !(written.rejected.is_empty() && written.left_out.is_empty() && written.retry.is_empty()) {
            return Err(PluginError::bug(
                "plugin bug: the output returned row results at the end of a report",
            ));
        }
        self.settle(report, deliver, &written);
        Ok(())
    }

    /// Commits everything written so far. Returns rows of earlier batches that the output wants to have again: the commit
    /// counts only when there are none ([`Destination::keep_commit`]).
    pub(super) fn commit(&mut self) -> Result<Vec<LateRetry>, PluginError> {
        let at = if self.now.report.is_some() { CommitPoint::InReport } else { CommitPoint::BetweenReports };
        let Committed { receipt, late_rejected, late_retry, derived, bytes, .. } =
            self.call("commit", move |handle| handle.commit(at))?;
        if let Some(receipt) = receipt.as_ref().filter(|receipt| receipt.0.len() > Receipt::MAX_BYTES) {
            return Err(too_long("output", "receipt", receipt.0.len(), Receipt::MAX_BYTES));
        }
        let resumes = self.capabilities.resume != Resume::None;
        if resumes && receipt.is_none() {
            return Err(PluginError::bug(
                "plugin bug: the output declares that it can resume, but `commit` returned no receipt",
            ));
        }
        self.receipt = receipt.filter(|_| resumes);
        match &mut self.now.report {
            Some(report) => {
                report.derived = report.derived.saturating_add(derived);
                report.bytes = report.bytes.saturating_add(bytes);
            }
            None => {
                self.now.settled.derived = self.now.settled.derived.saturating_add(derived);
                self.now.settled.bytes = self.now.settled.bytes.saturating_add(bytes);
            }
        }
        self.account_late(late_rejected, late_retry)
    }

    /// Counts what a commit has answered about earlier batches.
    fn account_late(
        &mut self,
        rejected: Vec<(LateRow, String)>,
        retry: Vec<LateRow>,
    ) -> Result<Vec<LateRetry>, PluginError> {
        let mut batches: BTreeMap<u64, Written> = BTreeMap::new();
        for (late, reason) in rejected {
            let rejection = Rejection { row: late.row, reason };
            batches.entry(late.batch).or_default().rejected.push(rejection);
        }
        for late in retry {
            batches.entry(late.batch).or_default().retry.push(late.row);
        }
        let mut again = Vec::new();
        for (number, written) in batches {
            let Some(batch) = self.late.get(&number).map(Arc::clone) else {
                return Err(PluginError::bug(format!(
                    "plugin bug: `commit` named rows of batch {number}, which was not written since the last commit"
                )));
            };
            let validated = batch.validate().map_err(|bad| PluginError::bug(bad.to_string()))?;
            let retry = self.account(validated, None, written, 1)?;
            if !retry.is_empty() {
                again.push((Arc::clone(&batch), retry));
            }
        }
        Ok(again)
    }

    /// Makes the last commit the state to roll back to.
    pub(super) fn keep_commit(&mut self) -> Result<OutputState, PluginError> {
        self.now.dead_letters = self.dead_letters.commit().map_err(|error| io_error(&error))?;
        self.late.clear();
        self.committed = self.now.clone();
        Ok(self.state_at_commit())
    }

    /// What this output lacks of the report that ended before the last commit.
    pub(super) fn ended(&self) -> Ended {
        self.committed.ended
    }

    /// Publishes what the last commit has sealed: its receipt is stored.
    pub(super) fn stored(&mut self) -> Result<(), PluginError> {
        let Some(receipt) = self.receipt.clone() else { return Ok(()) };
        self.call("stored", move |handle| handle.stored(&receipt))
    }

    pub(super) fn close(&mut self) -> Result<(), PluginError> {
        self.has_started = false;
        if self.thread.is_hung() {
            return Ok(());
        }
        let limits = self.opener.limits();
        self.thread.call("close", limits, |handle| handle.take().map_or(Ok(()), OutputHandle::close))
    }

    /// Ends the current report so that the output rolls back what it can: nothing will resume it.
    pub(super) fn discard_report(&mut self, reason: &str) {
        if !self.has_started || self.is_hung() {
            return;
        }
        let end = ReportEnd { reason: reason.to_owned(), ..ReportEnd::default() };
        // The output has failed already; a second error changes nothing.
        let _ = self.call("end", move |handle| handle.end(&end));
    }

    /// Rolls back the dead letters of findings that count as undelivered.
    pub(super) fn roll_back_dead_letters(&mut self) {
        if let Err(error) = self.dead_letters.roll_back_to(self.committed.dead_letters) {
            tracing::warn!(instance = self.id(), "{error}");
        }
    }

    /// Opens the output once more to roll back what it committed of the current report.
    pub(super) fn discard(&mut self) {
        if !self.is_hung()
            && self.committed.report.is_some()
            && self.reopen(false).and_then(|()| self.resume_report()).is_ok()
        {
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
        if self.dead_letters.needs_flush() {
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
        let start = match &self.now.report {
            Some(report) => Arc::clone(&report.begin.report),
            // A commit after the end of the report has refused them.
            None => self.last_report.clone(),
        };
        let mut rejected = KindCounts::default();
        batch.batch.read(|view| {
            for (row, reason) in rows {
                let Some(finding) = view.finding(row) else { continue };
                rejected.add(finding.kind(), 1);
                let DeadLetterHistory { run, attempts: before } =
                    batch.history(row).unwrap_or(DeadLetterHistory { run: self.run, attempts: 0 });
                self.dead_letters.add(&DeadLetter {
                    output: self.opener.id().to_owned(),
                    run,
                    time: crate::state::now(),
                    reason: without_controls(reason).into_owned(),
                    attempts: before.saturating_add(attempts),
                    report: (&*start).into(),
                    record: Record::of(finding, view.schema()),
                });
            }
        });
        self.now.settled.rejected += rejected.total();
        match &mut self.now.report {
            Some(report) => {
                report.rejected += rejected.total();
                report.records = report.records.without(&rejected);
            }
            None => {
                let settled = &mut self.now.settled;
                settled.records = settled.records.saturating_sub(rejected.total());
                settled.records_by_kind = settled.records_by_kind.without(&rejected);
                self.now.ended.dead_letters += rejected.total();
            }
        }
    }

    /// Logs the first rejected findings; logging all could hide everything else.
    fn show_rejections(&self, batch: &ValidatedBatch, written: &Written) {
        let shown = SHOWN_REJECTIONS.saturating_sub(self.now.settled.rejected);
        batch.batch.read(|view| {
            for rejection in written.rejected.iter().take(usize::try_from(shown).unwrap_or(usize::MAX)) {
                let Some(finding) = view.finding(rejection.row) else { continue };
                let (asset, qid) =
                    (finding.asset().address(), finding.definition().get(DefinitionField::Qid));
                let reason = without_controls(&rejection.reason);
                tracing::warn!(instance = self.id(), asset, qid, "finding rejected: {reason}");
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
        ReportRecord::from(&*self.begin.report) == ReportRecord::from(report)
    }

    fn new(begin: ReportBegin) -> Self {
        let records = KindCounts::default();
        Self { begin, records, derived: 0, bytes: 0, rejected: 0, has_begun: false, broken: false }
    }
}

fn deliver(summary: &mut OutputSummary, report: &OpenReport) {
    summary.records += report.records.total();
    summary.records_by_kind.add_all(&report.records);
    summary.derived += report.derived;
    summary.bytes += report.bytes;
}

pub(super) fn io_error(error: &StateError) -> PluginError {
    PluginError::new(ErrorKind::Io, error.message.clone())
}
