//! Columns: their names in the options, and the position of their cells in the batches of a report.

use scanbridge_plugin_api::batch::{
    Column as SchemaColumn, ColumnType, Columns, FindingColumn, FindingView, Schema,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, ReportStart};
use scanbridge_plugin_api::{PluginError, Result};

/// The name of a column in the options: `finding.port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnName {
    table: TableName,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableName {
    Asset,
    Definition,
    Finding,
    Report,
}

/// The reason why a text is not a column name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadColumn {
    #[error("`{0}` must start with `asset.`, `definition.`, `finding.` or `report.`")]
    Table(String),
    #[error("unknown report column `{0}`; valid columns: {known}", known = REPORT_NAMES.join(", "))]
    Report(String),
}

impl ColumnName {
    /// Parses a name. Whether an asset, definition or finding has such a column is known only when a report begins.
    pub(crate) fn parse(text: &str) -> Result<Self, BadColumn> {
        let bad = || BadColumn::Table(text.to_owned());
        let (table, name) = text.split_once('.').ok_or_else(bad)?;
        let table = match table {
            "asset" => TableName::Asset,
            "definition" => TableName::Definition,
            "finding" => TableName::Finding,
            "report" => TableName::Report,
            _ => return Err(bad()),
        };
        if table == TableName::Report && !REPORT_NAMES.contains(&name) {
            return Err(BadColumn::Report(text.to_owned()));
        }
        Ok(Self { table, name: name.to_owned() })
    }

    /// The column for a report whose definitions have IDs of this scheme: `definition.qid` becomes `definition.id` for
    /// another scheme than `qid`.
    pub(crate) fn for_scheme(&self, scheme: &str) -> Self {
        let is_qid = self.table == TableName::Definition && self.name == "qid";
        let name = if is_qid && scheme != "qid" { "id" } else { &self.name };
        Self { table: self.table, name: name.to_owned() }
    }

    /// The heading of the column.
    pub(crate) fn heading(&self) -> String {
        let table = match self.table {
            TableName::Asset => "asset",
            TableName::Definition => "definition",
            TableName::Finding => "finding",
            TableName::Report => "report",
        };
        format!("{table}.{}", self.name)
    }

    /// Finds the column in a report.
    ///
    /// # Errors
    /// Neither the report nor this version's model has such a column, and it is not an own column of an input. If only
    /// the model has it, the input is older than the column, and its cells are empty. So are those of an own column of
    /// another input.
    pub(crate) fn locate(&self, report: &ReportStart, columns: &Columns) -> Result<Column> {
        let schema = columns.schema();
        let position = |columns: &[SchemaColumn]| columns.iter().position(|column| column.name == self.name);
        let source = match self.table {
            TableName::Asset if self.name == "address" => ColumnSource::Address,
            TableName::Asset => ColumnSource::Asset(self.known(position(&schema.assets), columns)?),
            TableName::Definition if self.name == "qid" => ColumnSource::Qid,
            TableName::Definition if self.name == "scheme" => ColumnSource::Scheme,
            TableName::Definition => {
                ColumnSource::Definition(self.known(position(&schema.definitions), columns)?)
            }
            TableName::Finding => {
                ColumnSource::Finding(self.known(columns.finding_column(&self.name), columns)?)
            }
            TableName::Report => ColumnSource::Report(report_text(report, &self.name).to_owned()),
        };
        let column = self.columns_of(schema).iter().find(|column| column.name == self.name);
        let is_list = column.is_some_and(|column| column.column_type == ColumnType::List);
        Ok(Column { source, is_list })
    }

    /// Whether the name is that of an own column, which only the reports of one input have: `finding.acme:epss`.
    pub(crate) fn is_own(&self) -> bool {
        self.name.contains(':')
    }

    /// The columns of the table in this schema; none for the values of the report.
    fn columns_of<'a>(&self, schema: &'a Schema) -> &'a [SchemaColumn] {
        match self.table {
            TableName::Asset => &schema.assets,
            TableName::Definition => &schema.definitions,
            TableName::Finding => &schema.findings,
            TableName::Report => &[],
        }
    }

    /// Whether the report lacks this own column, so that its cells are empty.
    pub(crate) fn is_missing_in(&self, schema: &Schema) -> bool {
        self.is_own() && self.columns_of(schema).iter().all(|column| column.name != self.name)
    }

    pub(crate) fn is_of_model(&self) -> bool {
        let name = self.name.as_str();
        match self.table {
            TableName::Asset => AssetField::NAMES.contains(&name),
            TableName::Definition => name == "qid" || DefinitionField::NAMES.contains(&name),
            TableName::Finding => Columns::of(Schema::default()).finding_column(name).is_some(),
            TableName::Report => REPORT_NAMES.contains(&name),
        }
    }

    /// The column, if the report or the model has it.
    fn known<T>(&self, column: Option<T>, columns: &Columns) -> Result<Option<T>> {
        if column.is_some() || self.is_of_model() || self.is_own() {
            return Ok(column);
        }
        let schema = columns.schema();
        let names: Vec<&str> = match self.table {
            TableName::Finding => columns.finding_columns().into_iter().map(|(name, _)| name).collect(),
            _ => self.columns_of(schema).iter().map(|column| column.name.as_str()).collect(),
        };
        let error = PluginError::config(format!("option `columns`: unknown column `{}`", self.heading()));
        Err(error.with_hint(format!("valid columns of this table: {}", names.join(", "))))
    }
}

