//! The published schemas. They are not part of this repository.

use std::path::{Path, PathBuf};

/// A directory or file of a published schema: what the environment variable names, otherwise `path` in a directory next to
/// the repository. Without it the test is skipped, but not where the tests decide about a merge.
pub(crate) fn find(variable: &str, path: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(PathBuf::from(named));
    }
    let around =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).and_then(|around| around.read_dir().ok());
    let entries = around.into_iter().flatten().flatten();
    let found = entries.map(|entry| entry.path().join(path)).find(|path| path.exists());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "{path} is needed where CI is set: set {variable}"
    );
    if found.is_none() {
        eprintln!("skipped: no {path} next to the repository, and {variable} is not set");
    }
    found
}
