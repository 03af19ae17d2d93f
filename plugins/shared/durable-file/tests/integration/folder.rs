//! The content of a directory.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The names in the directory, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Runs this with a 1 MiB file system mounted at the directory. Skips it, with a printed reason, where mounting is
/// not permitted.
#[expect(clippy::print_stdout, reason = "a skipped test says so where its reader looks")]
pub(crate) fn on_a_small_disk<T>(folder: &Path, run: impl FnOnce(&Path) -> T) -> Option<T> {
    let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
    let mounted = Command::new("mount").args(mount).arg(folder).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: no file system may be mounted here");
        return None;
    }
    let outcome = run(folder);
    assert!(Command::new("umount").arg(folder).status().unwrap().success());
    Some(outcome)
}
