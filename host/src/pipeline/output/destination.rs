//! One instance of an output plugin: what it received, what it committed, and how to roll back to the last commit.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, LateAnswers, LateRow, OutputCapabilities,
    PluginError, Receipt, Rejection, Resume, Verdict, Written,
};

use super::account::{Account, Ended, OpenReport};
use super::selection::{Rows, kinds_of};
use crate::config::Filter;
use crate::pipeline::KindCounts;
use crate::pipeline::batch::{SharedBatch, ValidatedBatch};
use crate::pipeline::item::ReportBegin;
use crate::pipeline::opener::{OutputOpener, too_long};
use crate::pipeline::summary::OutputSummary;
use crate::plugins::context::Context;
use crate::plugins::instance_thread::InstanceThread;
use crate::state::{
    DeadLetter, DeadLetterHistory, DeadLetterWriter, Missed, OutputState, Record, ReportRecord, Stage,
};
use crate::telemetry::without_controls;

/// Maximum number of rejected findings in the log; the summary counts all.
const MAX_LOGGED_REJECTIONS: u64 = 20;

/// An output, as used by its worker. All counts can be rolled back to the last commit, because everything after it is
/// repeated when the instance is reopened.
#[derive(Debug)]
pub(in crate::pipeline) struct Destination {
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
    current: Account,
    committed: Account,
    retried: u64,
    /// Whether current writes repeat earlier ones.
    repeating: bool,
    /// Number of batches that were written.
    batches: u64,
    /// The last report that ended.
    last_report: Arc<ReportStart>,
    /// The batches since the last commit, for an output that may reject their rows later.
    late: BTreeMap<u64, Arc<SharedBatch>>,
}

/// Rows of one batch to be resent.
pub(in crate::pipeline) type LateRetry = (Arc<SharedBatch>, Vec<u32>);

