//! Where plugins are looked for. Never the working directory and never the linker's path: a library that
//! somebody left there would run with the operator's rights (CWE-427).

use std::env;
use std::path::{Path, PathBuf};

/// A folder that may hold plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Whether the operator named it. What is wrong in a named folder is worth a warning; the executable's
    /// own folder may hold libraries that have nothing to do with plugins.
    pub named: bool,
}

/// What is asked of a library's file before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FilePermissionCheck {
    /// Nobody but the owner and the group may write to the file or to its folder.
    #[default]
    OwnerOnly,
    /// Anybody may: for a laptop, never for a server.
    Anybody,
}

/// The folders in the order in which they are searched: those of `--plugin-dir`, those of
/// `SCANBRIDGE_PLUGIN_DIR` (split like `PATH`), the executable's folder and its `plugins`, and
/// `../lib/scanbridge/plugins` seen from there. A folder that is reached twice is listed once.
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
