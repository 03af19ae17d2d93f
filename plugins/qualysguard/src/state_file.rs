//! Small things that an instance remembers between runs: one JSON file each, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file of the state folder.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(services: &Services, name: &str) -> Result<Self> {
        Ok(Self { path: services.state_folder()?.join(name) })
    }

    /// What it holds; nothing when it is not there or cannot be understood.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let bytes = fs::read(&self.path).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!("{} is corrupt and is ignored: {error}", self.path.display());
                None
            }
        }
    }

    /// Replaces it. When this returns, the new one is on disk; until then the old one is there.
    pub(crate) fn write(&self, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| PluginError::bug(format!("cannot serialize the state as JSON: {error}")))?;
        write_durably(&self.path, &bytes).map_err(|error| {
            PluginError::new(ErrorKind::Io, format!("cannot write {}: {error}", self.path.display()))
        })
    }
}

/// Beside it first, then in its place.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
