//! The reports that were launched here and are not deleted yet: a report costs room at Qualys, and one that an
//! interrupted run left behind need not be made a second time.

use scanbridge_plugin_api::{Result, Services};
use serde::{Deserialize, Serialize};

use crate::state_file::StateFile;

/// The reports, on disk at all times.
#[derive(Debug)]
pub(crate) struct Launched {
    file: StateFile,
    reports: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The report's number.
    id: String,
    /// What it was launched with: another launch with the same would make the same report.
    key: String,
    /// It was handed on to its end, and is to be deleted.
    ended: bool,
}

impl Launched {
    pub(crate) fn open(services: &Services) -> Result<Self> {
        let file = StateFile::new(services, "launched.json")?;
        let reports = file.read().unwrap_or_default();
        Ok(Self { file, reports })
    }

    pub(crate) fn add(&mut self, id: &str, key: &str) -> Result<()> {
        self.reports.push(Entry { id: id.to_owned(), key: key.to_owned(), ended: false });
        self.file.write(&self.reports)
    }

    /// A report that was launched with this and not handed on to its end.
    pub(crate) fn pending(&self, key: &str) -> Option<String> {
        self.reports.iter().find(|entry| entry.key == key && !entry.ended).map(|entry| entry.id.clone())
    }

    /// Whether this report was launched here.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.reports.iter().any(|entry| entry.id == id)
    }

    /// The report was handed on to its end.
    pub(crate) fn end(&mut self, id: &str) -> Result<()> {
        match self.reports.iter_mut().find(|entry| entry.id == id && !entry.ended) {
            Some(entry) => {
                entry.ended = true;
                self.file.write(&self.reports)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn forget(&mut self, id: &str) -> Result<()> {
        self.reports.retain(|entry| entry.id != id);
        self.file.write(&self.reports)
    }

    /// The reports that nobody needs any more: handed on, or launched with what is not wanted now.
    pub(crate) fn unneeded(&self, wanted: &[String]) -> Vec<String> {
        let unneeded = self.reports.iter().filter(|entry| entry.ended || !wanted.contains(&entry.key));
        unneeded.map(|entry| entry.id.clone()).collect()
    }
}
