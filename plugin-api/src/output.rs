//! The trait of plugins that write findings to a destination.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::capabilities::OutputCapabilities;
use crate::check::CheckReport;
use crate::error::{PluginError, Result};
use crate::keeper::{PairChanges, Pairs};
use crate::model::{ReportEnd, ReportStart};
use crate::open::{Open, Opened};
use crate::options::OptionSpec;
use crate::setters::setters;

/// The state that an output can return to after a crash, in a format private to the output; for a file, its length.
/// The host stores it unencrypted, so it must not contain secrets. At most [`Receipt::MAX_BYTES`]: a longer receipt
/// is a plugin bug and is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt(pub Vec<u8>);

impl Receipt {
    /// Maximum size of a receipt, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;
}

/// A finding that the output can never accept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The finding's row in the batch.
    pub row: u32,
    /// The reason, as a sentence for the operator.
    pub reason: String,
}

impl Rejection {
    /// The finding in this row, and the reason.
    pub fn new(row: u32, reason: impl Into<String>) -> Self {
        Self { row, reason: reason.into() }
    }
}

/// The outcome of one call's findings. A finding in none of the three lists counts as written; no finding may be in
/// two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Findings that are permanently rejected.
    pub rejected: Vec<Rejection>,
    /// Rows of findings to be resent.
    pub retry: Vec<u32>,
    /// Rows of findings that the output's own options exclude. They are counted with those that the pipeline's
    /// filters exclude.
    pub left_out: Vec<u32>,
    /// Records that were written in addition to the findings, for example events about open ports.
    pub derived: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

setters!(Written {
    values: with_rejected(rejected: Vec<Rejection>), with_retry(retry: Vec<u32>),
        with_left_out(left_out: Vec<u32>), with_derived(derived: u64), with_bytes(bytes: u64);
});

/// What an output would write for a finding ([`Output::render`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Rendered {
    /// The finding's row in the batch.
    pub row: u32,
    /// The record, without the end of its last line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Why the output would write no record of its own for the finding, as a sentence; `text` is then empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub omitted: String,
}

impl Rendered {
    /// A record of the finding in this row.
    pub fn new(row: u32, text: impl Into<String>) -> Self {
        Self { row, text: text.into(), omitted: String::new() }
    }

    /// The finding in this row would get no record of its own, for this reason.
    pub fn omitted(row: u32, reason: impl Into<String>) -> Self {
        Self { row, text: String::new(), omitted: reason.into() }
    }
}

/// How a report begins for an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Begin {
    /// The receipt passed to [`Output::open`] is inside this report: continue after it. If false while the receipt
    /// refers to an unfinished report, that report will not be continued: remove it at the next call of
    /// [`Output::stored`].
    pub continued: bool,
    /// The report contains only some findings of its assets, as replayed dead letters do: add them, replace and
    /// remove nothing.
    pub partial: bool,
    /// This output missed findings of the report: remove nothing. The end of the report is then not `complete`.
    pub has_gap: bool,
}

impl Begin {
    /// A report from its beginning.
    pub const NEW: Self = Self { continued: false, partial: false, has_gap: false };
    /// A report that continues after the receipt.
    pub const CONTINUED: Self = Self { continued: true, partial: false, has_gap: false };
    /// A report that contains only some findings of its assets.
    pub const PARTIAL: Self = Self { continued: false, partial: true, has_gap: false };

    /// Sets whether the output missed findings of the report.
    #[must_use]
    pub fn with_gap(mut self, has_gap: bool) -> Self {
        self.has_gap = has_gap;
        self
    }

    /// Sets whether the report continues.
    #[must_use]
    pub fn with_continued(mut self, continued: bool) -> Self {
        self.continued = continued;
        self
    }
}

/// The position of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CommitPoint {
    /// Inside a report, between two assets.
    #[default]
    InReport,
    /// Between two reports.
    BetweenReports,
}

/// A finding of an earlier batch, named by [`Output::commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LateRow {
    /// The number of the batch ([`Batch::number`]).
    pub batch: u64,
    /// The finding's row in that batch.
    pub row: u32,
}

impl LateRow {
    /// This row of the batch with this number.
    #[must_use]
    pub const fn new(batch: u64, row: u32) -> Self {
        Self { batch, row }
    }
}

/// The result of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The state that the output can return to; `None` for an output that cannot resume.
    pub receipt: Option<Receipt>,
    /// Findings of batches since the last commit that are permanently rejected, with the reason. Only with the
    /// capability `late_answers: rows`.
    pub late_rejected: Vec<(LateRow, String)>,
    /// Findings of batches since the last commit to be resent. Only with the capability `late_answers: rows`.
    pub late_retry: Vec<LateRow>,
    /// Records that were written in addition to the findings.
    pub derived: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

setters!(Committed {
    values: with_receipt(receipt: Option<Receipt>),
        with_late_rejected(late_rejected: Vec<(LateRow, String)>),
        with_late_retry(late_retry: Vec<LateRow>), with_derived(derived: u64), with_bytes(bytes: u64);
});

impl From<Receipt> for Committed {
    fn from(receipt: Receipt) -> Self {
        Self { receipt: Some(receipt), ..Self::default() }
    }
}

