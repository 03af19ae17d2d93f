//! The reports that were launched here and are not deleted yet: a report costs room at Qualys, and one that an
//! interrupted run left behind need not be made a second time.
//!
//! A launch is written down before it is made, with a title that no other report has. Should its answer be lost, the
//! report is known by that title.

use std::time::{Duration, SystemTime};

use scanbridge_plugin_api::{Result, Services};
use serde::{Deserialize, Serialize};

use crate::source::fingerprint;
use crate::state_file::StateFile;

/// The reports, on disk at all times.
#[derive(Debug)]
pub(super) struct LaunchedReports {
    file: StateFile,
    reports: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The report's number; empty while the launch has no answer.
    id: String,
    /// What it was launched with: another launch with the same would make the same report.
    key: String,
    /// It was handed on to its end, or a later one was in its place: it is to be deleted.
    ended: bool,
    /// The title that no other report has; empty where the settings say the title.
    #[serde(default)]
    title: String,
    /// When, by our clock, in seconds.
    #[serde(default)]
    at: u64,
}

/// What is in a report is old by then: it is made anew.
const FRESH: Duration = Duration::from_secs(86_400);
/// A launch without an answer is looked for so long.
const LOOKED_FOR: Duration = Duration::from_secs(7 * 86_400);

impl LaunchedReports {
    pub(super) fn open(services: &Services) -> Result<Self> {
        let file = StateFile::new(services, "launched.json")?;
        let reports = file.read().unwrap_or_default();
        Ok(Self { file, reports })
    }

    /// A launch with this is about to be made. Gives its title: that of an earlier one that has no answer, if there is
    /// one, so that an outage of a day does not make thousands.
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

    /// The launch with this title was refused, and made no report.
    pub(super) fn refused(&mut self, title: &str) -> Result<()> {
        self.reports.retain(|entry| !entry.is_unanswered() || entry.title != title);
        self.file.write(&self.reports)
    }

    /// A launch made this report. The title is empty where the settings say it.
    pub(super) fn answered(&mut self, id: &str, key: &str, title: &str) -> Result<()> {
        self.reports.retain(|entry| !entry.is_unanswered() || entry.title != title);
        self.add(id, key, title)
    }

    fn add(&mut self, id: &str, key: &str, title: &str) -> Result<()> {
        let [id, key, title] = [id, key, title].map(str::to_owned);
        self.reports.push(Entry { id, key, title, ended: false, at: now() });
        self.file.write(&self.reports)
    }

    /// Whether there are launches without an answer. Old ones are forgotten.
    pub(super) fn looks_for_some(&mut self) -> Result<bool> {
        let before = self.reports.len();
        self.reports.retain(|entry| !entry.is_unanswered() || entry.age() < LOOKED_FOR);
        if self.reports.len() < before {
            self.file.write(&self.reports)?;
        }
        Ok(self.reports.iter().any(Entry::is_unanswered))
    }

    /// There is a report with this number and title. True if it is one that was looked for.
    pub(super) fn found(&mut self, id: &str, title: &str) -> Result<bool> {
        let launch = |entry: &&mut Entry| entry.is_unanswered() && entry.title == title;
        let Some(entry) = self.reports.iter_mut().find(launch) else { return Ok(false) };
        id.clone_into(&mut entry.id);
        self.file.write(&self.reports)?;
        Ok(true)
    }

    /// A report that was launched with this not long ago and not handed on to its end.
    pub(super) fn pending(&self, key: &str) -> Option<String> {
        let pending = self.reports.iter().find(|entry| entry.key == key && entry.is_pending());
        pending.map(|entry| entry.id.clone())
    }

    /// Whether this report was launched here.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.reports.iter().any(|entry| entry.id == id)
    }

    /// Whether this report was launched here no longer ago than this.
    pub(super) fn is_younger(&self, id: &str, age: Duration) -> bool {
        self.reports.iter().any(|entry| entry.id == id && entry.age() < age)
    }

    /// The report was handed on to its end, and with it goes what else was launched with the same.
    pub(super) fn end(&mut self, id: &str) -> Result<()> {
        let Some(key) = self.reports.iter().find(|entry| entry.id == id).map(|entry| entry.key.clone())
        else {
            return Ok(());
        };
        self.reports.iter_mut().filter(|entry| entry.key == key).for_each(|entry| entry.ended = true);
        self.file.write(&self.reports)
    }

    pub(super) fn forget(&mut self, id: &str) -> Result<()> {
        self.reports.retain(|entry| entry.id != id);
        self.file.write(&self.reports)
    }

    /// The reports that nobody needs any more: handed on, old, or launched with what is not wanted now.
    pub(super) fn unneeded(&self, wanted: &[String]) -> Vec<String> {
        let known = self.reports.iter().filter(|entry| !entry.is_unanswered());
        let unneeded = known.filter(|entry| !entry.is_pending() || !wanted.contains(&entry.key));
        unneeded.map(|entry| entry.id.clone()).collect()
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
