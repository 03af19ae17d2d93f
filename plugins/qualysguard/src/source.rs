//! What the three sources have in common.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{ErrorKind, Next, Position, Result, Services, tracing};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::Client;
use crate::options::Settings;

/// What a source works with.
pub(crate) struct SourceContext {
    pub(crate) settings: Settings,
    pub(crate) services: Services,
    pub(crate) client: Client,
    /// What makes a position ours: another source, platform or choice has others.
    pub(crate) fingerprint: String,
}

/// One source.
pub(crate) trait Work: Send {
    /// As [`scanbridge_plugin_api::Input::next`].
    fn next(&mut self, recycled: BatchBuilder, around: &mut SourceContext) -> Result<Next>;

    /// As [`scanbridge_plugin_api::Input::committed`].
    fn committed(&mut self, at: &Position, around: &mut SourceContext) -> Result<()>;
}

#[derive(Serialize, Deserialize)]
struct Stamped<T> {
    of: String,
    at: T,
}

/// A position of this instance.
pub(crate) fn position(around: &SourceContext, progress: &impl Serialize) -> Position {
    let stamped = Stamped { of: around.fingerprint.clone(), at: progress };
    Position(serde_json::to_vec(&stamped).expect("progress is plain data"))
}

/// What a position says; nothing if it is of other settings or another release.
pub(crate) fn read_position<T: DeserializeOwned>(
    around: &SourceContext,
    position: Option<&Position>,
) -> Option<T> {
    let position = position.filter(|position| !position.0.is_empty())?;
    let stamped: Option<Stamped<T>> = serde_json::from_slice(&position.0).ok();
    let stamped = stamped.filter(|stamped| stamped.of == around.fingerprint);
    if stamped.is_none() {
        tracing::info!(
            "cannot resume: the settings have changed since the interrupted run; starting from \
             the beginning"
        );
    }
    stamped.map(|stamped| stamped.at)
}

/// Whether a failure is about the report that was asked for, and the next one may well be had.
pub(crate) fn is_of_one_report(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Rejected | ErrorKind::BadData | ErrorKind::NoInput)
}

/// A short name for parameters.
pub(crate) fn fingerprint(of: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(of).expect("parameters are plain data");
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
}

/// All is fetched: the end, or a rest until the next round is due. `again` begins it.
pub(crate) fn end_round(settings: &Settings, began: &mut Instant, again: impl FnOnce()) -> Next {
    let Some(interval) = settings.interval else { return Next::Finished };
    let left = interval.saturating_sub(began.elapsed());
    if left.is_zero() {
        *began = Instant::now();
        again();
        return Next::Idle(Duration::ZERO);
    }
    Next::Idle(left)
}
