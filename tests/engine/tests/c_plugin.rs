//! An output that is written in C: it is built with the C compiler, loaded by its plain root, and resumed.

use std::path::{Path, PathBuf};
use std::process::Command;

use scanbridge::config;
use scanbridge::pipeline::{RunStatus, Summary};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};

/// Builds the library in this directory. False without a C compiler.
#[expect(clippy::print_stderr, reason = "says why the test was skipped")]
fn build(folder: &Path) -> bool {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/c_plugin/plugin.c");
    let built = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
        .arg(format!("-DTARGET=\"{}\"", scanbridge_plugin_api::abi::TARGET))
        .arg("-o")
        .arg(folder.join(format!("libc_plugin{}", std::env::consts::DLL_SUFFIX)))
        .arg(source)
        .status();
    match built {
        Ok(status) => {
            assert!(status.success(), "the C plugin does not compile");
            true
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no C compiler: {error}");
            eprintln!("skipped: no C compiler ({error})");
            false
        }
    }
}

/// The directory of the rogue plugins, which Cargo has built next to this test.
fn rogue() -> Folder {
    let name =
        format!("{}scanbridge_rogue_plugins{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let test = std::env::current_exe().expect("the test has a path");
    let found = test.ancestors().skip(1).find(|folder| folder.join(&name).is_file());
    Folder { path: found.expect("the library was built").to_owned(), named: false }
}

fn run(folder: &Path, act: &str) -> Summary {
    let text = format!(
        "version: 1\nname: c\ncheckpoint: {{ bytes: 1 KiB }}\ninputs:\n  - {{ id: in, plugin: Rogue, \
         retry: {{ max_elapsed_secs: 0 }}, with: {{ act: {act} }} }}\noutputs:\n  - {{ id: out, plugin: C, \
         with: {{ path: {} }} }}\n",
        folder.join("calls").display()
    );
    let plugins = [Folder { path: folder.to_owned(), named: true }, rogue()];
    let registry = Registry::discover(&plugins, FilePermissionCheck::OwnerOnly);
    let document = config::read_text(&PathBuf::from("c.yaml"), &text).expect("it is YAML");
    let pipeline = config::check(&document, &registry).unwrap_or_else(|problems| panic!("{problems}"));
    engine_tests::run(&pipeline, &registry, &folder.join("state"))
}

#[test]
fn output_in_c_delivers_and_resumes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    if !build(folder.path()) {
        return;
    }
    let first = run(folder.path(), "unavailable-midway");
    assert_eq!(first.exit_code(), 69, "{first:?}");
    let second = run(folder.path(), "unavailable-midway");
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    let calls = std::fs::read_to_string(folder.path().join("calls")).expect("the plugin wrote its calls");
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!(
        calls,
        [
            "open",
            "begin 0",
            "write 1",
            "write 2",
            "write 3",
            "write 4",
            // The receipt of the checkpoint after the fourth batch: the first commit was before the report.
            "open after receipt 5",
            "begin 1",
            "write 1",
            "write 2",
            "write 3",
            "write 4",
            "write 5",
            "end 1",
            "stored receipt 6",
        ]
    );
}
