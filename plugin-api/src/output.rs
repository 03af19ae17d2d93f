//! What an author implements to write findings somewhere.

use crate::batch::Batch;
use crate::check::CheckReport;
use crate::error::Result;
use crate::model::{ReportEnd, ReportStart};
use crate::options::{OptionSpec, Options};
use crate::services::Services;

/// What an output can go back to after a crash, in its own words; for a file, its length. It is stored as it is,
/// so no secret is in it. At most [`Receipt::MAX_BYTES`]: a longer one is a bug of the plugin and is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt(pub Vec<u8>);

impl Receipt {
    /// The longest receipt that the host stores, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;
}

/// A finding that the output cannot take and never will.
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
    /// Rows of findings that shall be sent again.
    pub retry: Vec<u32>,
    /// Rows of findings that the output's own options keep back; they are counted with those that the pipeline's
    /// filters keep back.
    pub left_out: Vec<u32>,
    /// Records that were written beside the findings, for example events about open ports.
    pub derived: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Writes findings somewhere.
///
/// `open` and `check` may come from another thread than the rest; from then on all calls come from one, in this
/// order: for each report `begin`, any number of `write`,
/// `end`; `commit` between any two of them, but never inside an asset; at last `close`. After an error that is not a
/// rejection the instance gets no more call but `close`; the host then may open another one with the last receipt and
/// repeat what was not committed. A panic is caught and reported as a bug.
pub trait Output: Send + Sized + 'static {
    /// The name that a pipeline uses, matched without regard to case: letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// One line on what it does.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];

    /// Makes an instance. `receipt` is that of the last commit, of an interrupted run or of an instance that failed:
    /// what was written later is taken back where that is possible. If a report was under way then, the next call is
    /// [`Output::begin`] with that report, [`continued`](ReportStart::continued), or with another one, and then the
    /// unfinished one is taken back.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind) for options that contradict each other; else as in [`Output::write`].
    fn open(options: &Options, services: &Services, receipt: Option<&Receipt>) -> Result<Self>;

    /// A cheap live probe that writes nothing: could the output deliver now?
    ///
    /// # Errors
    /// When the probe itself could not be made; what it found is in the report.
    fn check(&mut self) -> Result<CheckReport>;

    /// A report begins, or goes on where the receipt stands.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn begin(&mut self, report: &ReportStart) -> Result<()>;

    /// Takes the selected assets and findings of a batch, in their order. An asset that ended with the last
    /// batch may go on in this one ([`is_continued`](crate::batch::AssetView::is_continued)).
    ///
    /// # Errors
    /// When the output cannot go on at all. What concerns single findings is in [`Written`].
    fn write(&mut self, batch: Batch<'_>) -> Result<Written>;

    /// A report ends. With `end.deliver` what was written of it takes effect; without, the output takes back
    /// what it can. Only with `end.complete` may it clear what the report no longer names. There is no batch here that
    /// rows could be of: the lists of what is returned stay empty.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn end(&mut self, end: &ReportEnd) -> Result<Written>;

    /// Makes all that was written durable, or, where the destination confirms what it takes, waits for that. Assets
    /// are whole here: what belongs to the last one will not come later.
    ///
    /// # Errors
    /// As in [`Output::write`].
    fn commit(&mut self) -> Result<Receipt>;

    /// The last call. What was committed of a report that is still under way stays for a later run that goes on
    /// with it; what was not committed need not stay.
    ///
    /// # Errors
    /// When something written before could not be brought to its end.
    fn close(self) -> Result<()> {
        Ok(())
    }
}
