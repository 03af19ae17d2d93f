//! Errors of the file system: the message names the file, and the kind decides the exit code.

use std::fs;
use std::io;
use std::path::Path;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

/// A file could not be created, opened or locked: exit code 73.
pub(crate) fn cannot_create(path: &Path, error: &io::Error) -> PluginError {
    let failure =
        PluginError::new(ErrorKind::CannotCreate, format!("cannot create {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::PermissionDenied => failure.with_hint(format!(
            "the user with ID {}, who runs scanbridge, needs write permission on {}",
            rustix::process::geteuid().as_raw(),
            folder_of(path).display()
        )),
        io::ErrorKind::NotFound if path.starts_with("~") => {
            failure.with_hint("`~` is not replaced by the home directory; write ${env:HOME} instead")
        }
        io::ErrorKind::NotFound => failure.with_hint(create_folder(folder_of(path))),
        _ => failure,
    }
}

fn create_folder(folder: &Path) -> String {
    let hint = format!("create the directory: mkdir -p {}", folder.display());
    match std::env::current_dir() {
        Ok(working) if folder.is_relative() => {
            format!("{hint} (relative paths start at the working directory, {})", working.display())
        }
        _ => hint,
    }
}

/// Writing failed midway: exit code 74.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> PluginError {
    let failure = PluginError::new(ErrorKind::Io, format!("cannot write to {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.with_hint("free disk space and run again")
        }
        _ => failure,
    }
}

/// A warning for a file system that soon cannot take more.
pub(crate) fn almost_full(folder: &Path) -> Option<PluginError> {
    let space = rustix::fs::statvfs(folder).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let message = format!("only {} MiB are free in {}", free >> 20, folder.display());
    // A file system that is not backed by blocks reports a size of 0.
    (space.f_blocks > 0 && free < LITTLE_SPACE).then(|| PluginError::new(ErrorKind::Io, message))
}

/// A large report needs about that much.
const LITTLE_SPACE: u64 = 1 << 30;

/// An existing file cannot be read: exit code 74.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("cannot read {} to append to it: {error}", path.display()))
}

/// The file has its name, but a loss of power could take the name away again.
pub(crate) fn not_known_safe(path: &Path, folder: &Path, error: &io::Error) -> PluginError {
    let message = format!(
        "{} is complete, but could not be synced to disk: cannot write to {}: {error}",
        path.display(),
        folder.display()
    );
    PluginError::new(ErrorKind::Io, message)
}

/// Fails when the file exists: exit code 73.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(already_there(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_create(path, &error)),
    }
}

pub(crate) fn already_there(path: &Path) -> PluginError {
    PluginError::new(ErrorKind::CannotCreate, format!("{} already exists", path.display()))
        .with_hint("rename or remove it, or set `if_exists` to `replace` or `append`")
}

/// The directory of a file, in a form that can be opened.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
