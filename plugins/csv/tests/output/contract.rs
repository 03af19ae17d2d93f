//! The contract tests that apply to every plugin.

use std::fs;
use std::path::Path;

use scanbridge_csv::CsvOutput;
use serde_json::{Value, json};

/// Each instance has its own directory. The delivered data is the content of all files in it, in sequence.
fn check_contract(more: Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut instances = 0;
    let fresh = || {
        instances += 1;
        let own = folder.path().join(instances.to_string());
        fs::create_dir(&own).unwrap();
        let mut options = json!({ "path": own.join("out.csv") });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    let result = |options: &Value| {
        let folder = Path::new(options["path"].as_str().unwrap()).parent().unwrap();
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().flat_map(|file| fs::read(file).unwrap()).collect()
    };
    scanbridge_plugin_contract::output::<CsvOutput>(fresh, result);
}

#[test]
fn the_table_passes() {
    check_contract(json!({ "format": "table" }));
}

#[test]
fn the_table_in_pieces_passes() {
    check_contract(json!({ "format": "table", "bom": true, "rotate_bytes": 1 << 20, "if_exists": "append" }));
}

#[test]
fn the_commands_pass() {
    check_contract(json!({ "format": "host-input" }));
}

#[test]
fn the_commands_in_pieces_pass() {
    check_contract(json!({ "format": "host-input", "rotate_bytes": 2048, "if_exists": "fail" }));
}
