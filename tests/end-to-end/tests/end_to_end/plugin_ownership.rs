//! A library that another user can replace is not loaded, by whatever path it is reached.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

const PIPELINE: &str = "version: 1
inputs:
  - { id: source, plugin: Rogue }
outputs:
  - { id: sheet, plugin: CSV, with: { path: out.csv } }
";

/// A run with the plugins of `folder`, which has a link to the library of `Rogue`.
fn run_with(sandbox: &Sandbox, folder: &Path) -> Outcome {
    let library = fs::read_dir(installation::rogue_plugins()).unwrap().next().unwrap().unwrap().path();
    let link = folder.join(library.file_name().unwrap());
    let _ = fs::remove_file(&link);
    symlink(library, link).unwrap();
    sandbox.write("pipeline.yaml", PIPELINE);
    let mut command = sandbox.host(&["run", "pipeline.yaml", "--state-dir", "state", "--plugin-dir"]);
    Outcome::of(command.arg(folder).output().unwrap())
}

#[test]
fn link_in_a_world_writable_plugin_directory_is_refused() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("plugins");
    fs::create_dir(&folder).unwrap();
    let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    run_with(&sandbox, &folder).expect_code(0);
    mode(0o777);
    let outcome = run_with(&sandbox, &folder).expect_code(78);
    assert!(outcome.stderr.contains("plugins is world-writable"), "{}", outcome.stderr);
}

#[test]
fn plugin_directory_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "only root can give files away; run the tests as root");
        return;
    }
    let sandbox = Sandbox::new();
    let folder = sandbox.path("plugins");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(65534), None).unwrap();
    let outcome = run_with(&sandbox, &folder).expect_code(78);
    assert!(outcome.stderr.contains("plugins belongs to user ID 65534"), "{}", outcome.stderr);
}
