//! One instance of an output plugin: what it received, what it committed, and how to roll back to the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use scanbridge_observe::{Counts, Durations};
use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::keeper::{PairChanges, Pairs};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{
    CheckReport, CommitPoint, Committed, ErrorKind, KeepsCheckpoint, LocalCheck, OutputCapabilities,
    PluginError, Receipt, Resume, Verdict,
};

use super::account::{Account, Ended, LiveCounts, OpenReport};
use super::cipher::DestinationCipher;
use super::selection::Rows;
use crate::config::Filter;
use crate::pipeline::batch::SharedBatch;
use crate::pipeline::item::ReportBegin;
use crate::pipeline::notes::log_notes;
use crate::pipeline::opener::{OutputOpener, too_long};
use crate::pipeline::summary::OutputSummary;
use crate::plugins::context::Context;
use crate::plugins::instance_thread::InstanceThread;
use crate::state::{DeadLetterWriter, OutputCounts, OutputState};

/// An output, as used by its worker. All counts can be rolled back to the last commit, because everything after it is
/// repeated when the instance is reopened.
#[derive(Debug)]
pub(in crate::pipeline) struct Destination {
    pub(super) opener: OutputOpener,
    thread: InstanceThread<OutputHandle>,
    pub(super) capabilities: OutputCapabilities,
    /// Whether it keeps the checkpoint of this run.
    keeps_checkpoint: bool,
    /// Whether this instance received the start of the current report.
    pub(super) has_started: bool,
    pub(super) filters: Vec<Filter>,
    pub(super) rows: Rows,
    pub(super) dead_letters: DeadLetterWriter,
    /// Number of the run.
    pub(super) run: u64,
    /// What the interrupted runs that this run resumes have committed.
    before: OutputCounts,
    pub(super) current: Account,
    pub(super) committed: Account,
    pub(super) retried: u64,
    /// Whether current writes repeat earlier ones.
    pub(super) repeating: bool,
    /// Number of batches that were written.
    pub(super) batches: u64,
    /// The last report that ended.
    pub(super) last_report: Arc<ReportStart>,
    /// The batches since the last commit, for an output that may reject their rows later.
    pub(super) late: BTreeMap<u64, Arc<SharedBatch>>,
    /// Encrypts what the output gets; `None` if it gets clear values.
    pub(super) cipher: Option<DestinationCipher>,
    write_times: Durations,
    commit_times: Durations,
}

