//! The columns of a batch, and the positions of those that a reader knows.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::cell::ColumnType;
use crate::error::{PluginError, Result};
use crate::model::{AssetField, DefinitionField, Field, FindingField, ReportStart};

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
/// reports of the instance: the host puts it into each [`ReportStart`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Schema {
    /// The columns of the table of assets.
    pub assets: Vec<Column>,
    /// The columns of the table of definitions.
    pub definitions: Vec<Column>,
    /// The columns of the table of findings.
    pub findings: Vec<Column>,
}

impl Default for Schema {
    /// The fields of this version's model, in the model's order.
    fn default() -> Self {
        Self {
            assets: model_columns::<AssetField>(),
            definitions: model_columns::<DefinitionField>(),
            findings: model_columns::<FindingField>(),
        }
    }
}

/// A column that an input has added to a table, for [`Row::set_own`](super::Row::set_own).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnColumn<F> {
    /// Its position among the columns of the table that are not fields of the model.
    index: usize,
    table: PhantomData<F>,
}

impl<F> OwnColumn<F> {
    pub(super) fn index(self) -> usize {
        self.index
    }
}

impl Schema {
    /// The maximum number of own columns of a table.
    pub const MAX_OWN_COLUMNS: usize = 64;

    /// Adds a column to the table of these fields. The name is `word:name`, both of lower case letters, digits, `-` and
    /// `_`, for example `acme:epss`; the word names the vendor or the plugin.
    ///
    /// # Errors
    /// When the name has another form or is already used in one of the tables, or the table has
    /// [`Schema::MAX_OWN_COLUMNS`].
    pub fn add_column<F: Field>(
        &mut self,
        name: &str,
        column_type: ColumnType,
        title: &str,
    ) -> Result<OwnColumn<F>> {
        if !is_own_name(name) {
            return Err(PluginError::bug(bad_name(name)));
        }
        let columns = F::columns_mut(self);
        let index = columns.iter().filter(|column| !is_of_model::<F>(&column.name)).count();
        columns.push(Column::new(name, column_type, title));
        match self.fault() {
            None => Ok(OwnColumn { index, table: PhantomData }),
            Some(fault) => {
                F::columns_mut(self).pop();
                Err(PluginError::bug(fault))
            }
        }
    }

    /// The own column with this name in the table of these fields.
    #[must_use]
    pub fn own_column<F: Field>(&self, name: &str) -> Option<OwnColumn<F>> {
        let mut own = F::columns(self).iter().filter(|column| !is_of_model::<F>(&column.name));
        let index = own.position(|column| column.name == name)?;
        Some(OwnColumn { index, table: PhantomData })
    }

