//! Files of a watched directory that were refused, so that each is reported once: also by runs that end when idle.

use std::path::Path;

use scanbridge_plugin_api::{Result, State};
use serde::{Deserialize, Serialize};

use crate::fingerprint::FileKey;

/// The refused files. They are keys of the instance, one for each path.
#[derive(Debug)]
pub(crate) struct Refused {
    state: State,
    /// What a refusal depends on except the file: the version of this plugin, and its options. With another one, the
    /// file is examined again.
    judge: String,
}

/// A refused file, as stored under a key.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The text of its [`FileKey`].
    file: String,
    judge: String,
}

impl Refused {
    /// The files that earlier runs refused.
    pub(crate) fn open(state: State, options: &impl std::fmt::Debug) -> Self {
        Self { state, judge: format!("{} {options:?}", env!("CARGO_PKG_VERSION")) }
    }

    /// Adds a file.
    pub(crate) fn add(&self, key: &FileKey) -> Result<()> {
        let entry = serde_json::to_vec(&self.entry(key)).expect("plain data can be serialized");
        self.state.put(&name_of(&key.path()), &entry)
    }

    /// Whether this file was refused and has not changed. If it has changed, its entry is removed.
    pub(crate) fn contains(&self, path: &Path) -> Result<bool> {
        let name = name_of(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let Some(stored) = self.state.get(&name)? else { return Ok(false) };
        let stored = serde_json::from_slice::<Entry>(&stored).ok();
        let is_same = stored.is_some() && stored == FileKey::of(path).map(|key| self.entry(&key));
        if !is_same {
            self.state.delete(&name)?;
        }
        Ok(is_same)
    }

    /// Removes the files for which `is_gone` is true.
    pub(crate) fn remove(&self, mut is_gone: impl FnMut(&Path) -> bool) -> Result<()> {
        for name in self.state.list(PREFIX)? {
            let entry = self.state.get(&name)?.and_then(|entry| serde_json::from_slice::<Entry>(&entry).ok());
            if entry.is_none_or(|entry| is_gone(&FileKey::from_text(entry.file).path())) {
                self.state.delete(&name)?;
            }
        }
        Ok(())
    }

    fn entry(&self, key: &FileKey) -> Entry {
        Entry { file: key.text().to_owned(), judge: self.judge.clone() }
    }
}

/// The keys of this list begin with this.
const PREFIX: &str = "refused:";

/// The key of a file. Paths may be longer than keys, so it contains a hash.
fn name_of(path: &Path) -> String {
    format!("{PREFIX}{:032x}", xxhash_rust::xxh3::xxh3_128(path.display().to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_known_until_it_or_the_options_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xml");
        std::fs::write(&path, "<MAP/>").unwrap();
        let state = scanbridge_plugin_api::Services::without_host(folder.path()).state();
        let refused = Refused::open(state.clone(), &"options");
        assert!(!refused.contains(&path).unwrap());
        refused.add(&FileKey::of(&path).unwrap()).unwrap();
        assert!(refused.contains(&path).unwrap());
        assert!(!Refused::open(state.clone(), &"other options").contains(&path).unwrap());
        assert!(!refused.contains(&path).unwrap(), "the entry of other options was removed");
        refused.add(&FileKey::of(&path).unwrap()).unwrap();
        std::fs::write(&path, "<SCAN/>").unwrap();
        assert!(!refused.contains(&path).unwrap());
        refused.add(&FileKey::of(&path).unwrap()).unwrap();
        refused.remove(|_| true).unwrap();
        assert!(state.list("").unwrap().is_empty());
    }
}