/// Rows of one batch to be resent.
pub(super) type LateRetry = (Arc<SharedBatch>, Vec<u32>);

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
            fips: opener.fips(),
            ..OutputSummary::default()
        };
        let OutputState { receipt, has_gap, gap_is_covered, has_invalid_rows, rejected, report, .. } = from;
        let before = from.counts;
        let end = from.dead_letters;
        let report = report.map(|report| OpenReport {
            has_findings: true,
            has_invalid_rows,
            rejected,
            ..OpenReport::new(ReportBegin::of_state(report))
        });
        let receipt = receipt.map(Receipt);
        let ended = Ended::default();
        let keeps_checkpoint = opener.is_keeper() && capabilities.keeps_checkpoint == KeepsCheckpoint::Yes;
        let account = Account { summary, report, has_gap, gap_is_covered, receipt, dead_letters: end, ended };
        Self {
            opener,
            thread,
            capabilities,
            keeps_checkpoint,
            has_started: false,
            filters,
            rows: Rows::default(),
            dead_letters,
            run,
            before,
            current: account.clone(),
            committed: account,
            retried: 0,
            repeating: false,
            batches: 0,
            last_report: Arc::default(),
            late: BTreeMap::new(),
            cipher: None,
            write_times: Durations::default(),
            commit_times: Durations::default(),
        }
    }

    pub(super) fn call<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut OutputHandle) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let closed = || PluginError::new(ErrorKind::Unavailable, "the output is closed");
        let (limits, begun) = (self.opener.limits(), Instant::now());
        let result = self.thread.call(name, limits, move |handle| work(handle.as_mut().ok_or_else(closed)?));
        match name {
            "write" => self.write_times.add(begun.elapsed()),
            "commit" | "commit_with" => self.commit_times.add(begun.elapsed()),
            _ => {}
        }
        result
    }

    /// How long the calls took since the start of the run, as counts.
    pub(super) fn durations(&self) -> Counts {
        Durations::of_output(self.write_times, self.commit_times)
    }

    pub(in crate::pipeline) fn id(&self) -> &str {
        self.opener.id()
    }

    /// Capabilities of the instance.
    pub(in crate::pipeline) fn capabilities(&self) -> OutputCapabilities {
        self.capabilities
    }

    /// Whether it keeps the checkpoint of this run.
    pub(in crate::pipeline) fn keeps_checkpoint(&self) -> bool {
        self.keeps_checkpoint
    }

    /// Whether a report in progress at the last commit can be continued.
    pub(super) fn has_commit(&self) -> bool {
        self.keeps_checkpoint || self.current.receipt.is_some()
    }

    /// Whether a call did not return.
    pub(super) fn is_hung(&self) -> bool {
        self.thread.is_hung()
    }

    /// Probes the output.
    /// Whether `check` can be called without contacting a peer.
    pub(in crate::pipeline) fn local_check(&self) -> bool {
        self.opener.declared().local_check == LocalCheck::Yes
    }

    pub(in crate::pipeline) fn check(&mut self) -> Result<CheckReport, PluginError> {
        self.call("check", OutputHandle::check)
    }

    /// The plugin's name.
    pub(in crate::pipeline) fn plugin(&self) -> &str {
        self.opener.plugin()
    }

    /// Whether the plugin can render.
    pub(in crate::pipeline) fn renders(&self) -> bool {
        self.opener.renders()
    }

    pub(in crate::pipeline) fn context(&self) -> &'static Context {
        self.opener.context()
    }

    /// The current report at the time of the last commit.
    pub(super) fn report_at_commit(&self) -> Option<&ReportBegin> {
        self.committed.report.as_ref().map(|report| &report.begin)
    }

    /// Whether the output had received or missed findings of that report.
    pub(super) fn has_partial_report(&self) -> bool {
        self.committed.has_gap || self.committed.report.as_ref().is_some_and(|report| report.has_findings)
    }

    /// Whether the output is inside this report, started in this run or in the interrupted one.
    pub(super) fn is_inside(&self, report: &ReportStart) -> bool {
        self.current.report.as_ref().is_some_and(|current| current.is_report(report))
    }

    /// State of the last commit, for the ledger.
    pub(super) fn state_at_commit(&self) -> OutputState {
        self.state_of(&self.committed)
    }

    fn state_of(&self, account: &Account) -> OutputState {
        let Account { has_gap, gap_is_covered, dead_letters, ref report, ref receipt, .. } = *account;
        let has_invalid_rows = report.as_ref().is_some_and(|report| report.has_invalid_rows);
        let rejected = report.as_ref().map_or(0, |report| report.rejected);
        let report =
            report.as_ref().filter(|report| report.has_findings).map(|report| (&*report.begin.report).into());
        let receipt = receipt.as_ref().map(|receipt| receipt.0.clone());
        let (ahead, counts) = (Vec::new(), self.before.plus(account.counts()));
        OutputState {
            receipt,
            has_gap,
            gap_is_covered,
            has_invalid_rows,
            rejected,
            dead_letters,
            report,
            ahead,
            counts,
        }
    }

    /// Another output takes over after the last commit: this one will not receive the rest of the current report.
    pub(super) fn yield_to_failover(&mut self) {
        self.drop_instance();
        self.committed.gap_is_covered |= !self.committed.has_gap;
        self.committed.has_gap = true;
        self.current = self.committed.clone();
    }

    /// Marks the current report as incomplete for this output. `is_covered`: the other output of the failover pair has
    /// the rest.
    pub(super) fn mark_gap(&mut self, is_covered: bool) {
        (self.current.has_gap, self.current.gap_is_covered) = (true, is_covered);
    }

    /// Whether the output lacks findings of the current report.
    pub(super) fn has_gap(&self) -> bool {
        self.current.has_gap
    }

    /// Whether the output lacks findings of the current report that the other output of the failover pair lacks too.
    pub(super) fn lacks_findings(&self) -> bool {
        self.current.has_gap && !self.current.gap_is_covered
    }

    /// Whether the output has all findings of the report in progress up to the last commit, together with the other output
    /// of its failover pair.
    pub(super) fn has_all_with_pair(&self) -> bool {
        if self.committed.report.is_some() { !self.lacks_findings() } else { self.committed.gap_is_covered }
    }

    /// The part of this report that an output has committed before the other output of the failover pair took over.
    pub(super) fn part_of(&self, report: &ReportStart) -> Option<&OpenReport> {
        self.committed.report.as_ref().filter(|part| self.committed.has_gap && part.is_report(report))
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
        self.current = self.committed.clone();
        self.late.clear();
        self.context().keys().roll_back();
        if !self.keeps_checkpoint {
            self.dead_letters.roll_back_to(self.committed.dead_letters)?;
        }
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

    /// Commits everything written so far. Returns rows of earlier batches that the output requests again: the commit
    /// is valid only when there are none ([`Destination::keep_commit`]).
    pub(super) fn commit(&mut self) -> Result<Vec<LateRetry>, PluginError> {
        let at = self.commit_point();
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
        self.count_commit(derived, bytes);
        self.account_late(late_rejected, late_retry)
    }

    /// Commits everything written so far together with these pairs of the checkpoint.
    pub(super) fn commit_with(&mut self, changes: PairChanges) -> Result<(), PluginError> {
        let at = self.commit_point();
        let Committed { derived, bytes, .. } =
            self.call("commit_with", move |handle| handle.commit_with(at, &changes))?;
        self.count_commit(derived, bytes);
        Ok(())
    }

    /// Checks the pairs that a new instance has loaded. If they are those of the last commit, the dead letters since then are
    /// discarded: otherwise a commit that seems to have failed may have happened with them.
    pub(super) fn check_loaded(
        &mut self,
        check: impl FnOnce(&Pairs) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        let pairs = self.call("load", OutputHandle::load)?;
        check(&pairs)?;
        self.dead_letters.roll_back_to(self.committed.dead_letters).map_err(PluginError::from)
    }

    fn commit_point(&self) -> CommitPoint {
        if self.current.report.is_some() { CommitPoint::InReport } else { CommitPoint::BetweenReports }
    }

    fn count_commit(&mut self, derived: u64, bytes: u64) {
        let counts = match &mut self.current.report {
            Some(report) => (&mut report.derived, &mut report.bytes),
            None => (&mut self.current.summary.derived, &mut self.current.summary.bytes),
        };
        *counts.0 = counts.0.saturating_add(derived);
        *counts.1 = counts.1.saturating_add(bytes);
    }

    /// The state that the next commit makes the last one. Its dead letters are in the ledger, not synced.
    pub(super) fn state_before_commit(&mut self) -> Result<OutputState, PluginError> {
        self.dead_letters.flush()?;
        self.current.dead_letters = self.dead_letters.end();
        Ok(self.state_of(&self.current))
    }

    /// Makes the last commit the state to roll back to.
    pub(super) fn keep_commit(&mut self) -> Result<OutputState, PluginError> {
        self.current.dead_letters = self.dead_letters.commit()?;
        self.late.clear();
        self.committed = self.current.clone();
        Ok(self.state_at_commit())
    }

    /// The report in progress.
    pub(super) fn report(&self) -> Option<&ReportBegin> {
        self.current.report.as_ref().map(|report| &report.begin)
    }

    /// Counts dead letters of another output as those of the report that has just ended.
    pub(super) fn add_dead_letters_of_report(&mut self, dead_letters: u64) {
        self.current.ended.dead_letters += dead_letters;
    }

    /// Closes the instance, and rolls the counts back to the last commit.
    pub(super) fn roll_back(&mut self) {
        self.drop_instance();
        self.current = self.committed.clone();
    }

    /// What this output missed of the report that ended before the last commit.
    pub(super) fn ended(&self) -> &Ended {
        &self.committed.ended
    }

    /// What this output missed of the report that ended before the next commit.
    pub(super) fn ended_before_commit(&self) -> &Ended {
        &self.current.ended
    }

    /// Publishes the report that the last commit has sealed: its receipt is stored.
    pub(super) fn stored(&mut self) -> Result<(), PluginError> {
        let Some(receipt) = self.committed.receipt.clone() else { return Ok(()) };
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

    /// Rolls back the dead letters of findings that count as undelivered. If the output keeps the checkpoint, the next run does
    /// that, because it knows what was committed.
    pub(super) fn roll_back_dead_letters(&mut self) {
        if self.keeps_checkpoint {
            return;
        }
        if let Err(error) = self.dead_letters.roll_back_to(self.committed.dead_letters) {
            tracing::warn!(instance = self.id(), "{error}");
        }
    }

    /// Reopens the output to roll back what it committed of the current report.
    pub(super) fn discard(&mut self) {
        // What an output that keeps the checkpoint has not committed, nobody can see.
        if !self.is_hung()
            && !self.keeps_checkpoint
            && self.committed.report.is_some()
            && self.reopen(false).and_then(|()| self.resume_report()).is_ok()
        {
            self.discard_report("the output has been closed after a failure");
            self.drop_instance();
        }
    }

    /// Counts up to the last commit, for the watchers of the run.
    pub(super) fn live_counts(&self) -> LiveCounts {
        self.committed.live_counts(self.retried)
    }

    /// Counts up to the last commit; later findings count as undelivered. In a report that a later run resumes,
    /// committed findings count as delivered.
    pub(super) fn summary(&self, is_resumable: bool) -> OutputSummary {
        let mut summary = self.committed.summary.clone();
        if let Some(report) = &self.committed.report {
            if is_resumable {
                report.add_to(&mut summary);
            } else {
                summary.undelivered += report.records.total();
            }
        }
        if self.before != OutputCounts::default() {
            summary.resumed_total = Some(self.before.plus(summary.counts()));
        }
        summary.retried = self.retried;
        summary.dead_letters_lost = self.dead_letters.lost();
        summary.notes = log_notes(self.id(), self.context());
        summary.with_metrics(self.context().metrics().to_list())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.drop_instance();
    }
}
