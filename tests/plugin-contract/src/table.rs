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

/// Checks that the option table of a plugin's README has one row per option, with the default and each sentence of the help, and
/// no other rows. A row may say more.
///
/// # Panics
/// If a row is missing, has another default or lacks a sentence; the message names the option.
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
        let text = without_links(row).replace("\\|", "|");
        for sentence in sentences(option.help) {
            assert!(
                text.contains(&sentence.replace('[', "")),
                "the README must say of option `{}`: {sentence}",
                option.name
            );
        }
    }
    assert_eq!(rows.len(), table.len(), "the README has rows for unknown options: {rows:#?}");
}

/// The sentences of a help text, without those about the default, which has a column of its own. The last one has no full stop.
fn sentences(help: &str) -> impl Iterator<Item = &str> {
    let help = help.trim_end_matches('.');
    let starts = help.match_indices(". ").map(|(at, gap)| at + gap.len());
    let starts = starts.filter(|at| help[*at..].starts_with(|c: char| c.is_uppercase() || c == '`'));
    let mut bounds: Vec<usize> = std::iter::once(0).chain(starts).collect();
    bounds.push(help.len());
    let parts: Vec<&str> =
        bounds.windows(2).map(|pair| help[pair[0]..pair[1]].trim_end_matches([' ', '.'])).collect();
    parts.into_iter().filter(|part| !part.starts_with("Default: "))
}

/// A row of a table with the texts of its links only.
fn without_links(row: &str) -> String {
    let mut text = String::new();
    let mut rest = row;
    while let Some((before, after)) = rest.split_once("](") {
        text += before;
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    (text + rest).replace('[', "")
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
