//! The time of the last complete pull; an incremental pull requests only later changes.

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
    /// Fingerprint of the settings of that pull.
    of: String,
    time: String,
}

impl Watermark {
    pub(super) fn open(services: &Services) -> Result<Self> {
        Ok(Self { file: StateFile::new(services, "watermark.json")? })
    }

    /// Start time of the next pull: the last complete pull with these settings minus the overlap. `None`: a
    /// full pull.
    pub(super) fn since(&self, of: &str, overlap: Duration) -> Option<String> {
        let reached = self.file.read::<Reached>().filter(|reached| reached.of == of)?;
        let time: Timestamp = reached.time.parse().ok()?;
        let since = time.checked_sub(SignedDuration::try_from(overlap).ok()?).ok()?;
        Some(since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// Stores the start time of a pull that is complete and delivered.
    pub(super) fn store(&self, of: &str, time: &str) -> Result<()> {
        self.file.write(&Reached { of: of.to_owned(), time: time.to_owned() })
    }
}
