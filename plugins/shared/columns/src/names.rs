//! The names of all columns, as constants, so that option tables can list them.

use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};

use crate::connector::CONNECTOR_COLUMNS;
use crate::report::REPORT_NAMES;

/// Values of a finding that are codes and not columns of its table.
const FINDING_CODES: &[&str] = &["kind", "severity", "port", "ssl", "status"];

/// The names of all columns of this version with their tables: `asset.id` …
pub const ALL_NAMES: &[&str] = &{
    let mut names = [""; ASSET.len() + DEFINITION.len() + FINDING.len() + REPORT.len() + CONNECTOR.len() + 1];
    let mut count = 0;
    let groups = [ASSET, &["definition.qid"], DEFINITION, FINDING, REPORT, CONNECTOR];
    let mut group = 0;
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            names[count] = groups[group][index];
            count += 1;
            index += 1;
        }
        group += 1;
    }
    names
};

/// The names of a table with this prefix.
macro_rules! with_prefix {
    ($prefix:literal, $names:expr) => {{
        const NAMES: &[&str] = $names;
        const TEXT: [u8; length($prefix, NAMES)] = joined($prefix, NAMES);
        const WITH_PREFIX: [&str; NAMES.len()] = split(&TEXT, $prefix, NAMES);
        &WITH_PREFIX
    }};
}

const ASSET: &[&str] = with_prefix!("asset.", AssetField::NAMES);
const DEFINITION: &[&str] = with_prefix!("definition.", DefinitionField::NAMES);
const FINDING: &[&str] = {
    const CODES: &[&str] = with_prefix!("finding.", FINDING_CODES);
    const CELLS: &[&str] = with_prefix!("finding.", FindingField::NAMES);
    const NAMES: [&str; CODES.len() + CELLS.len()] = {
        let mut names = [""; CODES.len() + CELLS.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = if index < CODES.len() { CODES[index] } else { CELLS[index - CODES.len()] };
            index += 1;
        }
        names
    };
    &NAMES
};
const REPORT: &[&str] = with_prefix!("report.", &REPORT_NAMES);
const CONNECTOR: &[&str] = with_prefix!("connector.", &CONNECTOR_COLUMNS);

const fn length(prefix: &str, names: &[&str]) -> usize {
    let (mut length, mut index) = (0, 0);
    while index < names.len() {
        length += prefix.len() + names[index].len();
        index += 1;
    }
    length
}

const fn joined<const LENGTH: usize>(prefix: &str, names: &[&str]) -> [u8; LENGTH] {
    let (mut text, mut end, mut index) = ([0; LENGTH], 0, 0);
    while index < names.len() {
        let parts = [prefix, names[index]];
        let mut part = 0;
        while part < parts.len() {
            let mut byte = 0;
            while byte < parts[part].len() {
                text[end] = parts[part].as_bytes()[byte];
                end += 1;
                byte += 1;
            }
            part += 1;
        }
        index += 1;
    }
    text
}

const fn split<const COUNT: usize>(
    text: &'static [u8],
    prefix: &str,
    names: &[&str],
) -> [&'static str; COUNT] {
    let (mut found, mut rest, mut index) = ([""; COUNT], text, 0);
    while index < COUNT {
        let (name, after) = rest.split_at(prefix.len() + names[index].len());
        found[index] = match std::str::from_utf8(name) {
            Ok(name) => name,
            Err(_) => panic!("names are joined whole"),
        };
        rest = after;
        index += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use scanbridge_plugin_api::batch::{Columns, Schema};

    use super::*;
    use crate::table::Table;

    #[test]
    fn all_columns_of_the_model_have_a_name() {
        let columns = Columns::of(Schema::default());
        let of = |table: Table, names: Vec<&str>| {
            names.iter().map(|name| format!("{}.{name}", table.word())).collect::<Vec<_>>()
        };
        let expected: BTreeSet<String> = [
            of(Table::Asset, AssetField::NAMES.to_vec()),
            of(Table::Definition, [&["qid"], DefinitionField::NAMES].concat()),
            of(Table::Finding, columns.finding_columns().into_iter().map(|(name, _)| name).collect()),
            of(Table::Report, REPORT_NAMES.to_vec()),
            of(Table::Connector, CONNECTOR_COLUMNS.to_vec()),
        ]
        .concat()
        .into_iter()
        .collect();
        let names: BTreeSet<String> = ALL_NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names, expected);
        assert_eq!(names.len(), ALL_NAMES.len(), "no name is in the list twice");
        assert!(ALL_NAMES.iter().all(|name| Table::split(name).is_some()));
    }
}
