//! Which columns a batch has, and where a reader finds the ones it knows.

use serde::{Deserialize, Serialize};

use crate::model::{AssetField, DefinitionField, Field, FindingField, ReportStart};

/// The column names of the three tables, in column order. Travels with each [`ReportStart`].
///
/// [`ReportStart`]: crate::model::ReportStart
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schema {
    /// Column names of the table of assets.
    pub assets: Vec<String>,
    /// Column names of the table of definitions.
    pub definitions: Vec<String>,
    /// Column names of the table of findings.
    pub findings: Vec<String>,
}

impl Default for Schema {
    /// The fields of this version's model, in the model's order: what [`BatchBuilder`](super::BatchBuilder) makes.
    fn default() -> Self {
        Self {
            assets: owned(AssetField::NAMES),
            definitions: owned(DefinitionField::NAMES),
            findings: owned(FindingField::NAMES),
        }
    }
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

    /// Looks up every field of the model by name.
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

fn positions<F: Field>(names: &[String]) -> Vec<Option<usize>> {
    F::NAMES.iter().map(|name| names.iter().position(|sent| sent == name)).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
