//! Saved state of an instance: one JSON file per kind of state, replaced atomically.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file in the state directory.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(services: &Services, name: &str) -> Result<Self> {
        Ok(Self { path: services.state_folder()?.join(name) })
    }

    /// The stored value; `None` if the file is missing or corrupt.
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

    /// Replaces the file. The new content is on disk when this returns; until then the old content stays.
    pub(crate) fn write(&self, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| PluginError::bug(format!("cannot serialize the state as JSON: {error}")))?;
        write_durably(&self.path, &bytes)
            .map_err(|error| PluginError::of_file(ErrorKind::Io, "write", &self.path, &error))
    }
}

/// Writes a temporary file next to `path`, then renames it.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
