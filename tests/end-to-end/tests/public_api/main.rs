//! The public interface of the plugin API, as rustdoc sees it, is the one in `plugin-api/src/abi/golden/public-api.txt`.
//! Within a major version, lines of that file may be added and never changed or removed: the source of a plugin that
//! compiles today must compile with each later version.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One line for each public item that a plugin can use. The error if rustdoc's JSON is of another version than the reader
/// supports.
fn public_items() -> Result<BTreeSet<String>, String> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("public-api");
    let output = Command::new(env!("CARGO"))
        .args([
            "doc",
            "--package",
            "scanbridge-plugin-api",
            "--no-deps",
            "--lib",
            "--offline",
            "--target-dir",
        ])
        .arg(&target)
        .env("RUSTDOC", root().join("tests/end-to-end/tests/public_api/rustdoc-json"))
        .env("RUSTDOCFLAGS", "-Zunstable-options --output-format json")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let api = public_api::Builder::from_rustdoc_json(target.join("doc/scanbridge_plugin_api.json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(api.items().map(ToString::to_string).collect())
}

#[test]
fn public_items_are_only_added() {
    let current = match public_items() {
        Ok(items) => items,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: this compiler's rustdoc is not supported: {error}");
            return;
        }
        Err(error) => panic!("update the dependency `public-api`: {error}"),
    };
    let golden = fs::read_to_string(root().join("plugin-api/src/abi/golden/public-api.txt")).unwrap();
    let golden: BTreeSet<String> = golden.lines().map(str::to_owned).collect();
    let missing: Vec<&String> = golden.difference(&current).collect();
    assert!(
        missing.is_empty(),
        "no longer public, or changed, which breaks the source of plugins:\n{missing:#?}"
    );
    let added: Vec<&str> = current.difference(&golden).map(String::as_str).collect();
    assert!(
        added.is_empty(),
        "add these lines to plugin-api/src/abi/golden/public-api.txt:\n{}",
        added.join("\n")
    );
}