/// Writes findings to a destination.
///
/// All calls of one instance come from one thread, one at a time. For each report: `begin`, any number of `write`,
/// `end`. `commit` may come between any two of them, but never inside an asset. `stored` follows the commit at the
/// end of a report; the last call is `close`. After an error that is not a rejection, only `close` is called. The
/// host may then open another instance with the last receipt and repeat what was not committed. A panic is caught and
/// reported as a bug.
pub trait Output: Send + Sized + 'static {
    /// The name that a pipeline uses: ASCII letters, digits, `-` and `_`; case is ignored.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];
    /// The maximum that it can do.
    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE;

    /// Whether [`Output::render`] is implemented. The host shows the findings as JSON of its own otherwise.
    const RENDERS: bool = false;

    /// Whether [`Output::load`] and [`Output::commit_with`] are implemented. Their pairs are used if an instance also has
    /// the capability [`KeepsCheckpoint::Yes`](crate::KeepsCheckpoint).
    const KEEPS_CHECKPOINT: bool = false;

    /// Opens an instance. `receipt` is from a commit of an interrupted run, or of an instance that failed. A receipt
    /// from the end of a report may refer to data that [`Output::stored`] has not published yet: publish it now. What
    /// was written after the receipt is removed where that is possible (`resume: exact`).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind) for options that contradict each other; otherwise as in
    /// [`Output::write`].
    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>>;

    /// A cheap probe that writes nothing: could the output deliver now?
    ///
    /// An instance that was opened for [`Purpose::Check`](crate::Purpose::Check) contacts no peer. The host calls it for
    /// that purpose only if the plugin declares [`LocalCheck::Yes`](crate::LocalCheck::Yes).
    ///
    /// # Errors
    /// When the probe itself failed; what it found is in the report.
    fn check(&mut self) -> Result<CheckReport>;

    /// A report begins, or continues after the receipt.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()>;

    /// Writes the selected assets and findings of a batch, in order. The last asset of the previous batch may
    /// continue in this one ([`is_continued`](crate::batch::AssetView::is_continued)).
    ///
    /// # Errors
    /// When the output cannot continue at all. Results of single findings are in [`Written`].
    fn write(&mut self, batch: Batch<'_>) -> Result<Written>;

    /// Shows what [`Output::write`] would write for the selected findings of a batch: for each of them at least one
    /// [`Rendered`], in order. If several findings share a record, it belongs to the first of them, and the others are
    /// [`Rendered::omitted`]. A record that is derived from a finding or its asset has the row of such a finding too. Called
    /// only with [`Output::RENDERS`].
    ///
    /// It has no effect: nothing is sent or written, and what `write` does later does not change. It can come at any time
    /// between `open` and `close`, also outside a report, and from an instance that is opened for
    /// [`Purpose::Preview`](crate::Purpose::Preview). `report` is the report of the batch. During a run, delivery waits for it.
    ///
    /// # Errors
    /// When the findings cannot be shown. Delivery continues.
    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let _ = (report, batch);
        Err(PluginError::bug("plugin bug: the output declares that it can render, but does not"))
    }

    /// A report ends. If the output can resume, nothing of the report becomes visible yet. With `end.deliver`,
    /// [`Output::stored`] publishes the report; without, it removes the report as far as possible. Only with
    /// `end.complete` may the output remove data that the report no longer contains. No batch belongs to this call,
    /// so the lists of the result must be empty.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn end(&mut self, end: &ReportEnd) -> Result<Written>;

    /// Makes all written data durable. If the destination acknowledges data, waits for the acknowledgment. Assets are
    /// complete here: no more data of the last asset follows.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn commit(&mut self, at: CommitPoint) -> Result<Committed>;

    /// The stored checkpoint: every pair of the last successful [`Output::commit_with`], of this instance or another one;
    /// none if there was no commit yet. The host calls it once, directly after `open` and before it opens the input.
    ///
    /// From now on no other instance may commit to the same checkpoint: `open` has excluded it.
    ///
    /// # Errors
    /// As in [`Output::write`]; [`ErrorKind::Displaced`](crate::ErrorKind) if another instance has taken over.
    fn load(&mut self) -> Result<Pairs> {
        Err(keeps_no_checkpoint())
    }

    /// Replaces [`Output::commit`] for an output that keeps the checkpoint: stores the written findings and the changed
    /// pairs, both or neither, also if the host is killed during the call. Pairs that are not named keep their value.
    ///
    /// Receipts and late rows do not exist here: both are left empty. `begin`, `write` and `end` before a commit that did
    /// not happen must leave nothing that a reader can see. [`Output::stored`] is not called.
    ///
    /// Without changes, nothing is stored, also no findings: the host only asks whether the instance may still commit. It
    /// does so after [`Services::wake`](crate::Services::wake). A commit always has changes.
    ///
    /// Only for [`Purpose::Run`](crate::Purpose::Run). A replay of dead letters has no checkpoint, so the host calls
    /// `commit` then.
    ///
    /// # Errors
    /// As in [`Output::write`]. Nothing is stored then, or it is unknown whether it is: after
    /// [`ErrorKind::Unavailable`](crate::ErrorKind) the host opens another instance, and ends the run if that one loads
    /// another checkpoint than the last one of this run. [`ErrorKind::Displaced`](crate::ErrorKind) if another instance has
    /// taken over: the run ends.
    fn commit_with(&mut self, at: CommitPoint, changes: &PairChanges) -> Result<Committed> {
        let _ = (at, changes);
        Err(keeps_no_checkpoint())
    }

    /// The receipt of the last commit, which was at the end of a report, is stored: publish that report. Not called
    /// for outputs with `resume: none`. If the host is killed before or during this call, [`Output::open`] with that
    /// receipt must complete it.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn stored(&mut self) -> Result<()> {
        Ok(())
    }

    /// The last call. Committed data of an unfinished report is kept for a later run that continues it; uncommitted
    /// data may be removed.
    ///
    /// # Errors
    /// When data written earlier could not be completed.
    fn close(self) -> Result<()> {
        Ok(())
    }
}

/// The result of [`Output::open`].
pub type OpenedOutput<T> = Opened<T, OutputCapabilities>;

fn keeps_no_checkpoint() -> PluginError {
    PluginError::bug("plugin bug: the output declares that it keeps the checkpoint, but does not")
}
