//! The commands that list and describe plugins.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

const PLUGINS: [&str; 5] = ["ArcSightCEF", "CSV", "QualysGuard", "QualysGuardFile", "Sourcefire"];

#[test]
fn plugins_are_listed() {
    let sandbox = Sandbox::new();
    let listed = Outcome::of(sandbox.host(&["plugin", "list"]).output().unwrap()).expect_code(0);
    for plugin in PLUGINS {
        assert!(listed.stdout.contains(plugin), "{plugin}: {}", listed.stdout);
    }
    let json =
        Outcome::of(sandbox.host(&["plugin", "list", "--format", "json"]).output().unwrap()).expect_code(0);
    for plugin in PLUGINS {
        assert!(json.stdout.contains(&format!("\"{plugin}\"")), "{plugin}: {}", json.stdout);
    }
    let _: Value = serde_json::from_str(&json.stdout).unwrap();
}

#[test]
fn plugin_names_are_case_insensitive() {
    let sandbox = Sandbox::new();
    for (name, option) in [("qualysguardfile", "path"), ("CSV", "format"), ("arcsightcef", "derive")] {
        let text = Outcome::of(sandbox.host(&["plugin", "describe", name]).output().unwrap()).expect_code(0);
        assert!(text.stdout.contains(option), "{name}: {}", text.stdout);
        let described = sandbox.host(&["plugin", "describe", name, "--format", "json"]).output().unwrap();
        let json: Value = serde_json::from_str(&Outcome::of(described).expect_code(0).stdout).unwrap();
        let options = json["options"].as_array().unwrap();
        assert!(options.iter().any(|found| found["name"] == option), "{name}: {json:#}");
    }
}

#[test]
fn unknown_plugin_gets_a_suggestion() {
    let sandbox = Sandbox::new();
    let outcome = Outcome::of(sandbox.host(&["plugin", "describe", "ArcSigthCEF"]).output().unwrap());
    let outcome = outcome.expect_code(78);
    assert!(outcome.stderr.contains("did you mean `ArcSightCEF`?"), "{}", outcome.stderr);
}

#[test]
fn world_writable_plugin_directory_is_rejected() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("plugins");
    fs::create_dir(&folder).unwrap();
    let installed = installation::host().with_file_name("plugins");
    for entry in fs::read_dir(installed).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    // An executable without plugins of its own.
    let bare = installation::host().with_file_name("bare-host");
    let _ = fs::remove_file(&bare);
    fs::create_dir_all(&bare).unwrap();
    let host = bare.join("scanbridge");
    fs::hard_link(installation::host(), &host).unwrap();
    let output = std::process::Command::new(host)
        .args(["plugin", "describe", "CSV", "--plugin-dir"])
        .arg(&folder)
        .env_remove("SCANBRIDGE_PLUGIN_DIR")
        .output()
        .unwrap();
    let outcome = Outcome::of(output);
    assert_ne!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("world-writable"), "{}", outcome.stderr);
}
