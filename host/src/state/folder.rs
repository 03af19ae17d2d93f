//! Where the state of a pipeline lies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::StateError;

/// The folder of one pipeline. Nothing is made before it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// The folder of the pipeline with this name below the state folder of all.
    #[must_use]
    pub fn of(all: &Path, pipeline: &str) -> Self {
        Self { path: all.join(pipeline) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ledger's file.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.redb")
    }

    /// The file that is locked while the pipeline runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The file that names the plugin calls in progress.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        self.path.join("calls")
    }

    /// The folder of all dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters")
    }

    /// The folder of all instances.
    #[must_use]
    pub fn instances(&self) -> PathBuf {
        self.path.join("instances")
    }

    /// The folder that a plugin's instance keeps for itself. Ids may be `lock` or `ledger.redb`, so these folders
    /// stand apart.
    #[must_use]
    pub fn instance(&self, id: &str) -> PathBuf {
        self.instances().join(id)
    }

    /// Makes the folder, readable by its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<(), StateError> {
        create_private(&self.path).map_err(|error| StateError::cannot_create(&self.path, &error))
    }
}

/// Makes a folder, readable by its owner alone, with those above it.
pub(super) fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
