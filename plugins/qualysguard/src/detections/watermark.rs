//! How far the last complete pull reached, so that the next one asks only for what has changed since.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scanbridge_plugin_api::{Result, Services};
use serde::{Deserialize, Serialize};

use crate::state_file::StateFile;

/// The time of the last complete pull, by the clock of Qualys.
#[derive(Debug)]
pub(super) struct Watermark {
    file: StateFile,
}

#[derive(Serialize, Deserialize)]
struct Reached {
    /// The settings that the pull was made with.
    of: String,
    time: String,
}

impl Watermark {
    pub(super) fn open(services: &Services) -> Result<Self> {
        Ok(Self { file: StateFile::new(services, "watermark.json")? })
    }

    /// Since when to ask: the last complete pull with these settings, less an overlap. None: for everything.
    pub(super) fn since(&self, of: &str, overlap: Duration) -> Option<String> {
        let reached = self.file.read::<Reached>().filter(|reached| reached.of == of)?;
        let time: Timestamp = reached.time.parse().ok()?;
        let since = time.checked_sub(SignedDuration::try_from(overlap).ok()?).ok()?;
        Some(since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// A pull that began at this time is complete and delivered.
    pub(super) fn reached(&self, of: &str, time: &str) -> Result<()> {
        self.file.write(&Reached { of: of.to_owned(), time: time.to_owned() })
    }
}
