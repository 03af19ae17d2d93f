//! Paths of a pipeline's state.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::error::StateError;
use super::owner::refuse_state_of_others;
use crate::plugins::ownership::{Foreign, foreign_control};

/// The state directory of one pipeline. Nothing is created before it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// The directory of the pipeline with this name in the common state directory `all`.
    #[must_use]
    pub fn of(all: &Path, pipeline: &str) -> Self {
        Self { path: all.join(pipeline) }
    }

    /// Path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the ledger file.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.redb")
    }

    /// Path of the file that is locked while the pipeline runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Path of the file that names the plugin calls in progress.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        self.path.join("calls")
    }

    /// The directory of all dead letter files.
    #[must_use]
    pub fn dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters")
    }

    /// The parent of all instance directories.
    #[must_use]
    pub fn instances(&self) -> PathBuf {
        self.path.join("instances")
    }

    /// The private directory of a plugin instance. An instance ID may be `lock` or `ledger.redb`, so these
    /// directories have their own parent.
    #[must_use]
    pub fn instance(&self, id: &str) -> PathBuf {
        self.instances().join(id)
    }

    /// Creates the directory, readable by its owner only. Checks that no other user can change the saved state in it.
    ///
    /// # Errors
    /// When it cannot be created, or another user owns it or may write to it.
    pub fn create(&self) -> Result<(), StateError> {
        // The state of a pipeline that root runs once would be lost for the user who runs it each night.
        let existing =
            [Some(self.path.as_path()), self.path.parent()].into_iter().flatten().find(|path| path.exists());
        if let Some(existing) = existing
            && fs::metadata(existing).is_ok_and(|metadata| existing == self.path || metadata.uid() != 0)
        {
            refuse_state_of_others(existing)?;
        }
        create_private(&self.path).map_err(|error| StateError::cannot_create(&self.path, &error))?;
        let all = self.path.parent().filter(|all| !all.as_os_str().is_empty());
        [all, Some(&self.path)].into_iter().flatten().try_for_each(refuse_shared)
    }
}

/// What a run would find, without creating anything.
impl StateFolder {
    /// The nearest existing directory of this one and its parents.
    #[must_use]
    pub(crate) fn existing(&self) -> &Path {
        let exists = |path: &&Path| path.is_dir();
        self.path.ancestors().find(exists).unwrap_or(Path::new("."))
    }

    /// Checks the directories that exist: that no other user can change the saved state, and that this user can.
    ///
    /// # Errors
    /// The error with which a run would end.
    pub(crate) fn examine(&self) -> Result<(), StateError> {
        let all = self.path.parent().filter(|all| !all.as_os_str().is_empty());
        [all, Some(&*self.path)]
            .into_iter()
            .flatten()
            .filter(|path| path.exists())
            .try_for_each(refuse_shared)?;
        let existing = self.existing();
        rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| StateError::cannot_create(&self.path, &error.into()))
    }
}

/// Refuses a directory in which another user can change files: the saved state decides what counts as delivered.
fn refuse_shared(folder: &Path) -> Result<(), StateError> {
    let metadata = fs::metadata(folder).map_err(|error| StateError::io(folder, &error))?;
    let problem = match foreign_control(&metadata) {
        Some(Foreign::Owner(user)) => {
            format!("belongs to the user with ID {user}, who can change the saved state")
        }
        Some(Foreign::Everyone) => "is writable by all users, who can change the saved state".to_owned(),
        None => return Ok(()),
    };
    Err(StateError {
        message: format!("the state directory {} {problem}", folder.display()),
        hint: Some(
            "set a private directory with --state-dir, run as the user who owns it, or change it with `chown` and \
             `chmod 700`"
                .to_owned(),
        ),
        exit_code: 78,
    })
}

/// Creates a directory and its parents, accessible by the owner only.
pub(super) fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    fn with_mode(mode: u32) -> tempfile::TempDir {
        let all = tempfile::tempdir().unwrap();
        fs::set_permissions(all.path(), fs::Permissions::from_mode(mode)).unwrap();
        all
    }

    #[test]
    fn private_directory_is_created() {
        let all = with_mode(0o755);
        let folder = StateFolder::of(&all.path().join("state"), "nightly");
        folder.create().unwrap();
        folder.create().unwrap();
        for path in [folder.path(), &all.path().join("state")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn world_writable_directory_is_refused_unless_it_is_sticky() {
        StateFolder::of(with_mode(0o1777).path(), "nightly").create().unwrap();
        let all = with_mode(0o777);
        let error = StateFolder::of(all.path(), "nightly").create().unwrap_err();
        assert!(
            error.message.ends_with("is writable by all users, who can change the saved state"),
            "{error}"
        );
        assert_eq!(error.exit_code, 78);
        assert!(error.hint.unwrap().contains("--state-dir"));
    }

    #[test]
    fn directory_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can change the owner of a directory");
            return;
        }
        let all = with_mode(0o700);
        let folder = StateFolder::of(all.path(), "nightly");
        folder.create().unwrap();
        chown(folder.path(), Some(12_345), None).unwrap();
        let error = folder.create().unwrap_err();
        assert!(error.message.contains("belongs to the user with ID 12345"), "{error}");
        assert_eq!(error.exit_code, 77);
        // A new pipeline in the directory of another user: nothing is created.
        chown(all.path(), Some(12_345), None).unwrap();
        let new = StateFolder::of(all.path(), "weekly");
        let error = new.create().unwrap_err();
        assert!(error.message.contains("belongs to the user with ID 12345"), "{error}");
        assert!(!new.path().exists());
    }
}
