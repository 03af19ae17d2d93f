//! The columns of a batch.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::cell::ColumnType;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Column {
    /// The name: that of a field of the model, or `word:name` for a column of the input's own, for example `acme:epss`.
    pub name: String,
    /// The form of its cells.
    #[serde(rename = "type", default)]
    pub column_type: ColumnType,
    /// A short description for people; empty for a field of the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

impl Column {
    /// A column with this name and form of cells. `title` is a short description, or empty.
    pub fn new(name: impl Into<String>, column_type: ColumnType, title: impl Into<String>) -> Self {
        Self { name: name.into(), column_type, title: title.into() }
    }

    /// Whether an input has added the column: its name has a colon.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.name.contains(':')
    }
}

/// The columns of the three tables, in column order.
///
/// An input that has more to say than the model has fields for adds columns of its own to the default:
///
/// ```
/// use scanbridge_plugin_api::batch::{BatchBuilder, ColumnType, FindingRow, Schema};
/// use scanbridge_plugin_api::model::FindingField;
///
/// let mut schema = Schema::default();
/// let epss = schema.add_column::<FindingField>("acme:epss", ColumnType::Decimal, "EPSS score")?;
///
/// let mut row = FindingRow::default();
/// row.set_own(epss, "0.97");
/// # Ok::<(), scanbridge_plugin_api::PluginError>(())
/// ```
///
/// The input returns the schema from `open` ([`Opened::with_schema`](crate::Opened::with_schema)). It applies to all
/// reports of the instance: the host puts it into each [`ReportStart`](crate::model::ReportStart).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Schema {
    /// The columns of the table of assets.
    pub assets: Vec<Column>,
    /// The columns of the table of definitions.
    pub definitions: Vec<Column>,
    /// The columns of the table of findings.
    pub findings: Vec<Column>,
}

impl Schema {
    /// The maximum number of own columns of a table.
    pub const MAX_OWN_COLUMNS: usize = 64;

    /// A schema without columns, where the columns are not known yet.
    pub(crate) fn empty() -> Self {
        Self { assets: Vec::new(), definitions: Vec::new(), findings: Vec::new() }
    }

    /// What is wrong with the columns, as a sentence; `None` for a valid schema. Names without a colon that this version
    /// does not know are valid: they can be fields of a later model.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let mut own: Vec<&str> = Vec::new();
        for columns in [&self.assets, &self.definitions, &self.findings] {
            let names = || columns.iter().map(|column| column.name.as_str());
            let mut known = HashSet::with_capacity(columns.len());
            if let Some(name) = names().find(|name| !known.insert(*name)) {
                return Some(format!("the schema contains the column `{name}` twice in a table"));
            }
            let own_before = own.len();
            for name in names().filter(|name| name.contains(':')) {
                if !is_own_name(name) {
                    return Some(bad_name(name));
                }
                if own.contains(&name) {
                    return Some(format!("the schema contains the column `{name}` in two tables"));
                }
                own.push(name);
            }
            if own.len() - own_before > Self::MAX_OWN_COLUMNS {
                return Some(format!("a table has more than {} own columns", Self::MAX_OWN_COLUMNS));
            }
        }
        None
    }
}

/// The name of an own column: `word:name`.
pub(super) fn is_own_name(name: &str) -> bool {
    let is_word = |text: &str| {
        let is_valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        !text.is_empty() && text.bytes().all(is_valid)
    };
    name.split_once(':').is_some_and(|(word, name)| is_word(word) && is_word(name))
}

pub(super) fn bad_name(name: &str) -> String {
    format!("invalid column name `{name}`: must be `word:name` of lower case letters, digits, `-` and `_`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_of_a_later_model_is_valid_and_unknown_type_is_text() {
        let json = r#"{"findings": [{"name": "later"}, {"name": "acme:a", "type": "interval"}]}"#;
        let schema: Schema = serde_json::from_str(json).unwrap();
        assert_eq!(schema.fault(), None);
        assert!(schema.findings.iter().all(|column| column.column_type == ColumnType::Text));
    }
}
