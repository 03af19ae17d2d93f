//! The README lists what the plugin has, no more and no less.

use scanbridge_csv::CsvOutput;
use scanbridge_plugin_api::Output;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};

const README: &str = include_str!("../../README.md");

#[test]
fn every_option_has_its_row_with_its_default() {
    let rows: Vec<&str> = README.lines().filter(|line| line.starts_with("| `")).collect();
    for option in CsvOutput::OPTIONS {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", option.name)));
        let row = row.unwrap_or_else(|| panic!("no row for `{}`", option.name));
        let scalar = option.default_value().filter(|value| value.is_string() || value.is_number());
        if let Some(value) = scalar {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(
                row.contains(&format!("| `{text}` |")),
                "`{}` has the default {text}: {row}",
                option.name
            );
        }
    }
    assert_eq!(rows.len(), CsvOutput::OPTIONS.len());
}

#[test]
fn every_column_is_listed() {
    for (table, names) in [
        ("asset", AssetField::NAMES),
        ("definition", DefinitionField::NAMES),
        ("finding", FindingField::NAMES),
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
