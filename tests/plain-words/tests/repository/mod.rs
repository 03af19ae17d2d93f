//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders without texts of ours, by name: build output, recorded data, and what tests compare with.
const SKIPPED_FOLDERS: [&str; 8] =
    ["target", ".git", "corpus", "artifacts", "fixtures", "snapshots", "out", "bad-configs"];

/// The directory of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files below the directory, without those of the skipped folders.
pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                files(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}
