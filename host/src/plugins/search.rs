//! Plugin directories. The working directory and the dynamic linker's search path are never used: a library
//! that another user placed there would run with the operator's permissions (CWE-427).

use std::env;
use std::path::{Path, PathBuf};

/// A plugin directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Path of the directory.
    pub path: PathBuf,
    /// Whether the operator set it. Problems in such a directory are logged as warnings; the executable's own
    /// directory may contain other libraries.
    pub named: bool,
}

/// Permission check of a library file before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FilePermissionCheck {
    /// Only the owner and the group may have write permission for the file and its directory.
    #[default]
    OwnerOnly,
    /// No check: any local user may have write permission. Not for servers.
    Disabled,
}

/// Plugin directories in search order: those of `--plugin-dir`, those of `SCANBRIDGE_PLUGIN_DIR` (split like
/// `PATH`), the executable's directory, its subdirectory `plugins`, and `../lib/scanbridge/plugins` relative
/// to it. Duplicates are removed.
#[must_use]
pub fn folders(named: &[PathBuf]) -> Vec<Folder> {
    let variable = env::var_os("SCANBRIDGE_PLUGIN_DIR").unwrap_or_default();
    let from_environment = env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
    let mut folders: Vec<Folder> =
        named.iter().cloned().chain(from_environment).map(|path| Folder { path, named: true }).collect();
    if let Some(own) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        for path in [own.to_owned(), own.join("plugins"), own.join("../lib/scanbridge/plugins")] {
            folders.push(Folder { path, named: false });
        }
    }
    let mut seen = Vec::new();
    folders.retain(|folder| {
        let path = folder.path.canonicalize().unwrap_or_else(|_| folder.path.clone());
        let new = !seen.contains(&path);
        seen.push(path);
        new
    });
    folders
}
