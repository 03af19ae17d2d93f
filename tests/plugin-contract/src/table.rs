//! What holds for every option table.

use std::collections::BTreeSet;

use scanbridge_plugin_api::{ErrorKind, OptionSpec, Options};

/// Checks a plugin's name, summary and option table.
pub(crate) fn examine(name: &str, summary: &str, table: &[OptionSpec]) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(
        !name.is_empty() && name.chars().all(plain),
        "the name `{name}` holds more than letters, digits, - and _"
    );
    assert!(!summary.is_empty() && !summary.contains('\n'), "the summary of `{name}` is not one line");
    let mut names = BTreeSet::new();
    for option in table {
        for spelling in option.deprecated_names.iter().chain([&option.name]) {
            assert!(names.insert(*spelling), "`{name}` has two options `{spelling}`");
        }
        assert!(!option.help.is_empty(), "option `{}` of `{name}` has no help", option.name);
        assert!(
            !(option.required && option.default_value().is_some()),
            "option `{}` of `{name}` is required and has a default",
            option.name
        );
    }
    defaults_are_taken(name, table);
    let unknown = br#"{"there_is_no_such_option": 1}"#;
    let refused = Options::read(table, unknown).err().map(|error| error.kind);
    assert_eq!(refused, Some(ErrorKind::Config), "`{name}` takes an unknown option");
}

/// Checks that a plugin's README has a row for each option, with its default, and no other.
///
/// # Panics
/// With the option whose row is missing or tells another default.
pub fn readme(table: &[OptionSpec], readme: &str) {
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for option in table {
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
    assert_eq!(rows.len(), table.len());
}

/// Every documented default is one that the table itself would take.
fn defaults_are_taken(name: &str, table: &[OptionSpec]) {
    for option in table.iter().filter(|option| option.default_value().is_some()) {
        let only = std::slice::from_ref(option);
        assert!(
            Options::read(only, b"{}").is_ok(),
            "the default of option `{}` of `{name}` is not taken",
            option.name
        );
    }
}
