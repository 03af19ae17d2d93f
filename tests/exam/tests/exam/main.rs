//! The exam passes correct plugins, and finds every seeded fault by its check.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod abi_fixture;
mod examples;
mod faults;
mod first_party;
mod kills;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Runs `scanbridge` with these arguments. Returns the exit code, standard output and standard error.
pub(crate) fn scanbridge(arguments: &[&str]) -> (i32, String, String) {
    scanbridge_with(arguments, &[])
}

fn scanbridge_with(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_scanbridge-for-exams"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the host starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Examines a library. Returns the exit code and the result as JSON.
pub(crate) fn examine(library: &Path, config: &Path, only: Option<&str>) -> (i32, Value) {
    examine_with(library, config, only, &[])
}

/// As [`examine`], with these environment variables.
pub(crate) fn examine_with(
    library: &Path,
    config: &Path,
    only: Option<&str>,
    environment: &[(&str, &str)],
) -> (i32, Value) {
    let (library, config) = (library.display().to_string(), config.display().to_string());
    let mut arguments = vec!["plugin", "test", &library, "--config", &config, "--format", "json"];
    arguments.extend(only.map(|id| ["--only", id]).into_iter().flatten());
    let (code, output, errors) = scanbridge_with(&arguments, environment);
    let json = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}{errors}"));
    (code, json)
}

/// The checks of a plugin that did not pass, each with its result and how that was seen.
pub(crate) fn not_passed(result: &Value, kind: &str, name: &str) -> Vec<String> {
    let plugins = result["plugins"].as_array().unwrap();
    let plugin = plugins.iter().find(|plugin| plugin["kind"] == kind && plugin["name"] == name).unwrap();
    let checks = plugin["checks"].as_array().unwrap();
    assert!(!checks.is_empty());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let failed = checks.iter().filter(|check| check["result"] != "ok");
    failed
        .map(|check| format!("{} {}: {}", text(&check["id"]), text(&check["result"]), text(&check["detail"])))
        .collect()
}

/// A library that Cargo has built next to this test.
pub(crate) fn library(name: &str) -> PathBuf {
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let test = std::env::current_exe().unwrap();
    let found = test.ancestors().skip(1).map(|folder| folder.join(&file)).find(|path| path.is_file());
    found.expect("the library was built")
}

/// The root of this repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Builds a shared library with Cargo. Returns its path.
pub(crate) fn built(what: &[&str], name: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--message-format", "json", "--target-dir"])
        .arg(repository_target())
        .args(what)
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let found = messages.split('"').map(PathBuf::from).find(|path| path.file_name() == Some(file.as_ref()));
    found.expect("Cargo names the library")
}

/// The directory in which Cargo has built this test.
pub(crate) fn repository_target() -> PathBuf {
    let host = Path::new(env!("CARGO_BIN_EXE_scanbridge-for-exams"));
    host.ancestors().nth(2).unwrap().to_owned()
}
