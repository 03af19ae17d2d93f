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
