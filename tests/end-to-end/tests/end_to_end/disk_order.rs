//! What a power cut can lose: a source is deleted only when the output file that replaces an older one is durable under
//! its name. The order of the system calls is recorded in the host's process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scanbridge_fixtures::good;

use crate::sandbox::{Outcome, Sandbox};

/// Builds the library that records the calls. `None` without a C compiler.
#[expect(clippy::print_stderr, reason = "says why the test was skipped")]
fn recorder(sandbox: &Sandbox) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/disk_order/record.c");
    let library = sandbox.path("record.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library);
    match compiler.arg(source).status() {
        Ok(status) => {
            assert!(status.success(), "the recorder does not compile");
            Some(library)
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no C compiler: {error}");
            eprintln!("skipped: no C compiler ({error})");
            None
        }
    }
}

/// Calls of the form `CALL PATH`.
struct Calls(Vec<String>);

impl Calls {
    /// The index of the first such call from `start` on whose path ends with `end`.
    #[track_caller]
    fn find(&self, start: usize, call: &str, end: &str) -> usize {
        let matches = |line: &String| line.starts_with(call) && line.ends_with(end);
        let found = self.0[start..].iter().position(matches);
        start + found.unwrap_or_else(|| panic!("no {call} {end} after call {start} of {:#?}", self.0))
    }
}

#[test]
#[cfg(target_os = "linux")]
fn source_is_deleted_after_its_replacement_is_durable() {
    let sandbox = Sandbox::new();
    let Some(library) = recorder(&sandbox) else { return };
    fs::create_dir(sandbox.path("in")).unwrap();
    fs::create_dir(sandbox.path("out")).unwrap();
    fs::copy(good("scan-all-kinds.xml"), sandbox.path("in/scan.xml")).unwrap();
    sandbox.write("out/findings.csv", "an older file\n");
    let pipeline = "version: 1
inputs:
  - { id: files, plugin: QualysGuardFile, with: { path: in, on_done: delete, settle_secs: 0 } }
outputs:
  - { id: sheet, plugin: CSV, with: { path: out/findings.csv, if_exists: replace } }
";
    let mut host = sandbox.host_running(pipeline);
    host.env("LD_PRELOAD", library).env("RECORD_TO", sandbox.path("calls"));
    Outcome::of(host.output().unwrap()).expect_code(0);
    assert!(!sandbox.path("in/scan.xml").exists());

    let calls = Calls(sandbox.read("calls").lines().map(str::to_owned).collect());
    let part = calls.find(0, "sync", ".part");
    let receipt = calls.find(part, "sync", "/ledger.redb");
    let renamed = calls.find(receipt, "rename", "out/findings.csv");
    let named = calls.find(renamed, "sync", "/out");
    let deleted = calls.find(0, "unlink", "in/scan.xml");
    assert!(named < deleted, "the source is deleted too early: {:#?}", calls.0);
}
