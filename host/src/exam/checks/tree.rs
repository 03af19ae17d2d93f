//! The files that an instance could have written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exam::subject::Space;

/// Everything that an instance could have written; directories have no content.
pub(super) fn tree(space: &Space) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for root in [space.dir(0), space.state(0)] {
        add(&root, &root, &mut found);
    }
    found
}

fn add(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten().map(|entry| entry.path()) {
        let name = entry.strip_prefix(root.parent().unwrap_or(root)).unwrap_or(&entry).to_owned();
        if entry.is_dir() {
            found.insert(name, None);
            add(root, &entry, found);
        } else {
            found.insert(name, fs::read(&entry).ok());
        }
    }
}
