//! Types and functions shared by the three sources.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::{ErrorKind, Position, Result, Services, Step, tracing};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::Client;
use crate::options::Settings;

/// Everything a source needs to work.
pub(crate) struct SourceContext {
    pub(crate) settings: Settings,
    pub(crate) services: Services,
    pub(crate) client: Client,
    /// The number of the run.
    pub(crate) run: u64,
    /// The part of the source that this instance reads.
    pub(crate) share: Share,
    /// Whether another machine may continue at a position: files in the state directory are then of no use there.
    pub(crate) moves: bool,
    /// Identifies the settings that a position belongs to: source, platform and selection.
    pub(crate) fingerprint: String,
}

/// One source of reports.
pub(crate) trait Work: Send {
    /// As [`scanbridge_plugin_api::Input::next`].
    fn next(&mut self, recycled: BatchBuilder, context: &mut SourceContext) -> Result<Step>;

    /// As [`scanbridge_plugin_api::Input::stored`].
    fn stored(&mut self, at: &Position, context: &mut SourceContext) -> Result<()>;
}

/// A source that cannot be divided, in an instance that does not have the first share: nothing is to be done.
pub(crate) struct OtherShare {
    began: Instant,
}

impl OtherShare {
    pub(crate) fn new() -> Self {
        tracing::info!("this source cannot be divided: the instance with the first share reads it");
        Self { began: Instant::now() }
    }
}

impl Work for OtherShare {
    fn next(&mut self, _: BatchBuilder, context: &mut SourceContext) -> Result<Step> {
        Ok(end_round(&context.settings, &mut self.began, || {}))
    }

    fn stored(&mut self, _: &Position, _: &mut SourceContext) -> Result<()> {
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Stamped<T> {
    of: String,
    at: T,
}

/// Serializes a position, together with the fingerprint of the settings.
pub(crate) fn position(context: &SourceContext, progress: &impl Serialize) -> Position {
    let stamped = Stamped { of: context.fingerprint.clone(), at: progress };
    Position::of_json(&stamped).expect("progress is plain data")
}

/// The progress stored in a position; `None` if other settings or another release wrote it.
pub(crate) fn read_position<T: DeserializeOwned>(
    context: &SourceContext,
    position: Option<&Position>,
) -> Option<T> {
    let position = position.filter(|position| !position.0.is_empty())?;
    let stamped: Option<Stamped<T>> = position.json().ok();
    let stamped = stamped.filter(|stamped| stamped.of == context.fingerprint);
    if stamped.is_none() {
        tracing::info!(
            "cannot resume: the settings or the release have changed since the interrupted run; starting \
             from the beginning"
        );
    }
    stamped.map(|stamped| stamped.at)
}

/// True if a failure concerns only the requested report, so that the next one can be tried.
pub(crate) fn concerns_one_report(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Rejected | ErrorKind::BadData | ErrorKind::NoInput)
}

/// Ends a round: finished without `interval_minutes`, otherwise idle until the next round is due. `again`
/// starts it.
pub(crate) fn end_round(settings: &Settings, began: &mut Instant, again: impl FnOnce()) -> Step {
    let Some(interval) = settings.interval else { return Step::finished() };
    let left = interval.saturating_sub(began.elapsed());
    if left.is_zero() {
        *began = Instant::now();
        again();
        return Step::idle(Duration::ZERO);
    }
    Step::idle(left)
}
