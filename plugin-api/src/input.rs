//! What an author implements to read findings from somewhere.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::batch::{BatchBuilder, RawBatch};
use crate::capabilities::InputCapabilities;
use crate::check::CheckReport;
use crate::error::Result;
use crate::model::{Refusal, ReportEnd, ReportStart};
use crate::open::{Open, Opened};
use crate::options::OptionSpec;

/// A position in the input, in the input's own words. The host stores it together with what the outputs have committed
/// and gives it back to [`Input::open`]; it never looks inside.
///
/// At most [`Position::MAX_BYTES`]: a longer one is a bug of the plugin and is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(pub Vec<u8>);

impl Position {
    /// The longest position that the host stores, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;
}

/// What happened in the input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A report begins.
    ReportStart {
        /// The report.
        start: Box<ReportStart>,
        /// Whether it continues at the position that was given to [`Input::open`]. If false, the outputs remove what
        /// they have of an unfinished report.
        continued: bool,
    },
    /// Findings of the current report, from [`BatchBuilder::finish`].
    Batch(RawBatch),
    /// The current report ends.
    ReportEnd(ReportEnd),
    /// A report that is not delivered. Only between reports.
    Refused(Refusal),
    /// Nothing now, perhaps later: the host calls again after this time. Only between reports.
    Idle(Duration),
    /// Nothing but the position. Only between reports.
    Mark,
    /// Nothing any more. Only between reports.
    Finished,
}

/// When the host stores a checkpoint at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CheckpointRequest {
    /// When the configured interval has passed.
    #[default]
    AtInterval,
    /// Now, whatever the interval: reading up to here was expensive, for example a page of an API with a quota.
    Now,
    /// Now, and `next` is not called before it is stored and [`Input::stored`] was called.
    NowAndWait,
}

/// What [`Input::next`] has for the host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step {
    /// What happened.
    pub event: Event,
    /// Where a later run can continue once this step and all before it are stored. `None` where it cannot: inside an
    /// asset, or if the source can be read only once. The host sets checkpoints only at steps that have a position.
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

    /// A report continues at the position that was given to [`Input::open`].
    #[must_use]
    pub fn report_continued(start: ReportStart) -> Self {
        Event::ReportStart { start: Box::new(start), continued: true }.into()
    }

    /// Findings of the current report.
    #[must_use]
    pub fn batch(batch: RawBatch) -> Self {
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

    /// Nothing now; the host calls again after this time.
    #[must_use]
    pub fn idle(wake_after: Duration) -> Self {
        Event::Idle(wake_after).into()
    }

    /// Nothing but a position.
    #[must_use]
    pub fn mark(position: Position) -> Self {
        Self::from(Event::Mark).at(position)
    }

    /// Nothing any more.
    #[must_use]
    pub fn finished() -> Self {
        Event::Finished.into()
    }

    /// The same with where a later run can continue; `None` leaves it without.
    #[must_use]
    pub fn at(mut self, position: impl Into<Option<Position>>) -> Self {
        self.position = position.into();
        self
    }

    /// The same with a checkpoint here.
    #[must_use]
    pub fn with_checkpoint(mut self, request: CheckpointRequest) -> Self {
        self.checkpoint = request;
        self
    }
}

/// What became of a report, for the input that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// Every output has published it, or has a dead letter for each finding that it lacks.
    Delivered,
    /// An output lacks findings, and there is not a dead letter for each of them. The source must stay. Also the meaning
    /// of a word that this version does not know.
    Missed,
    /// The operator has given up what was missed.
    Waived,
    /// The report was incomplete and was not delivered.
    Withdrawn,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [Self::Delivered, Self::Missed, Self::Waived, Self::Withdrawn];

    /// The word that crosses.
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

/// What identifies a report among those of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportKey {
    /// The `id` of the input.
    pub input: String,
    /// [`ReportStart::id`].
    pub id: String,
    /// [`ReportStart::path`].
    pub path: String,
    /// [`ReportStart::time`].
    pub time: String,
    /// [`ReportStart::revision`].
    pub revision: String,
}

/// One report in [`Stored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReport {
    /// The report.
    pub key: ReportKey,
    /// What became of it.
    pub outcome: Outcome,
    /// How many of its findings became dead letters.
    #[serde(default)]
    pub dead_letters: u64,
}

/// What has been stored since the last call of [`Input::stored`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The position of the checkpoint. Not every position comes here; one that does stands for all before it.
    pub position: Position,
    /// The reports that ended since then and are published.
    pub reports: Vec<StoredReport>,
}

/// Reads findings from somewhere.
///
/// All calls of one instance come from one thread, one at a time. They may block, as long as they ask
/// [`Services::is_cancelled`](crate::Services::is_cancelled) about once a second and then return
/// [`ErrorKind::Cancelled`](crate::ErrorKind). A panic is caught, reported as a bug, and the instance is not called again.
pub trait Input: Send + Sized + 'static {
    /// The name that a pipeline uses, matched without regard to case: letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// One line on what it does.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];
    /// The most that it can do.
    const CAPABILITIES: InputCapabilities = InputCapabilities::NONE;

    /// Makes an instance. `resume` is the last stored position of an interrupted run, or where the input continues after it
    /// was unavailable. Inside a report, the first step is then the start of that report, continued
    /// ([`Step::report_continued`]); an input that cannot continue there, because the source has changed, begins the
    /// report again.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind) for options that contradict each other; else as in [`Input::next`].
    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>>;

    /// A cheap live probe that moves no data and changes nothing: does the source exist, can it be read?
    ///
    /// # Errors
    /// When the probe itself could not be made; what it found is in the report.
    fn check(&mut self) -> Result<CheckReport>;

    /// The next step. `recycled` is the memory of a batch that all outputs are done with, or a new one. A batch that
    /// is finished must be returned by the same call, because later ones rely on its definitions.
    ///
    /// # Errors
    /// An error ends the instance. The host retries an unavailable input by opening it again at the position of
    /// its last step, if that has one. Otherwise the current report is left unfinished: the next run continues it.
    fn next(&mut self, recycled: BatchBuilder) -> Result<Step>;

    /// Everything up to this position is stored and delivered: the place to delete or move a source, for reports whose
    /// outcome [`is_settled`](Outcome::is_settled). The host repeats the call until it succeeds, also in the next run, so it
    /// must be possible to repeat it.
    ///
    /// # Errors
    /// Reported by the host; the run continues.
    fn stored(&mut self, stored: &Stored) -> Result<()> {
        let _ = stored;
        Ok(())
    }

    /// The last call.
    ///
    /// # Errors
    /// When something could not be completed.
    fn close(self) -> Result<()> {
        Ok(())
    }
}

/// What [`Input::open`] returns.
pub type OpenedInput<T> = Opened<T, InputCapabilities>;
