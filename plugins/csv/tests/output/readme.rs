//! The README lists exactly the columns of the plugin.

use scanbridge_columns::REPORT_COLUMNS;
use scanbridge_csv::CsvOutput;
use scanbridge_plugin_api::Output;
use scanbridge_plugin_api::batch::{Columns, Schema};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field};

const README: &str = include_str!("../../README.md");

#[test]
fn every_column_is_listed() {
    let columns = Columns::of(Schema::default());
    let finding: Vec<&str> = columns.finding_columns().into_iter().map(|(name, _)| name).collect();
    // The ID of a definition, if it is a QID, and the columns of the model.
    let definition = [&["qid"], DefinitionField::NAMES].concat();
    let report: Vec<&str> = REPORT_COLUMNS.iter().map(|column| column.name).collect();
    for (table, names) in [
        ("asset", AssetField::NAMES),
        ("definition", &definition),
        ("finding", &finding),
        ("report", &report),
    ] {
        let line = README.lines().find(|line| line.starts_with(&format!("- **{table}**"))).unwrap();
        let listed: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, names);
    }
    let options = CsvOutput::OPTIONS.iter().find(|option| option.name == "columns").unwrap();
    for name in options.default_value().unwrap().as_array().unwrap() {
        let default = README.lines().find(|line| line.starts_with("By default:")).unwrap();
        assert!(default.contains(&format!("`{}`", name.as_str().unwrap())), "{name}");
    }
}

#[test]
fn wrong_values_are_found_without_opening_the_plugin() {
    scanbridge_plugin_contract::wrong_option_values_of_output::<CsvOutput>(
        &[
            serde_json::json!({ "path": "/nonexistent/a.csv" }),
            serde_json::json!({ "path": "/nonexistent/a.csv", "format": "host-input" }),
        ],
        &[
            ("path", "placeholders in a file name"),
            ("mode", "octal numbers are not an option kind"),
            ("columns", "scanners have columns of their own"),
            ("delimiter", "one character that is not common in cells"),
            ("source", "characters that a command may contain"),
            ("scanner", "characters that a command may contain"),
            ("domain", "UUIDs and names"),
            ("kinds", "at least one value, and only with one format"),
        ],
    );
}
