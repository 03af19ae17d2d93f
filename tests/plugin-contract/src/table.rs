//! The contract tests of option tables.

use std::collections::BTreeSet;

use scanbridge_plugin_api::{ErrorKind, OptionSpec, Options};

/// Checks a plugin's name, summary and option table.
pub(crate) fn check(name: &str, summary: &str, table: &'static [OptionSpec]) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(
        !name.is_empty() && name.chars().all(plain),
        "the name `{name}` may contain only letters, digits, - and _"
    );
    assert!(!summary.is_empty() && !summary.contains('\n'), "the summary of `{name}` must be one line");
    let mut names = BTreeSet::new();
    for option in table {
        for spelling in option.deprecated_names.iter().chain([&option.name]) {
            assert!(names.insert(*spelling), "`{name}` has a duplicate option `{spelling}`");
        }
        assert!(!option.help.is_empty(), "option `{}` of `{name}` has no help", option.name);
        assert!(
            !(option.required && option.default_value().is_some()),
            "option `{}` of `{name}` is required, so it must not have a default",
            option.name
        );
    }
    defaults_are_valid(name, table);
    let unknown = br#"{"there_is_no_such_option": 1}"#;
    let refused = Options::read(table, unknown).err().map(|error| error.kind);
    assert_eq!(refused, Some(ErrorKind::Config), "`{name}` must reject an unknown option");
}

/// Checks that the option table of a plugin's README has one row per option, with the default, and no other rows.
///
/// # Panics
/// If a row is missing or has another default; the message names the option.
pub fn readme(table: &'static [OptionSpec], readme: &str) {
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for option in table {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", option.name)));
        let row = row.unwrap_or_else(|| panic!("the README has no row for option `{}`", option.name));
        let scalar = option.default_value().filter(|value| value.is_string() || value.is_number());
        if let Some(value) = scalar {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(
                row.contains(&format!("| `{text}` |")),
                "the README must show the default {text} of option `{}`: {row}",
                option.name
            );
        }
    }
    assert_eq!(rows.len(), table.len(), "the README has rows for unknown options: {rows:#?}");
}

/// Every default must be a valid value of its option.
fn defaults_are_valid(name: &str, table: &'static [OptionSpec]) {
    for option in table.iter().filter(|option| option.default_value().is_some()) {
        let only = std::slice::from_ref(option);
        assert!(
            Options::read(only, b"{}").is_ok(),
            "the default of option `{}` of `{name}` is invalid",
            option.name
        );
    }
}
