//! The time of the last complete pull; an incremental pull requests only later changes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scanbridge_plugin_api::{Result, Services, State};
use serde::{Deserialize, Serialize};

use crate::keys;

/// The time of the last complete pull, by the clock of Qualys.
#[derive(Debug)]
pub(super) struct Watermark {
    state: State,
}

#[derive(Serialize, Deserialize)]
struct Reached {
    /// Fingerprint of the settings of that pull.
    of: String,
    time: String,
}

const KEY: &str = "watermark";

impl Watermark {
    pub(super) fn open(services: &Services) -> Self {
        Self { state: services.state() }
    }

    /// Start time of the next pull: the last complete pull with these settings minus the overlap. `None`: a
    /// full pull.
    pub(super) fn since(&self, of: &str, overlap: Duration) -> Result<Option<String>> {
        let reached = keys::read::<Reached>(&self.state, KEY)?.filter(|reached| reached.of == of);
        let Some(time) = reached.and_then(|reached| reached.time.parse::<Timestamp>().ok()) else {
            return Ok(None);
        };
        let since = SignedDuration::try_from(overlap).ok().and_then(|overlap| time.checked_sub(overlap).ok());
        Ok(since.map(|since| since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
    }

    /// Sets the start time of a pull that is complete. It is stored together with the end of its report.
    pub(super) fn set(&self, of: &str, time: &str) -> Result<()> {
        keys::write(&self.state, KEY, &Reached { of: of.to_owned(), time: time.to_owned() })
    }
}
