//! The content of a directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_durable_file::ReportFile;
use scanbridge_plugin_api::{Receipt, Result};

/// The names in the directory, sorted, without those of lock files: each test of locks looks for itself.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

/// The calls at the end of a report: seals it, stores the receipt, publishes it. Returns the receipt.
pub(crate) fn finish(file: &mut ReportFile, deliver: bool) -> Result<Receipt> {
    file.end(deliver)?;
    let receipt = file.commit(b"")?;
    file.stored()?;
    Ok(receipt)
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
