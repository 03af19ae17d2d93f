//! The keys of the host in words, for the manual page of pipeline files.

use super::option_words::value_in_words;
use crate::config::{Scope, host_options};

/// A key of a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedKey {
    /// Its name; one in a section is dotted.
    pub name: &'static str,
    /// Type and default.
    pub facts: String,
    /// What it does.
    pub help: &'static str,
}

/// The keys of the host by the mapping in which they are written: its name, an introduction, and its keys.
#[must_use]
pub fn host_keys() -> Vec<(&'static str, &'static str, Vec<DescribedKey>)> {
    let scopes = [
        (Scope::Run, "Keys at the top", "Written at the top of the file."),
        (Scope::Input, "Keys of an input", "Written in an entry of `inputs`."),
        (Scope::Output, "Keys of an output", "Written in an entry of `outputs`."),
        (Scope::Filter, "Keys of a filter", "Written in `filter`, at the top or in an output."),
    ];
    scopes.map(|(scope, name, introduction)| (name, introduction, keys(scope))).into()
}

fn keys(scope: Scope) -> Vec<DescribedKey> {
    let keys = host_options(scope).map(|option| {
        let default = option.default.as_ref().map(|default| value_in_words(&option.kind, default));
        let default = default.map(|default| format!("; default: {default}")).unwrap_or_default();
        let facts = format!("{}{default}", option.kind.describe());
        DescribedKey { name: &option.name, facts, help: &option.help }
    });
    keys.collect()
}
