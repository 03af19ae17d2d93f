//! A plugin that was built with `panic = "abort"` is announced: nothing can catch its panics.

use std::path::PathBuf;
use std::process::Command;

use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge_plugin_api::PluginKind;

/// Builds the example of a stranger's plugin that way, in a folder of its own below the target folder.
fn build() -> PathBuf {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("panic-abort");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--config", "profile.dev.panic='abort'", "--manifest-path"])
        .arg(workspace.join("examples/third-party-plugin/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.expect("cargo starts").success());
    target.join("debug")
}

#[test]
fn a_library_that_aborts_is_told_apart_before_it_runs() {
    let folder = Folder { path: build(), named: true };
    let registry = Registry::discover(&[folder], FilePermissionCheck::OwnerOnly);
    let claim = registry.claim(PluginKind::Output, "markdown").unwrap();
    assert!(!claim.library.identity().panic_unwinds);
    assert_eq!(claim.library.identity().crate_name, "acme-markdown");
    // It is announced, not refused: a plugin that does not panic works all the same.
    assert_eq!(registry.descriptor(PluginKind::Output, "markdown").unwrap().version, "0.3.1");
}