/// A column of the current report.
#[derive(Debug)]
pub(crate) struct Column {
    source: ColumnSource,
    is_list: bool,
}

#[derive(Debug)]
enum ColumnSource {
    /// The asset's IPv4 address, otherwise its IPv6 address.
    Address,
    Asset(Option<usize>),
    /// The ID of a definition of the scheme `qid`.
    Qid,
    /// The scheme of the definition's ID.
    Scheme,
    Definition(Option<usize>),
    Finding(Option<FindingColumn>),
    /// The same text in each row.
    Report(String),
}

impl Column {
    /// The text of the cell. `scratch` is used for numbers.
    pub(crate) fn cell<'a>(&'a self, finding: &FindingView<'a>, scratch: &'a mut String) -> &'a str {
        match &self.source {
            ColumnSource::Address => finding.asset().address(),
            ColumnSource::Asset(column) => finding.asset().column(*column),
            ColumnSource::Qid => finding.definition().qid().unwrap_or_default(),
            ColumnSource::Scheme => finding.definition().scheme(),
            ColumnSource::Definition(column) => finding.definition().column(*column),
            ColumnSource::Finding(Some(column)) => finding.printed(*column, scratch),
            ColumnSource::Finding(None) => "",
            ColumnSource::Report(text) => text,
        }
    }

    /// Whether the cell contains a list with one item per line.
    pub(crate) fn is_list(&self) -> bool {
        self.is_list
    }
}

fn report_text<'a>(report: &'a ReportStart, name: &str) -> &'a str {
    match name {
        "id" => &report.id,
        "kind" => &report.kind,
        "title" => &report.title,
        "time" => &report.time,
        "path" => &report.path,
        "vendor" => &report.source.vendor,
        "product" => &report.source.product,
        "product_version" => &report.source.product_version,
        _ => &report.source.scanner,
    }
}

const REPORT_NAMES: &[&str] =
    &["id", "kind", "title", "time", "path", "vendor", "product", "product_version", "scanner"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_schema_or_the_model_are_found_and_others_refused() {
        let mut report = ReportStart::default();
        let rack = SchemaColumn::new("rack", ColumnType::List, "");
        report.schema.assets.push(rack);
        report.schema.findings.retain(|column| column.name != "ticket");
        let columns = Columns::of(report.schema.clone());
        for name in [
            "asset.rack",
            "finding.ticket",
            "definition.qid",
            "report.title",
            "asset.address",
            "finding.status",
        ] {
            assert!(ColumnName::parse(name).unwrap().locate(&report, &columns).is_ok(), "{name}");
        }
        let error = ColumnName::parse("finding.rack").unwrap().locate(&report, &columns).unwrap_err();
        assert!(error.message.contains("`finding.rack`"), "{error}");
        assert!(error.hint.unwrap().contains("kind, severity, port"));
    }

    #[test]
    fn lists_are_columns_of_that_type_in_the_report() {
        let report = ReportStart::default();
        let columns = Columns::of(report.schema.clone());
        let is_list =
            |name: &str| ColumnName::parse(name).unwrap().locate(&report, &columns).unwrap().is_list();
        for name in ["asset.tags", "definition.cves", "finding.facts"] {
            assert!(is_list(name), "{name}");
        }
        for name in ["asset.dns", "definition.qid", "finding.port", "report.title"] {
            assert!(!is_list(name), "{name}");
        }
    }

    #[test]
    fn qid_is_the_id_of_its_scheme_only() {
        let of = |name: &str, scheme: &str| ColumnName::parse(name).unwrap().for_scheme(scheme).heading();
        assert_eq!(of("definition.qid", "qid"), "definition.qid");
        assert_eq!(of("definition.qid", "nessus"), "definition.id");
        assert_eq!(of("definition.title", "nessus"), "definition.title");
    }
}
