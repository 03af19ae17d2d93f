//! The trait of plugins that read findings from a source.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::batch::{BatchBuilder, RawBatch2};
use crate::capabilities::InputCapabilities;
use crate::check::CheckReport;
use crate::error::{PluginError, Result};
use crate::model::{Refusal, ReportEnd, ReportStart};
use crate::open::{Open, Opened};
use crate::options::OptionSpec;
use crate::report_key::ReportKey;
use crate::reports::{ReportChoice, ReportMarks, ReportPage, ReportQuery};
use crate::setters::setters;

/// A position in the input, in a format private to the input. The host stores it together with the receipts of the
/// outputs and passes it to [`Input::open`]. The host never interprets it.
///
/// At most [`Position::MAX_BYTES`]: a longer position is a plugin bug and is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(pub Vec<u8>);

impl Position {
    /// Maximum size of a position, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;
}

/// An event in the input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A report begins.
    ReportStart {
        /// The report.
        start: Box<ReportStart>,
        /// Whether it continues at the position that was passed to [`Input::open`]. If false, the outputs remove what
        /// they have of an unfinished report.
        continued: bool,
    },
    /// Findings of the current report, from [`BatchBuilder::finish`].
    Batch(RawBatch2),
    /// The current report ends.
    ReportEnd(ReportEnd),
    /// A report that is not delivered. Only between reports.
    Refused(Refusal),
    /// No data now: the host calls again after this time. Only between reports.
    Idle(Duration),
    /// Only a position. Only between reports.
    Mark,
    /// The input has ended. Only between reports.
    Finished,
}

/// When the host stores a checkpoint at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CheckpointRequest {
    /// When the configured interval has passed.
    #[default]
    AtInterval,
    /// Now, regardless of the interval: reading up to here was expensive, for example a page of an API with a quota.
    Now,
    /// Now; `next` is called only after the checkpoint is stored and [`Input::stored`] was called.
    NowAndWait,
}

/// A result of [`Input::next`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Step {
    /// The event.
    pub event: Event,
    /// Where a later run can continue once this step and all earlier ones are stored. `None` where it cannot: inside
    /// an asset, or if the source can be read only once. The host sets checkpoints only at steps with a position.
    pub position: Option<Position>,
    /// When the host stores a checkpoint here.
    pub checkpoint: CheckpointRequest,
}

impl From<Event> for Step {
    fn from(event: Event) -> Self {
        Self { event, position: None, checkpoint: CheckpointRequest::AtInterval }
    }
}

impl Step {
    /// A report begins.
    #[must_use]
    pub fn report_start(start: ReportStart) -> Self {
        Event::ReportStart { start: Box::new(start), continued: false }.into()
    }

    /// A report continues at the position that was passed to [`Input::open`].
    #[must_use]
    pub fn report_continued(start: ReportStart) -> Self {
        Event::ReportStart { start: Box::new(start), continued: true }.into()
    }

    /// Findings of the current report.
    #[must_use]
    pub fn batch(batch: RawBatch2) -> Self {
        Event::Batch(batch).into()
    }

    /// The current report ends.
    #[must_use]
    pub fn report_end(end: ReportEnd) -> Self {
        Event::ReportEnd(end).into()
    }

    /// A report is not delivered.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Event::Refused(refusal).into()
    }

    /// No data now; the host calls again after this time.
    #[must_use]
    pub fn idle(wake_after: Duration) -> Self {
        Event::Idle(wake_after).into()
    }

    /// Only a position.
    #[must_use]
    pub fn mark(position: Position) -> Self {
        Self::from(Event::Mark).at(position)
    }

    /// The input has ended.
    #[must_use]
    pub fn finished() -> Self {
        Event::Finished.into()
    }

    /// Sets where a later run can continue; `None` removes the position.
    #[must_use]
    pub fn at(mut self, position: impl Into<Option<Position>>) -> Self {
        self.position = position.into();
        self
    }

    /// Requests a checkpoint here.
    #[must_use]
    pub fn with_checkpoint(mut self, request: CheckpointRequest) -> Self {
        self.checkpoint = request;
        self
    }
}

/// The outcome of a report, for the input that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// Every output has published it, or has a dead letter for each missing finding.
    Delivered,
    /// An output lacks findings that are not all in its dead letters. The source must be kept. Also the meaning of a
    /// word that this version does not know.
    Missed,
    /// The operator has abandoned the missing findings.
    Waived,
    /// The report was incomplete and was not delivered.
    Withdrawn,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [Self::Delivered, Self::Missed, Self::Waived, Self::Withdrawn];

    /// The word that crosses the ABI.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Missed => "missed",
            Self::Waived => "waived",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether the input may delete or move the source.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Delivered | Self::Waived)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|outcome| outcome.word() == word);
        Ok(known.unwrap_or(Self::Missed))
    }
}

/// One report in [`Stored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredReport {
    /// The report.
    pub key: ReportKey,
    /// The outcome.
    pub outcome: Outcome,
    /// Number of its findings in the dead letters.
    #[serde(default)]
    pub dead_letters: u64,
}

impl StoredReport {
    /// A report with its outcome, without dead letters.
    #[must_use]
    pub fn new(key: ReportKey, outcome: Outcome) -> Self {
        Self { key, outcome, dead_letters: 0 }
    }
}

