//! The exam that every plugin takes.

use std::fs;

use scanbridge_csv::CsvOutput;
use serde_json::{Value, json};

fn exam(format: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut instances = 0;
    let fresh = || {
        instances += 1;
        json!({ "path": folder.path().join(format!("{instances}.csv")), "format": format })
    };
    let result = |options: &Value| fs::read(options["path"].as_str().unwrap()).unwrap();
    scanbridge_plugin_contract::output::<CsvOutput>(fresh, result);
}

#[test]
fn the_table_passes() {
    exam("table");
}

#[test]
fn the_commands_pass() {
    exam("host-input");
}
