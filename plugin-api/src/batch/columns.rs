//! The fields of the model among the columns of a batch, and the own columns of an input.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer};

use super::cell::ColumnType;
use super::schema::{Column, Schema, bad_name, is_own_name};
use crate::error::PluginError;
use crate::model::{AssetField, DefinitionField, Field, FindingField, ReportStart};

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

impl<'de> Deserialize<'de> for Schema {
    /// A table that is missing has the fields of this version's model.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not with the default of the whole schema: it would be made each time, and dropped.
        #[derive(Deserialize)]
        struct Tables {
            #[serde(default = "model_columns::<AssetField>")]
            assets: Vec<Column>,
            #[serde(default = "model_columns::<DefinitionField>")]
            definitions: Vec<Column>,
            #[serde(default = "model_columns::<FindingField>")]
            findings: Vec<Column>,
        }
        let Tables { assets, definitions, findings } = Tables::deserialize(deserializer)?;
        Ok(Self { assets, definitions, findings })
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
    ) -> crate::Result<OwnColumn<F>> {
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
    // Nearly always a column is where it is in the model of this version.
    let is_at = |index: usize, name: &str| columns.get(index).is_some_and(|column| column.name == name);
    let position = |(index, name): (usize, &&str)| match is_at(index, name) {
        true => Some(index),
        false => columns.iter().position(|column| column.name == *name),
    };
    F::NAMES.iter().enumerate().map(position).collect()
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
        let cell = |(index, column): (usize, &Column)| {
            if F::NAMES.get(index).is_some_and(|name| *name == column.name) {
                return index;
            }
            let field = F::NAMES.iter().position(|name| *name == column.name);
            field.or_else(|| own.next()).unwrap_or_default()
        };
        let order: Box<[usize]> = columns.iter().enumerate().map(cell).collect();
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
}