impl Destination {
    pub(in crate::pipeline) fn new(
        opener: OutputOpener,
        thread: InstanceThread<OutputHandle>,
        capabilities: OutputCapabilities,
        filters: Vec<Filter>,
        dead_letters: DeadLetterWriter,
        from: OutputState,
        run: u64,
    ) -> Self {
        let summary = OutputSummary {
            id: opener.id().to_owned(),
            plugin: opener.plugin().to_owned(),
            ..OutputSummary::default()
        };
        let OutputState { receipt, has_gap, has_invalid_rows, dead_letters: end, report, .. } = from;
        let report = report.map(|report| OpenReport {
            has_findings: true,
            has_invalid_rows,
            ..OpenReport::new(ReportBegin::of_state(report))
        });
        let receipt = receipt.map(Receipt);
        let account =
            Account { summary, report, has_gap, receipt, dead_letters: end, ended: Ended::default() };
        Self {
            opener,
            thread,
            capabilities,
            has_started: false,
            filters,
            rows: Rows::default(),
            dead_letters,
            run,
            current: account.clone(),
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

    pub(in crate::pipeline) fn id(&self) -> &str {
        self.opener.id()
    }

    /// Capabilities of the instance.
    pub(in crate::pipeline) fn capabilities(&self) -> OutputCapabilities {
        self.capabilities
    }

    /// Whether a call did not return.
    pub(in crate::pipeline) fn is_hung(&self) -> bool {
        self.thread.is_hung()
    }

    /// Probes the output.
    pub(in crate::pipeline) fn check(&mut self) -> Result<CheckReport, PluginError> {
        self.call("check", OutputHandle::check)
    }

    pub(in crate::pipeline) fn context(&self) -> &'static Context {
        self.opener.context()
    }

    /// The current report at the time of the last commit.
    pub(in crate::pipeline) fn report_at_commit(&self) -> Option<&ReportBegin> {
        self.committed.report.as_ref().map(|report| &report.begin)
    }

    /// Whether the output had received or missed findings of that report.
    pub(in crate::pipeline) fn has_partial_report(&self) -> bool {
        self.committed.has_gap || self.committed.report.as_ref().is_some_and(|report| report.has_findings)
    }

    /// Whether the output is inside this report, started in this run or in the interrupted one.
    pub(in crate::pipeline) fn is_inside(&self, report: &ReportStart) -> bool {
        self.current.report.as_ref().is_some_and(|current| current.is_report(report))
    }

    /// State of the last commit, for the ledger.
    pub(in crate::pipeline) fn state_at_commit(&self) -> OutputState {
        let Account { has_gap, dead_letters, ref report, ref receipt, .. } = self.committed;
        let has_invalid_rows = report.as_ref().is_some_and(|report| report.has_invalid_rows);
        let report =
            report.as_ref().filter(|report| report.has_findings).map(|report| (&*report.begin.report).into());
        let receipt = receipt.as_ref().map(|receipt| receipt.0.clone());
        OutputState { receipt, has_gap, has_invalid_rows, dead_letters, report, ahead: Vec::new() }
    }

    /// Another output takes over after the last commit: this one will not receive the rest of the current report.
    pub(in crate::pipeline) fn yield_to_failover(&mut self) {
        self.drop_instance();
        self.committed.has_gap = true;
        self.current = self.committed.clone();
    }

    /// Marks the current report as incomplete for this output.
    pub(in crate::pipeline) fn mark_gap(&mut self) {
        self.current.has_gap = true;
    }

    /// Sets whether the following writes repeat earlier ones.
    pub(in crate::pipeline) fn set_repeating(&mut self, repeating: bool) {
        self.repeating = repeating;
    }

    /// Closes the instance and ignores errors: it has failed, or is not needed now.
    pub(in crate::pipeline) fn drop_instance(&mut self) {
        let _ = self.close();
    }

    /// Opens a new instance at the last commit; counts since then are discarded. With `probe`, the peer is probed
    /// first.
    pub(in crate::pipeline) fn reopen(&mut self, probe: bool) -> Result<(), PluginError> {
        self.drop_instance();
        self.current = self.committed.clone();
        self.late.clear();
        self.context().keys().roll_back();
        self.dead_letters.roll_back_to(self.committed.dead_letters)?;
        self.capabilities = self.opener.open(&mut self.thread, self.committed.receipt.as_ref())?;
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
    pub(in crate::pipeline) fn begin(
        &mut self,
        begin: &ReportBegin,
        continued: bool,
    ) -> Result<(), PluginError> {
        let report = &begin.report;
        let is_resumable = continued && self.is_inside(report) && self.capabilities.resume != Resume::None;
        if is_resumable && self.has_started {
            return Ok(());
        }
        if self.current.has_gap
            && self.current.report.as_ref().is_some_and(|current| !current.is_report(report))
        {
            self.end_partial_report("the rest of the report was delivered to the failover output")?;
        }
        // An output that receives only the rest of a report has missed its beginning.
        self.current.has_gap = if is_resumable { self.current.has_gap } else { begin.continued };
        // An output without a commit has nothing to resume.
        let continued = is_resumable && self.current.receipt.is_some();
        let previous = self.current.report.take();
        self.current.report = Some(match previous {
            Some(previous) if continued => OpenReport { begin: begin.clone(), ..previous },
            unfinished => {
                self.current.summary.undelivered += unfinished.map_or(0, |report| report.records.total());
                OpenReport::new(begin.clone())
            }
        });
        self.send_start(begin, continued)
    }

    /// Resumes the report of the last commit in a new instance.
    pub(in crate::pipeline) fn resume_report(&mut self) -> Result<(), PluginError> {
        let Some(report) = &self.current.report else { return Ok(()) };
        let begin = report.begin.clone();
        self.send_start(&begin, self.current.receipt.is_some())
    }

    fn send_start(&mut self, begin: &ReportBegin, continued: bool) -> Result<(), PluginError> {
        self.has_started = true;
        let how = if begin.partial { Begin::PARTIAL } else { Begin::NEW };
        let has_invalid_rows = self.current.report.as_ref().is_some_and(|report| report.has_invalid_rows);
        let how = how.with_continued(continued).with_gap(self.current.has_gap || has_invalid_rows);
        let report = Arc::clone(&begin.report);
        self.call("begin", move |handle| handle.begin(&report, how))
    }

    /// Ends this output's part of a report that another output also delivers. The part is delivered unless it is
    /// empty, and removes nothing.
    pub(in crate::pipeline) fn end_partial_report(&mut self, reason: &str) -> Result<(), PluginError> {
        let deliver = self.current.report.as_ref().is_some_and(|report| report.has_findings);
        if !self.has_started {
            self.resume_report()?;
        }
        self.end(&ReportEnd::default().with_deliver(deliver).with_reason(reason), true)
    }

    /// Counts this output's part of a report as undelivered, because it can no longer be ended.
    pub(in crate::pipeline) fn abandon_partial_report(&mut self) {
        let part = self.committed.report.take();
        self.committed.summary.undelivered += part.map_or(0, |report| report.records.total());
        self.current = self.committed.clone();
    }

    /// Writes the findings of a batch that pass the filters. Returns the rows to retry. The batch is valid.
    pub(in crate::pipeline) fn write(
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
        let (rows, written) = self.send_rows(batch, rows)?;
        let result = self.account(validated, rows.findings(), written, 1);
        self.rows = rows;
        result
    }

    /// Writes these rows of a batch again.
    pub(in crate::pipeline) fn retry_rows(
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
            let validated = batch.validated()?;
            let written = handle.write(&validated.batch, rows.selection(), number)?;
            Ok((rows, written))
        })
    }

