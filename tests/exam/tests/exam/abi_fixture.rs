//! The packaged crate of plugin API 2.0.0 and its example plugins, in `tests/fixtures/abi-2.0`. It never changes: what was
//! built with it runs on every later host of major version 2, and what it promises stays.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::kills::survive_kills;
use crate::{built, examine, not_passed, repository, repository_target};

/// The extracted crate, as a workspace of its own.
static EXTRACTED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = repository_target().join("abi-2.0");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let file = repository().join("tests/fixtures/abi-2.0/scanbridge-plugin-api-2.0.0.crate");
    let status = Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&folder).status().unwrap();
    assert!(status.success(), "tar: {status}");
    let folder = folder.join("scanbridge-plugin-api-2.0.0");
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + "\n[workspace]\n").unwrap();
    folder
});

/// Builds one of its examples with the versions of its own lock file.
fn library(folder: &Path, name: &str) -> PathBuf {
    let manifest = folder.join("Cargo.toml").display().to_string();
    // The optimization of this workspace, so that Cargo builds the common dependencies once.
    let profile = ["profile.dev.opt-level=1", "profile.dev.debug='line-tables-only'"];
    built(
        &[
            "--locked",
            "--manifest-path",
            &manifest,
            "--config",
            profile[0],
            "--config",
            profile[1],
            "--example",
            name,
        ],
        name,
    )
}

#[test]
fn plugins_of_2_0_run_on_this_host_and_survive_kills() {
    let folder = EXTRACTED.as_path();
    let plugins = [("lines_output", "output", "Lines"), ("rows_input", "input", "Rows")];
    let libraries = plugins.map(|(name, ..)| library(folder, name));
    for ((name, kind, plugin), library) in plugins.iter().zip(&libraries) {
        let (code, result) = examine(library, &folder.join("examples").join(name).join("exam.yaml"), None);
        assert_eq!(not_passed(&result, kind, plugin), Vec::<String>::new());
        assert_eq!(code, 0);
    }
    survive_kills(&libraries, &["Lines"], 20);
}

/// The source of a plugin compiles with each later version.
#[test]
fn source_of_2_0_compiles_with_this_version() {
    let folder = EXTRACTED.join("examples");
    let crates = repository_target().join("abi-2.0/sources");
    fs::create_dir_all(crates.join("src")).unwrap();
    let api = repository().join("plugin-api").display().to_string();
    let mut manifest = format!(
        "[package]\nname = \"sources\"\nedition = \"2024\"\n[dependencies]\nscanbridge-plugin-api = {{ path = '{api}' }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n[workspace]\n"
    );
    for name in ["lines_output", "rows_input"] {
        let source = folder.join(name).join(format!("{name}.rs")).display().to_string();
        manifest +=
            &format!("[[example]]\nname = \"{name}\"\npath = '{source}'\ncrate-type = [\"cdylib\"]\n");
    }
    fs::write(crates.join("Cargo.toml"), manifest).unwrap();
    fs::write(crates.join("src/lib.rs"), "").unwrap();
    // The versions of this workspace: the registry is not asked.
    fs::copy(repository().join("Cargo.lock"), crates.join("Cargo.lock")).unwrap();
    for name in ["lines_output", "rows_input"] {
        let manifest = crates.join("Cargo.toml").display().to_string();
        built(&["--manifest-path", &manifest, "--example", name], name);
    }
}

#[test]
fn lines_of_the_golden_files_of_2_0_are_unchanged() {
    let then = EXTRACTED.join("src/abi/golden");
    let now = repository().join("plugin-api/src/abi/golden");
    let mut compared = 0;
    for entry in fs::read_dir(then).unwrap() {
        let file = entry.unwrap().path();
        let lines = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let before = lines(fs::read_to_string(&file).unwrap());
        let after = lines(fs::read_to_string(now.join(file.file_name().unwrap())).unwrap());
        let changed: Vec<_> =
            before.difference(&after).filter(|line| !has_only_grown(line, &after)).collect();
        assert!(changed.is_empty(), "{}: changed or removed since 2.0.0: {changed:#?}", file.display());
        compared += before.len();
    }
    assert!(compared > 1000, "{compared} lines were compared");
}

/// Whether a line of a list of words, or a JSON form, was continued: words and keys may be added.
fn has_only_grown(line: &str, after: &BTreeSet<String>) -> bool {
    if let Some((name, json)) = line.split_once(": {") {
        let parse = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
        let before = parse(&format!("{{{json}"));
        let now = after.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")).and_then(parse));
        return matches!((before, now), (Some(before), Some(now)) if contains(&now, &before));
    }
    after.iter().any(|now| now.strip_prefix(line).is_some_and(|more| more.starts_with(' ')))
}

/// Whether a value has everything that another one has.
fn contains(value: &serde_json::Value, part: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (value, part) {
        (Object(value), Object(part)) => {
            part.iter().all(|(key, part)| value.get(key).is_some_and(|value| contains(value, part)))
        }
        (Array(value), Array(part)) => {
            part.iter().all(|part| value.iter().any(|value| contains(value, part)))
        }
        (value, part) => value == part,
    }
}

#[test]
fn only_growth_is_accepted() {
    let now =
        ["purpose run check list", r#"open: {"a":1,"b":{"c":2,"d":3},"e":[1,2]}"#, "error 1 Config flags 2"];
    let now: BTreeSet<String> = now.map(str::to_owned).into();
    for good in ["purpose run check", r#"open: {"b":{"c":2},"e":[2]}"#] {
        assert!(has_only_grown(good, &now), "{good}");
    }
    for bad in
        ["purpose check", "purpose ru", r#"open: {"a":2}"#, r#"open: {"f":1}"#, "error 1 Config flags 1"]
    {
        assert!(!has_only_grown(bad, &now), "{bad}");
    }
}