    /// What is wrong with the columns, as a sentence; `None` for a valid schema. Names without a colon that this version
    /// does not know are valid: they can be fields of a later model.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let mut own: Vec<&str> = Vec::new();
        for columns in [&self.assets, &self.definitions, &self.findings] {
            let names = || columns.iter().map(|column| column.name.as_str());
            if let Some(name) = names().enumerate().find(|(i, name)| names().take(*i).any(|n| n == *name)) {
                return Some(format!("the schema contains the column `{}` twice in a table", name.1));
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
fn is_own_name(name: &str) -> bool {
    let is_word = |text: &str| {
        let is_valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        !text.is_empty() && text.bytes().all(is_valid)
    };
    name.split_once(':').is_some_and(|(word, name)| is_word(word) && is_word(name))
}

fn bad_name(name: &str) -> String {
    format!("invalid column name `{name}`: must be `word:name` of lower case letters, digits, `-` and `_`")
}

fn is_of_model<F: Field>(name: &str) -> bool {
    F::NAMES.contains(&name)
}

fn model_columns<F: Field>() -> Vec<Column> {
    let column = |field: &F| Column {
        name: F::NAMES[field.index()].to_owned(),
        column_type: field.column_type(),
        title: String::new(),
    };
    F::ALL.iter().map(column).collect()
}

/// A column of one of the tables, by its position in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableColumn {
    /// A column of the table of assets.
    Asset(usize),
    /// A column of the table of definitions.
    Definition(usize),
    /// A column of the table of findings.
    Finding(usize),
}

/// The positions of the columns that this version knows, in the batches of a sender with another [`Schema`].
#[derive(Debug, Clone)]
pub struct Columns {
    schema: Schema,
    /// The scheme of the IDs of definitions without a scheme of their own.
    scheme: String,
    assets: Vec<Option<usize>>,
    definitions: Vec<Option<usize>>,
    findings: Vec<Option<usize>>,
}

impl Columns {
    /// The columns of a report, whose definitions are of its scheme unless they name another one.
    #[must_use]
    pub fn of_report(report: &ReportStart) -> Self {
        Self { scheme: report.source.scheme.clone(), ..Self::of(report.schema.clone()) }
    }

    /// Finds every field of the model by name.
    #[must_use]
    pub fn of(schema: Schema) -> Self {
        Self {
            scheme: String::new(),
            assets: positions::<AssetField>(&schema.assets),
            definitions: positions::<DefinitionField>(&schema.definitions),
            findings: positions::<FindingField>(&schema.findings),
            schema,
        }
    }

    /// The schema itself, for readers of fields that are not in the model.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The own column with this name (`acme:epss`), in whichever table it is; `None` if the report does not have it.
    #[must_use]
    pub fn own_column(&self, name: &str) -> Option<TableColumn> {
        if !name.contains(':') {
            return None;
        }
        let position = |columns: &[Column]| columns.iter().position(|column| column.name == name);
        let Schema { assets, definitions, findings } = &self.schema;
        position(findings)
            .map(TableColumn::Finding)
            .or_else(|| position(definitions).map(TableColumn::Definition))
            .or_else(|| position(assets).map(TableColumn::Asset))
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(super) fn asset(&self, field: AssetField) -> Option<usize> {
        self.assets[field.index()]
    }

    pub(super) fn definition(&self, field: DefinitionField) -> Option<usize> {
        self.definitions[field.index()]
    }

    pub(super) fn finding(&self, field: FindingField) -> Option<usize> {
        self.findings[field.index()]
    }
}

fn positions<F: Field>(columns: &[Column]) -> Vec<Option<usize>> {
    F::NAMES.iter().map(|name| columns.iter().position(|column| column.name == *name)).collect()
}

/// How the cells of a row become the columns of a schema.
#[derive(Debug, Clone)]
pub(super) struct RowLayout {
    /// The number of columns.
    pub(super) columns: usize,
    /// The maximum number of cells of a row: the fields of the model and the own columns.
    pub(super) cells: usize,
    /// For each column its cell in the row, unless the columns are the fields of the model and then the own columns.
    pub(super) order: Option<Box<[usize]>>,
}

impl RowLayout {
    pub(super) fn of<F: Field>(schema: &Schema) -> Self {
        let columns = F::columns(schema);
        let mut own = F::NAMES.len()..;
        let cell = |column: &Column| {
            let field = F::NAMES.iter().position(|name| *name == column.name);
            field.or_else(|| own.next()).unwrap_or_default()
        };
        let order: Box<[usize]> = columns.iter().map(cell).collect();
        let is_model_first = order.len() >= F::NAMES.len() && order.iter().copied().eq(0..order.len());
        Self { columns: columns.len(), cells: own.start, order: (!is_model_first).then_some(order) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_columns_have_a_word_and_a_name_and_are_unique() {
        let mut schema = Schema::default();
        let mut add = |name: &str| schema.add_column::<FindingField>(name, ColumnType::Text, "").err();
        assert_eq!(add("acme:epss"), None);
        for name in ["epss", "acme:", ":epss", "Acme:epss", "acme:e pss", "acme:a:b", "acme:epss", "result"] {
            assert!(add(name).is_some(), "{name}");
        }
        assert!(schema.add_column::<AssetField>("acme:epss", ColumnType::Text, "").is_err());
        assert_eq!(schema.findings.len(), FindingField::NAMES.len() + 1, "refused columns are not added");
        for number in 0..Schema::MAX_OWN_COLUMNS {
            schema.add_column::<AssetField>(&format!("acme:{number}"), ColumnType::Text, "").unwrap();
        }
        assert!(schema.add_column::<AssetField>("acme:more", ColumnType::Text, "").is_err());
    }

    #[test]
    fn column_of_a_later_model_is_valid_and_unknown_type_is_text() {
        let json = r#"{"findings": [{"name": "later"}, {"name": "acme:a", "type": "interval"}]}"#;
        let schema: Schema = serde_json::from_str(json).unwrap();
        assert_eq!(schema.fault(), None);
        assert!(schema.findings.iter().all(|column| column.column_type == ColumnType::Text));
    }
}