setters!(StoredReport {
    values: with_dead_letters(dead_letters: u64);
});

/// What has been stored since the last call of [`Input::stored`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The position of the checkpoint. Not every position is reported; a reported one includes all earlier ones.
    pub position: Position,
    /// The reports that ended since the last call and are published.
    pub reports: Vec<StoredReport>,
}

impl Stored {
    /// These reports, up to this position.
    #[must_use]
    pub fn new(position: Position, reports: Vec<StoredReport>) -> Self {
        Self { position, reports }
    }
}

/// Reads findings from a source.
///
/// All calls of one instance come from one thread, one at a time. A call may block if it polls
/// [`Services::is_cancelled`](crate::Services::is_cancelled) about every second and then returns
/// [`ErrorKind::Cancelled`](crate::ErrorKind). A panic is caught and reported as a bug, and the instance is not
/// called again.
pub trait Input: Send + Sized + 'static {
    /// The name that a pipeline uses: ASCII letters, digits, `-` and `_`; case is ignored.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];
    /// The maximum that it can do.
    const CAPABILITIES: InputCapabilities = InputCapabilities::NONE;

    /// Whether the source has stored reports that an operator can choose from: [`Input::list_reports`],
    /// [`Input::choose_reports`] and [`Input::mark_reports`] are implemented.
    const HAS_REPORTS: bool = false;

    /// Opens an instance. `resume` is the last stored position of an interrupted run, or the position to continue
    /// from after the input was unavailable. If the position is inside a report, the first step is the start of that
    /// report, continued ([`Step::report_continued`]). An input that cannot continue there, because the source has
    /// changed, begins the report again.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind) for options that contradict each other; otherwise as in
    /// [`Input::next`].
    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>>;

    /// A cheap probe that moves no data and changes nothing: does the source exist, can it be read?
    ///
    /// An instance that was opened for [`Purpose::Check`](crate::Purpose::Check) contacts no peer. The host calls it for
    /// that purpose only if the plugin declares [`LocalCheck::Yes`](crate::LocalCheck::Yes).
    ///
    /// # Errors
    /// When the probe itself failed; what it found is in the report.
    fn check(&mut self) -> Result<CheckReport>;

    /// Returns the next step. `recycled` contains the memory of a batch that all outputs have processed, or new
    /// memory. A finished batch must be returned by the same call, because later batches refer to its definitions.
    ///
    /// # Errors
    /// An error ends the instance. The host retries an unavailable input by opening it again at the position of its
    /// last step, if that step has one. Otherwise the current report stays unfinished, and the next run continues it.
    fn next(&mut self, recycled: BatchBuilder) -> Result<Step>;

    /// Everything up to this position is stored and delivered. The input may now delete or move sources of reports
    /// whose outcome [`is_settled`](Outcome::is_settled). The host repeats the call until it succeeds, even in the
    /// next run, so the call must be repeatable.
    ///
    /// # Errors
    /// The host reports the error and the run continues.
    fn stored(&mut self, stored: &Stored) -> Result<()> {
        let _ = stored;
        Ok(())
    }

    /// Lists the stored reports of the source, newest first. Called only with [`Input::HAS_REPORTS`]. The host opens the
    /// instance for [`Purpose::List`](crate::Purpose::List): listing changes nothing, neither state nor files nor the
    /// source. Two calls with the same query and cursor return the same entries, unless the source has changed.
    /// [`ReportQuery::page`] selects from a complete list.
    ///
    /// # Errors
    /// [`PluginError::no_reports`] if the options do not allow a choice; otherwise as in [`Input::next`].
    fn list_reports(&mut self, query: &ReportQuery) -> Result<ReportPage> {
        let _ = query;
        Err(PluginError::no_reports())
    }

    /// Chooses the reports of this run, before the first [`Input::next`]. From then on the input delivers exactly these, in
    /// this order, each once; then it is [`Event::Finished`], never [`Event::Idle`]. A report that does not exist or is not
    /// ready is a [`Event::Refused`] with its ID as the path and [`ErrorKind::NoInput`](crate::ErrorKind). So is one that
    /// was delivered before, unless `again` is set.
    ///
    /// An instance that was opened at a position gets the choice of the run that stored the position: it continues after
    /// the reports that were delivered or refused before the position, even if `again` is set.
    ///
    /// # Errors
    /// As for [`Input::list_reports`].
    fn choose_reports(&mut self, choice: &ReportChoice) -> Result<()> {
        let _ = choice;
        Err(PluginError::no_reports())
    }

    /// From now on these reports count as delivered, or no longer. Changes only keys ([`State`](crate::State)), of an
    /// instance that is opened for [`Purpose::Run`](crate::Purpose::Run) but not read. Returns how many reports it changed:
    /// one that counts as delivered already is not changed. An unknown ID is not an error: the source may have deleted the
    /// report.
    ///
    /// # Errors
    /// As for [`Input::list_reports`].
    fn mark_reports(&mut self, marks: &ReportMarks) -> Result<u64> {
        let _ = marks;
        Err(PluginError::no_reports())
    }

    /// The last call.
    ///
    /// # Errors
    /// When something could not be completed.
    fn close(self) -> Result<()> {
        Ok(())
    }
}

/// The result of [`Input::open`].
pub type OpenedInput<T> = Opened<T, InputCapabilities>;
