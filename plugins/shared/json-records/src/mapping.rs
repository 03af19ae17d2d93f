//! Mappings: the tables from which the lines of each format are made.

use scanbridge_columns::Table;

use crate::form::Form;
use crate::source::{CVE, When};

/// Where a column goes: one row of a mapping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The column (`finding.port`), or a name that [`Names::source`](crate::source::Names::source) knows.
    pub(crate) column: &'static str,
    /// The keys from the root to the value, separated by dots. `key[]` is a list of values, `key[0]` a list of one object,
    /// `key[cve]` a list with an object for each CVE ID of the finding, or one object if it has none. Of several rows for
    /// one value the first one that has it is written, of rows for one list all.
    pub(crate) path: &'static str,
    pub(crate) form: Form,
    pub(crate) when: When,
    /// Whether the schema requires the value, so that the option `leave_out` does not apply.
    pub(crate) is_required: bool,
}

/// The columns of which the CVE IDs are made.
const CVES: [&str; 2] = ["definition.cves", "finding.cves"];

pub(crate) const fn row(column: &'static str, path: &'static str, form: Form) -> Row {
    Row { column, path, form, when: When::Always, is_required: false }
}

impl Row {
    pub(crate) const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

/// A schema of other tools, and how our columns become its values.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) rows: &'static [Row],
    /// The key of the object for all columns that are not in `rows`: they keep their names and native forms.
    pub(crate) rest: &'static str,
    /// Columns that are in `rows` and also in the rest, because their value in the schema is not all of it, or is written
    /// under a condition only.
    pub(crate) also_in_rest: &'static [&'static str],
    /// Objects that are written only with one of these values.
    pub(crate) needs: &'static [(&'static str, &'static [&'static str])],
    /// Whether only vulnerabilities, confirmed or potential, can be written.
    pub(crate) only_vulnerabilities: bool,
}

impl Mapping {
    /// Whether this column goes to the rest.
    pub(crate) fn has_rest(&self, table: Table, name: &str) -> bool {
        // The details of a report can be long, and the other one is an older name.
        if table == Table::Report && ["details", "product_version"].contains(&name) {
            return false;
        }
        let name = format!("{}.{name}", table.word());
        let uses = |row: &Row| {
            row.column == name
                || row.form.more_columns().contains(&name.as_str())
                || (row.column == CVE && CVES.contains(&name.as_str()))
        };
        self.also_in_rest.contains(&name.as_str()) || !self.rows.iter().any(uses)
    }
}
