//! The reports that this instance launched and has not deleted yet. They use storage quota at Qualys, and a
//! report of an interrupted run need not be launched a second time.
//!
//! A launch is stored with a unique title before its request is sent. If the response is lost, the report is
//! found by that title.

use std::time::{Duration, SystemTime};

use scanbridge_plugin_api::{Result, Services};
use serde::{Deserialize, Serialize};

use crate::source::fingerprint;
use crate::state_file::StateFile;

/// The launched reports; each change is written to disk at once.
#[derive(Debug)]
pub(super) struct LaunchedReports {
    file: StateFile,
    reports: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The report ID; empty while the launch has no response.
    id: String,
    /// Hash of the launch parameters: launches with the same key make the same report.
    key: String,
    /// True if the report was passed on completely, or replaced by a later one: it can be deleted.
    ended: bool,
    /// The unique title; empty with `report_title`.
    #[serde(default)]
    title: String,
    /// Launch time by the local clock, in seconds since 1970.
    #[serde(default)]
    at: u64,
}

/// A report older than this is not adopted, because its data is outdated.
const FRESH: Duration = Duration::from_secs(86_400);
/// A launch without a response is searched for this long.
const SEARCH_PERIOD: Duration = Duration::from_secs(7 * 86_400);

impl LaunchedReports {
    pub(super) fn open(services: &Services) -> Result<Self> {
        let file = StateFile::new(services, "launched.json")?;
        let reports = file.read().unwrap_or_default();
        Ok(Self { file, reports })
    }

    /// Stores a launch that is about to be requested, and returns its title. Reuses the entry of an earlier
    /// launch without a response, so that retries during a long outage do not add thousands of entries.
    pub(super) fn begin(&mut self, key: &str) -> Result<String> {
        let is_same = |entry: &&Entry| entry.is_unanswered() && !entry.ended && entry.key == key;
        if let Some(entry) = self.reports.iter().find(is_same) {
            return Ok(entry.title.clone());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let title = format!("Scanbridge {}", &fingerprint(&(key, now, std::process::id()))[..16]);
        self.add("", key, &title)?;
        Ok(title)
    }

    /// Removes the launch with this title, which was rejected and made no report.
    pub(super) fn refused(&mut self, title: &str) -> Result<()> {
        self.reports.retain(|entry| !entry.is_unanswered() || entry.title != title);
        self.file.write(&self.reports)
    }

    /// Stores the ID of a launched report. The title is empty with `report_title`.
    pub(super) fn answered(&mut self, id: &str, key: &str, title: &str) -> Result<()> {
        self.reports.retain(|entry| !entry.is_unanswered() || entry.title != title);
        self.add(id, key, title)
    }

    fn add(&mut self, id: &str, key: &str, title: &str) -> Result<()> {
        let [id, key, title] = [id, key, title].map(str::to_owned);
        self.reports.push(Entry { id, key, title, ended: false, at: now() });
        self.file.write(&self.reports)
    }

    /// True if there are launches without a response. Removes those older than [`SEARCH_PERIOD`].
    pub(super) fn has_unanswered(&mut self) -> Result<bool> {
        let before = self.reports.len();
        self.reports.retain(|entry| !entry.is_unanswered() || entry.age() < SEARCH_PERIOD);
        if self.reports.len() < before {
            self.file.write(&self.reports)?;
        }
        Ok(self.reports.iter().any(Entry::is_unanswered))
    }

    /// Adopts a listed report with this ID and title; true if its launch had no response.
    pub(super) fn adopt(&mut self, id: &str, title: &str) -> Result<bool> {
        let launch = |entry: &&mut Entry| entry.is_unanswered() && entry.title == title;
        let Some(entry) = self.reports.iter_mut().find(launch) else { return Ok(false) };
        id.clone_into(&mut entry.id);
        self.file.write(&self.reports)?;
        Ok(true)
    }

    /// A report with this key that is younger than [`FRESH`] and was not passed on completely.
    pub(super) fn pending(&self, key: &str) -> Option<String> {
        let pending = self.reports.iter().find(|entry| entry.key == key && entry.is_pending());
        pending.map(|entry| entry.id.clone())
    }

    /// True if this instance launched the report.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.reports.iter().any(|entry| entry.id == id)
    }

    /// True if this instance launched the report less than `age` ago.
    pub(super) fn is_younger(&self, id: &str, age: Duration) -> bool {
        self.reports.iter().any(|entry| entry.id == id && entry.age() < age)
    }

    /// Marks a report that was passed on completely, and all others with the same key, as ended.
    pub(super) fn mark_ended(&mut self, id: &str) -> Result<()> {
        let Some(key) = self.reports.iter().find(|entry| entry.id == id).map(|entry| entry.key.clone())
        else {
            return Ok(());
        };
        self.reports.iter_mut().filter(|entry| entry.key == key).for_each(|entry| entry.ended = true);
        self.file.write(&self.reports)
    }

    /// Removes a report, which was deleted at Qualys.
    pub(super) fn remove(&mut self, id: &str) -> Result<()> {
        self.reports.retain(|entry| entry.id != id);
        self.file.write(&self.reports)
    }

    /// Reports that are no longer needed: passed on, outdated, or with a key that is not in `wanted`.
    pub(super) fn obsolete(&self, wanted: &[String]) -> Vec<String> {
        let known = self.reports.iter().filter(|entry| !entry.is_unanswered());
        let obsolete = known.filter(|entry| !entry.is_pending() || !wanted.contains(&entry.key));
        obsolete.map(|entry| entry.id.clone()).collect()
    }
}

impl Entry {
    fn is_unanswered(&self) -> bool {
        self.id.is_empty()
    }

    fn is_pending(&self) -> bool {
        !self.is_unanswered() && !self.ended && self.age() < FRESH
    }

    fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.at))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
