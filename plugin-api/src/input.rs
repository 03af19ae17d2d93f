//! What an author implements to read findings from somewhere.

use std::time::Duration;

use crate::batch::{BatchBuilder, RawBatch, Schema};
use crate::check::CheckReport;
use crate::error::Result;
use crate::model::{Refusal, ReportEnd, ReportStart};
use crate::options::{OptionSpec, Options};
use crate::services::Services;

/// A place in the input, in the input's own words. The host keeps it beside what the outputs have committed
/// and gives it back to [`Input::open`]; it never looks inside.
///
/// It comes with every batch, so it is short: at most [`Position::MAX_BYTES`]. A longer one is a bug of the plugin and is
/// not stored.
///
/// An empty position says that there is no way to go on from here: the batch ends inside an asset, or the source
/// can be read only once. The host commits only behind batches that have a position, so an asset is never cut by
/// a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(pub Vec<u8>);

impl Position {
    /// The longest position that the host stores, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;
}

/// What [`Input::next`] has for the host.
#[derive(Debug)]
pub enum Next {
    /// A report begins. The host calls `next` again at once.
    ReportStart(Box<ReportStart>),
    /// Findings of the report that is under way.
    Batch {
        /// The batch, from [`BatchBuilder::finish`].
        batch: RawBatch,
        /// Where a later run would go on, once this batch and all before it are committed; empty where it could
        /// not.
        position: Position,
    },
    /// The report that is under way ends.
    ReportEnd {
        /// How it ends.
        end: ReportEnd,
        /// Where a later run would go on.
        position: Position,
    },
    /// A report that is not delivered. Stands between reports. The host records it and goes on.
    Refused(Refusal),
    /// Nothing now, perhaps later: the host calls again after this time. Stands between reports.
    Idle(Duration),
    /// Nothing any more.
    Finished,
}

/// Reads findings from somewhere.
///
/// Calls to one instance come one after the other; `open` and `check` may come from another thread than the rest. They may block, as long as they ask
/// [`Services::is_cancelled`] about once a second and then return [`ErrorKind::Cancelled`](crate::ErrorKind).
/// A panic is caught, reported as a bug, and the instance is not called again.
pub trait Input: Send + Sized + 'static {
    /// The name that a pipeline uses, matched without regard to case: letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// One line on what it does.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];

    /// Makes an instance. `resume` is the last committed position of an interrupted run, or where a run goes on
    /// after the input was unavailable. A position inside a report begins with the [`ReportStart`] of that report,
    /// [`continued`](ReportStart::continued); an input that cannot go on there any more, for the source has
    /// changed, begins the report anew.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind) for options that contradict each other; else as in [`Input::next`].
    fn open(options: &Options, services: &Services, resume: Option<&Position>) -> Result<Self>;

    /// The columns of the batches; they stay the same for the life of the instance.
    fn schema(&self) -> Schema {
        Schema::default()
    }

    /// A cheap live probe that moves no data and changes nothing: is what the options name there?
    ///
    /// # Errors
    /// When the probe itself could not be made; what it found is in the report.
    fn check(&mut self) -> Result<CheckReport>;

    /// The next step. `recycled` is the memory of a batch that all outputs are done with, or a new one. A batch that
    /// is finished must be returned by the same call, for later ones rely on its definitions.
    ///
    /// # Errors
    /// An error ends the instance. The host retries an unavailable input by opening it again at the position of
    /// its last step, if that has one. Otherwise a report that was under way is left as it is: the next run goes on
    /// with it.
    fn next(&mut self, recycled: BatchBuilder) -> Result<Next>;

    /// Everything up to this position has been delivered: the place to delete or move a source. Not every
    /// position comes here; one that does stands for all before it. After a crash the host may have stored a position
    /// without this call having been made: [`Input::open`] gets that position.
    ///
    /// # Errors
    /// Reported by the host; the run goes on.
    fn committed(&mut self, position: &Position) -> Result<()> {
        let _ = position;
        Ok(())
    }
}
