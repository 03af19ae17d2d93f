//! The reports that this instance launched and has not deleted yet. They use storage quota at Qualys, and a
//! report of an interrupted run need not be launched a second time.
//!
//! A launch gets a unique title and is stored in a checkpoint before its request is sent. If the response is lost,
//! the report is found by that title.

use std::time::{Duration, SystemTime};

use scanbridge_plugin_api::{Result, Services, State};
use serde::{Deserialize, Serialize};

use crate::fingerprint::fingerprint;
use crate::keys;

/// The launched reports; each is a key of the instance.
#[derive(Debug)]
pub(super) struct LaunchedReports {
    state: State,
    reports: Vec<Entry>,
    scope: Scope,
}

/// Which launched reports this run can deliver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// The number of this run.
    pub(super) run: u64,
    /// When the round began that this run resumes, in seconds since 1970: what earlier runs launched since then is
    /// adopted. `None`: this run resumes nothing.
    pub(super) resumes: Option<u64>,
}

/// The keys begin with this.
const PREFIX: &str = "launched:";

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
    /// The number of the run that launched it.
    #[serde(default)]
    run: u64,
}

/// A launch without a response is searched for this long.
const SEARCH_PERIOD: Duration = Duration::from_secs(7 * 86_400);

impl LaunchedReports {
    pub(super) fn open(services: &Services, scope: Scope) -> Result<Self> {
        let state = services.state();
        let mut reports = Vec::new();
        for name in state.list(PREFIX)? {
            reports.extend(keys::read::<Entry>(&state, &name)?);
        }
        reports.sort_by_key(|entry| entry.at);
        Ok(Self { state, reports, scope })
    }

    /// The title of a launch that this run has prepared, and that has no response.
    pub(super) fn prepared(&self, key: &str) -> Option<String> {
        self.unanswered(key).filter(|entry| entry.run == self.scope.run).map(|entry| entry.title.clone())
    }

    /// Adds a launch that is to be requested, with a unique title. A checkpoint must store it first. The title of an
    /// earlier run is reused, so that retries during a long outage do not add thousands of entries.
    pub(super) fn prepare(&mut self, key: &str) -> Result<()> {
        let title = match self.unanswered(key) {
            Some(entry) => entry.title.clone(),
            None => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                format!("Scanbridge {}", &fingerprint(&(key, now, std::process::id()))[..16])
            }
        };
        self.refused(&title)?;
        self.add("", key, &title)
    }

    fn unanswered(&self, key: &str) -> Option<&Entry> {
        self.reports.iter().find(|entry| entry.is_unanswered() && !entry.ended && entry.key == key)
    }

    /// Removes the launch with this title, which was rejected and made no report.
    pub(super) fn refused(&mut self, title: &str) -> Result<()> {
        self.retain(|entry| !entry.is_unanswered() || entry.title != title)
    }

    /// Sets the ID of a launched report. The title is empty with `report_title`. A checkpoint must store it before
    /// the input waits for the report.
    pub(super) fn answered(&mut self, id: &str, key: &str, title: &str) -> Result<()> {
        self.refused(title)?;
        self.add(id, key, title)
    }

    fn add(&mut self, id: &str, key: &str, title: &str) -> Result<()> {
        let [id, key, title] = [id, key, title].map(str::to_owned);
        let entry = Entry { id, key, title, ended: false, at: now(), run: self.scope.run };
        keys::write(&self.state, &entry.name(), &entry)?;
        self.reports.push(entry);
        Ok(())
    }

    /// Deletes the entries that `keep` rejects.
    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) -> Result<()> {
        for entry in self.reports.extract_if(.., |entry| !keep(entry)) {
            self.state.delete(&entry.name())?;
        }
        Ok(())
    }

    /// True if there are launches without a response. Removes those older than [`SEARCH_PERIOD`].
    pub(super) fn has_unanswered(&mut self) -> Result<bool> {
        self.retain(|entry| !entry.is_unanswered() || entry.age() < SEARCH_PERIOD)?;
        Ok(self.reports.iter().any(Entry::is_unanswered))
    }

    /// Adopts a listed report with this ID and title; true if its launch had no response.
    pub(super) fn adopt(&mut self, id: &str, title: &str) -> Result<bool> {
        let launch = |entry: &&mut Entry| entry.is_unanswered() && entry.title == title;
        let Some(entry) = self.reports.iter_mut().find(launch) else { return Ok(false) };
        self.state.delete(&entry.name())?;
        id.clone_into(&mut entry.id);
        keys::write(&self.state, &entry.name(), entry)?;
        Ok(true)
    }

    /// A report with this key that this run can deliver.
    pub(super) fn pending(&self, key: &str) -> Option<String> {
        let pending = self.reports.iter().find(|entry| entry.key == key && entry.is_pending(self.scope));
        pending.map(|entry| entry.id.clone())
    }

    /// The age of a report that an earlier run launched.
    pub(super) fn earlier_age(&self, id: &str) -> Option<Duration> {
        let entry = self.reports.iter().find(|entry| entry.id == id && entry.run != self.scope.run)?;
        Some(entry.age())
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
        for entry in self.reports.iter_mut().filter(|entry| entry.key == key) {
            entry.ended = true;
            keys::write(&self.state, &entry.name(), entry)?;
        }
        Ok(())
    }

    /// Removes a report, which was deleted at Qualys.
    pub(super) fn remove(&mut self, id: &str) -> Result<()> {
        self.retain(|entry| entry.id != id)
    }

    /// Reports that are no longer needed: passed on, not adopted, or with a key that is not in `wanted`.
    pub(super) fn obsolete(&self, wanted: &[String]) -> Vec<String> {
        let known = self.reports.iter().filter(|entry| !entry.is_unanswered());
        let obsolete = known.filter(|entry| !entry.is_pending(self.scope) || !wanted.contains(&entry.key));
        obsolete.map(|entry| entry.id.clone()).collect()
    }
}

impl Entry {
    /// The key under which it is stored: IDs and titles are unique.
    fn name(&self) -> String {
        match self.is_unanswered() {
            true => format!("{PREFIX}title:{}", self.title),
            false => format!("{PREFIX}{}", self.id),
        }
    }

    fn is_unanswered(&self) -> bool {
        self.id.is_empty()
    }

    /// True if the report was not passed on yet, and this run launched it or adopts it.
    fn is_pending(&self, scope: Scope) -> bool {
        let is_adopted = || scope.resumes.is_some_and(|began| self.at >= began);
        !self.is_unanswered() && !self.ended && (self.run == scope.run || is_adopted())
    }

    fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.at))
    }
}

/// The time by the local clock, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
