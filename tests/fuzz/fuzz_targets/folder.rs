//! A folder for files that are written anew with each input.

use std::sync::LazyLock;

/// One folder a process. `run` puts it into memory and removes it, for libFuzzer ends without going back.
pub static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary folder can be made"));
