//! Columns that an input adds to the model: they reach the outputs under their names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanbridge::config::{self, Pipeline};
use scanbridge::pipeline::{Stop, Summary, log_only};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge::replay;
use scanbridge::state::{LetterFilter, StateFolder};
use serde_json::{Value, json};

/// The directory of the libraries that Cargo has built next to this test.
fn libraries() -> Folder {
    let name =
        format!("{}scanbridge_rogue_plugins{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let test = std::env::current_exe().expect("the test has a path");
    let found = test.ancestors().skip(1).find(|folder| folder.join(&name).is_file());
    Folder { path: found.expect("the library was built").to_owned(), named: false }
}

/// A pipeline whose input has this act, and its registry.
fn pipeline(act: &str, outputs: &str) -> (Pipeline, Registry) {
    let text = format!(
        "version: 1\nname: own\ninputs:\n  - {{ id: in, plugin: Rogue, with: {{ act: {act} }} }}\noutputs:\n{outputs}"
    );
    let registry = Registry::discover(&[libraries()], FilePermissionCheck::OwnerOnly);
    let document = config::read_text(&PathBuf::from("own.yaml"), &text).expect("the pipeline is YAML");
    let pipeline = config::check(&document, &registry).unwrap_or_else(|problems| panic!("{problems}"));
    (pipeline, registry)
}

fn run_to(folder: &Path, act: &str, outputs: &str) -> Summary {
    let (pipeline, registry) = pipeline(act, outputs);
    engine_tests::run(&pipeline, &registry, &folder.join("state"))
}

/// Runs the input with this act to a CSV file and a JSON file.
fn run(folder: &Path, act: &str) -> Summary {
    let outputs = format!(
        "  - id: sheet
    plugin: CSV
    with:
      path: {csv}
      line_ending: lf
      columns: [asset.address, \"asset.acme:owner\", \"definition.acme:fixes\", \"finding.acme:epss\"]
{json}",
        csv = folder.join("out.csv").display(),
        json = json_output(folder),
    );
    run_to(folder, act, &outputs)
}

fn json_output(folder: &Path) -> String {
    format!("  - {{ id: lines, plugin: JSON, with: {{ path: {} }} }}\n", folder.join("out.json").display())
}

/// The lines of the JSON file.
fn json_lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("out.json")).expect("the JSON file exists");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn own_columns_of_an_input_are_written_by_csv_and_json() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let summary = run(folder.path(), "own-columns");
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let csv = fs::read_to_string(folder.path().join("out.csv")).expect("the CSV file exists");
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[0], "asset.address,asset.acme:owner,definition.acme:fixes,finding.acme:epss");
    assert_eq!(rows[1], "192.0.2.2,team 1,patch 1; patch 2,0.97");
    assert_eq!(rows[2], "192.0.2.3,team 1,patch 1; patch 2,");
    let lines = json_lines(folder.path());
    assert_eq!(lines.len(), 9);
    assert_eq!(lines[0]["finding"]["acme:epss"], json!(0.97));
    assert_eq!(lines[0]["definition"]["acme:fixes"], json!(["patch 1", "patch 2"]));
    assert_eq!(lines[0]["asset"]["acme:owner"], json!("team 1"));
    assert_eq!(lines[1]["finding"].get("acme:epss"), None, "an odd cell is left out");
}

#[test]
fn odd_cell_of_an_own_column_is_counted_under_its_name() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let summary = run(folder.path(), "own-columns");
    let odd_cells = serde_json::to_value(&summary.inputs[0].odd_cells).expect("counts are JSON");
    assert_eq!(odd_cells, json!({ "acme:epss": 1 }));
}

#[test]
fn own_column_that_a_report_does_not_have_is_empty() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let summary = run(folder.path(), "behave");
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let csv = fs::read_to_string(folder.path().join("out.csv")).expect("the CSV file exists");
    assert_eq!(csv.lines().nth(1), Some("192.0.2.2,,,"));
}

#[test]
fn replayed_dead_letters_have_their_own_columns() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let rejecting = "  - { id: lines, plugin: Rogue, with: { act: reject-all } }\n";
    let summary = run_to(folder.path(), "own-columns", rejecting);
    assert_eq!(summary.outputs[0].rejected, 9, "{summary:?}");
    let (pipeline, registry) = pipeline("own-columns", &json_output(folder.path()));
    let name = pipeline.name.clone();
    let state = StateFolder::of(&folder.path().join("state"), &name);
    let replayed = replay::replay(
        pipeline,
        &registry,
        (&name, state),
        None,
        &LetterFilter::default(),
        &Arc::new(Stop::default()),
        &log_only(),
    )
    .unwrap_or_else(|failures| panic!("{failures:?}"));
    assert_eq!(replayed.expect("there are dead letters").outputs[0].records, 9);
    let lines = json_lines(folder.path());
    assert_eq!(lines.len(), 9);
    assert_eq!(lines[0]["finding"]["acme:epss"], json!(0.97));
    assert_eq!(lines[0]["definition"]["acme:fixes"], json!(["patch 1", "patch 2"]));
    assert_eq!(lines[0]["asset"]["acme:owner"], json!("team 1"));
}
