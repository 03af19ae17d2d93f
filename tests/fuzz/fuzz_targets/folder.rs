//! A directory for the files of each input.

use std::sync::LazyLock;

/// One directory per process. The script `run` creates it in memory and removes it, because libFuzzer exits without
/// running destructors.
pub static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary directory can be created"));