    /// Moves these rows to dead letters.
    pub(in crate::pipeline) fn move_to_dead_letters(
        &mut self,
        batch: &ValidatedBatch,
        rows: &[u32],
        reason: &str,
        attempts: u32,
    ) {
        self.reject(batch, rows.iter().map(|row| (*row, reason)), attempts);
    }

    /// Marks the current report as invalid, so that its end discards it. Returns the report's path.
    pub(in crate::pipeline) fn invalidate_report(&mut self) -> String {
        let report = self.current.report.as_mut();
        report.map_or_else(String::new, |report| {
            report.is_invalid = true;
            report.begin.report.path.clone()
        })
    }

    pub(in crate::pipeline) fn end(&mut self, end: &ReportEnd, has_gap: bool) -> Result<(), PluginError> {
        let Some(report) = self.current.report.take() else {
            return Err(PluginError::bug("plugin bug: report end without a report start"));
        };
        let mut end = end.clone();
        let was_dropped = has_gap;
        let has_gap = has_gap || self.current.has_gap;
        end.complete &= !has_gap && !report.has_invalid_rows;
        if report.is_invalid {
            (end.complete, end.deliver) = (false, false);
        }
        let reason = match (report.is_invalid, was_dropped) {
            (true, _) => "the input sent an invalid batch",
            (_, true) => "the output was unavailable or its queue was full",
            _ => "another output received a part of the report",
        };
        let missed = (has_gap || report.is_invalid).then(|| Missed {
            findings: report.begin.tally.findings().saturating_sub(report.received),
            reason: reason.to_owned(),
        });
        self.current.ended = Ended { missed, dead_letters: report.rejected };
        for ranges in self.filters.iter().filter_map(|filter| filter.ip_ranges.as_ref()) {
            // The output must not remove findings of an asset that the filters exclude.
            end.clean_assets = end.clean_assets.iter().flat_map(|range| ranges.common_with(range)).collect();
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
        self.count_report(report, deliver, &written);
        Ok(())
    }

    /// Commits everything written so far. Returns rows of earlier batches that the output requests again: the commit
    /// is valid only when there are none ([`Destination::keep_commit`]).
    pub(in crate::pipeline) fn commit(&mut self) -> Result<Vec<LateRetry>, PluginError> {
        let at =
            if self.current.report.is_some() { CommitPoint::InReport } else { CommitPoint::BetweenReports };
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
        self.current.receipt = receipt.filter(|_| resumes);
        match &mut self.current.report {
            Some(report) => {
                report.derived = report.derived.saturating_add(derived);
                report.bytes = report.bytes.saturating_add(bytes);
            }
            None => {
                self.current.summary.derived = self.current.summary.derived.saturating_add(derived);
                self.current.summary.bytes = self.current.summary.bytes.saturating_add(bytes);
            }
        }
        self.account_late(late_rejected, late_retry)
    }

    /// Counts the results that a commit has returned for earlier batches.
    fn account_late(
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
            let validated = batch.validated()?;
            let retry = self.account(validated, None, written, 1)?;
            if !retry.is_empty() {
                retries.push((Arc::clone(&batch), retry));
            }
        }
        Ok(retries)
    }

    /// Makes the last commit the state to roll back to.
    pub(in crate::pipeline) fn keep_commit(&mut self) -> Result<OutputState, PluginError> {
        self.current.dead_letters = self.dead_letters.commit()?;
        self.late.clear();
        self.committed = self.current.clone();
        Ok(self.state_at_commit())
    }

    /// What this output missed of the report that ended before the last commit.
    pub(in crate::pipeline) fn ended(&self) -> &Ended {
        &self.committed.ended
    }

