//! A plugin that was built with `panic = "abort"` is detected, because the host cannot catch its panics.

use std::path::PathBuf;
use std::process::Command;

use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge_plugin_api::PluginKind;

/// Builds the example of a third-party plugin with `panic = "abort"`, in a separate target directory.
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
fn plugin_built_with_panic_abort_is_detected() {
    let folder = Folder { path: build(), named: true };
    let registry = Registry::discover(&[folder], FilePermissionCheck::OwnerOnly);
    let claim = registry.claim(PluginKind::Output, "markdown").unwrap();
    assert!(!claim.library.identity().panic_unwinds);
    assert_eq!(claim.library.identity().crate_name, "acme-markdown");
    // The plugin is not rejected: it works as long as it does not panic.
    assert_eq!(registry.descriptor(PluginKind::Output, "markdown").unwrap().version, "0.3.1");
}
