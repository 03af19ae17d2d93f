//! What an author implements to write findings somewhere.

use crate::batch::Batch;
use crate::capabilities::OutputCapabilities;
use crate::check::CheckReport;
use crate::error::Result;
use crate::model::{ReportEnd, ReportStart};
use crate::open::{Open, Opened};
use crate::options::OptionSpec;

/// What an output can return to after a crash, in its own words; for a file, its length. It is stored as it is,
/// so it contains no secret. At most [`Receipt::MAX_BYTES`]: a longer one is a bug of the plugin and is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt(pub Vec<u8>);

impl Receipt {
    /// The longest receipt that the host stores, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;
}

/// A finding that the output cannot accept and never will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The finding's row in the batch.
    pub row: u32,
    /// Why, as a sentence for the operator.
    pub reason: String,
}

/// What became of the findings of one call. Every finding that is named in none of the three lists
/// counts as written; none is named twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Findings that are refused for good.
    pub rejected: Vec<Rejection>,
    /// Rows of findings to be sent again.
    pub retry: Vec<u32>,
    /// Rows of findings that the output's own options exclude; they are counted with those that the pipeline's
    /// filters exclude.
    pub left_out: Vec<u32>,
    /// Records that were written in addition to the findings, for example events about open ports.
    pub derived: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// How a report begins for an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Begin {
    /// The receipt given to [`Output::open`] is inside this report: continue after it. If false while the receipt names
    /// an unfinished report, that report will not be continued: remove it when [`Output::stored`] is called next.
    pub continued: bool,
    /// The report holds only some findings of its assets, as replayed dead letters do: add them, replace nothing, clear
    /// nothing.
    pub partial: bool,
    /// This output missed findings of the report: clear nothing. The end of the report is not `complete` then.
    pub has_gap: bool,
}

impl Begin {
    /// A report from its beginning.
    pub const NEW: Self = Self { continued: false, partial: false, has_gap: false };
    /// A report that continues after the receipt.
    pub const CONTINUED: Self = Self { continued: true, partial: false, has_gap: false };
    /// A report that holds only some findings of its assets.
    pub const PARTIAL: Self = Self { continued: false, partial: true, has_gap: false };

    /// The same for an output that missed findings of the report, or did not.
    #[must_use]
    pub fn with_gap(mut self, has_gap: bool) -> Self {
        self.has_gap = has_gap;
        self
    }

    /// The same, continued or from the beginning.
    #[must_use]
    pub fn with_continued(mut self, continued: bool) -> Self {
        self.continued = continued;
        self
    }
}

/// Where a commit takes place.
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
pub struct LateRow {
    /// The number of the batch ([`Batch::number`]).
    pub batch: u64,
    /// The finding's row in that batch.
    pub row: u32,
}

/// The answer to a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// What the output can return to; `None` for an output that cannot resume.
    pub receipt: Option<Receipt>,
    /// Findings of batches since the last commit that are refused for good, with the reason. Only with the capability
    /// `late_answers: rows`.
    pub late_rejected: Vec<(LateRow, String)>,
    /// Findings of batches since the last commit to be sent again. Only with the capability `late_answers: rows`.
    pub late_retry: Vec<LateRow>,
    /// Records that were written in addition to the findings.
    pub derived: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

impl From<Receipt> for Committed {
    fn from(receipt: Receipt) -> Self {
        Self { receipt: Some(receipt), ..Self::default() }
    }
}

/// Writes findings somewhere.
///
/// All calls of one instance come from one thread, one at a time, in this order: for each report `begin`, any number of
/// `write`, `end`; `commit` between any two of them, but never inside an asset; after the commit at a report's end
/// `stored`; at last `close`. After an error that is not a rejection the instance gets no more call but `close`; the
/// host may then open another one with the last receipt and repeat what was not committed. A panic is caught and
/// reported as a bug.
pub trait Output: Send + Sized + 'static {
    /// The name that a pipeline uses, matched without regard to case: letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// One line on what it does.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];
    /// The most that it can do.
    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE;

    /// Makes an instance. `receipt` is that of a commit of an interrupted run, or of an instance that failed. A receipt of
    /// a report's end may name what [`Output::stored`] has not published yet: publish it now. What was written after the
    /// receipt is removed where that is possible (`resume: exact`).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind) for options that contradict each other; else as in [`Output::write`].
    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>>;

    /// A cheap live probe that writes nothing: could the output deliver now?
    ///
    /// # Errors
    /// When the probe itself could not be made; what it found is in the report.
    fn check(&mut self) -> Result<CheckReport>;

    /// A report begins, or continues after the receipt.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()>;

    /// Takes the selected assets and findings of a batch, in their order. An asset at the end of the last
    /// batch may continue in this one ([`is_continued`](crate::batch::AssetView::is_continued)).
    ///
    /// # Errors
    /// When the output cannot continue at all. What concerns single findings is in [`Written`].
    fn write(&mut self, batch: Batch<'_>) -> Result<Written>;

    /// A report ends. Nothing of it becomes visible yet if the output can resume. With `end.deliver` it is published by
    /// [`Output::stored`]; without, it is removed then as far as possible. Only with `end.complete` may the output clear
    /// what the report no longer names. There is no batch here that rows could be of: the lists of what is returned stay
    /// empty.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn end(&mut self, end: &ReportEnd) -> Result<Written>;

    /// Makes all that was written durable, or, where the destination confirms what it takes, waits for that. Assets
    /// are whole here: what belongs to the last one will not come later.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn commit(&mut self, at: CommitPoint) -> Result<Committed>;

    /// The receipt of the last commit, which was at a report's end, is stored: publish what it stands for. Not called for
    /// outputs with `resume: none`. If the host is killed before or during this call, [`Output::open`] with that receipt
    /// has to complete it.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn stored(&mut self) -> Result<()> {
        Ok(())
    }

    /// The last call. What was committed of an unfinished report stays for a later run that continues it; what was not
    /// committed need not stay.
    ///
    /// # Errors
    /// When something written before could not be completed.
    fn close(self) -> Result<()> {
        Ok(())
    }
}

/// What [`Output::open`] returns.
pub type OpenedOutput<T> = Opened<T, OutputCapabilities>;