    /// Publishes the report that the last commit has sealed: its receipt is stored.
    pub(in crate::pipeline) fn stored(&mut self) -> Result<(), PluginError> {
        let Some(receipt) = self.committed.receipt.clone() else { return Ok(()) };
        self.call("stored", move |handle| handle.stored(&receipt))
    }

    pub(in crate::pipeline) fn close(&mut self) -> Result<(), PluginError> {
        self.has_started = false;
        if self.thread.is_hung() {
            return Ok(());
        }
        let limits = self.opener.limits();
        self.thread.call("close", limits, |handle| handle.take().map_or(Ok(()), OutputHandle::close))
    }

    /// Ends the current report so that the output rolls back what it can: nothing will resume it.
    pub(in crate::pipeline) fn discard_report(&mut self, reason: &str) {
        if !self.has_started || self.is_hung() {
            return;
        }
        let end = ReportEnd::default().with_reason(reason);
        // The output has failed already; a second error is of no interest.
        let _ = self.call("end", move |handle| handle.end(&end));
    }

    /// Rolls back the dead letters of findings that count as undelivered.
    pub(in crate::pipeline) fn roll_back_dead_letters(&mut self) {
        if let Err(error) = self.dead_letters.roll_back_to(self.committed.dead_letters) {
            tracing::warn!(instance = self.id(), "{error}");
        }
    }

    /// Reopens the output to roll back what it committed of the current report.
    pub(in crate::pipeline) fn discard(&mut self) {
        if !self.is_hung()
            && self.committed.report.is_some()
            && self.reopen(false).and_then(|()| self.resume_report()).is_ok()
        {
            self.discard_report("the output has been closed after a failure");
            self.drop_instance();
        }
    }

    /// Counts up to the last commit; later findings count as undelivered. In a report that a later run resumes,
    /// committed findings count as delivered.
    pub(in crate::pipeline) fn summary(&self, is_resumable: bool) -> OutputSummary {
        let mut summary = self.committed.summary.clone();
        if let Some(report) = &self.committed.report {
            if is_resumable {
                report.add_to(&mut summary);
            } else {
                summary.undelivered += report.records.total();
            }
        }
        summary.retried = self.retried;
        summary.dead_letters_lost = self.dead_letters.lost();
        summary.metrics = self.context().metrics().to_list();
        summary
    }

    fn count_report(&mut self, mut report: OpenReport, delivered: bool, written: &Written) {
        report.derived = report.derived.saturating_add(written.derived);
        report.bytes = report.bytes.saturating_add(written.bytes);
        if delivered {
            report.add_to(&mut self.current.summary);
        } else {
            self.current.summary.undelivered += report.records.total();
        }
        self.current.has_gap = false;
    }

    /// Counts the results that the output returned for the rows that it received.
    fn account(
        &mut self,
        batch: &ValidatedBatch,
        sent: Option<&[u32]>,
        written: Written,
        attempt: u32,
    ) -> Result<Vec<u32>, PluginError> {
        let rejected: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
        super::selection::check_response(batch, sent, [&rejected, &written.left_out, &written.retry])?;
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

    fn reject<'a>(
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
        // Most batches have no rejected finding.
        let report = LazyCell::new(|| ReportRecord::from(&*start));
        let mut rejected = KindCounts::default();
        batch.batch.read(|view| {
            for (row, reason) in rows {
                let Some(finding) = view.finding(row) else { continue };
                rejected.add(finding.kind(), 1);
                let DeadLetterHistory { run, attempts: earlier } =
                    batch.history(row).unwrap_or(DeadLetterHistory { run: self.run, attempts: 0 });
                self.dead_letters.add(&DeadLetter {
                    stage: Stage::Output { output: self.opener.id().to_owned() },
                    run,
                    time: crate::state::now(),
                    reason: without_controls(reason).into_owned(),
                    attempts: earlier.saturating_add(attempts),
                    report: ReportRecord::clone(&report),
                    record: Record::of(finding, view.columns()),
                });
            }
        });
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
    fn log_rejections(&self, batch: &ValidatedBatch, written: &Written) {
        let logged = MAX_LOGGED_REJECTIONS.saturating_sub(self.current.summary.rejected);
        batch.batch.read(|view| {
            for rejection in written.rejected.iter().take(usize::try_from(logged).unwrap_or(usize::MAX)) {
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
