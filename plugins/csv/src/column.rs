//! Columns: their names in the options, and the position of their cells in the batches of a report.

use memchr::memchr;
use scanbridge_columns::{
    ALL_NAMES, CONNECTOR_COLUMNS, CellForm, REPORT_COLUMNS, ReportColumn, Table, connector_cell,
};
use scanbridge_plugin_api::batch::{
    AssetView, Column as SchemaColumn, Columns, DefinitionView, FindingColumn, FindingView, Schema,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, ReportStart, list_items};
use scanbridge_plugin_api::{ConnectorIdentity, PluginError, Result};

/// The name of a column in the options: `finding.port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnName {
    table: Table,
    name: String,
    /// One path of the column `other`: `A/B@c` in `finding.other.A/B@c`.
    path: Option<String>,
}

/// The reason why a text is not a column name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadColumn {
    #[error("`{0}` must start with `asset.`, `definition.`, `finding.`, `report.` or `connector.`")]
    Table(String),
    #[error("unknown report column `{0}`; valid columns: {known}", known = report_names())]
    Report(String),
    #[error("unknown connector column `{0}`; valid columns: {known}", known = CONNECTOR_COLUMNS.join(", "))]
    Connector(String),
}

fn report_names() -> String {
    REPORT_COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

impl ColumnName {
    /// Parses a name. Whether an asset, definition or finding has such a column is known only when a report begins.
    pub(crate) fn parse(text: &str) -> Result<Self, BadColumn> {
        let (table, name) = Table::split(text).ok_or_else(|| BadColumn::Table(text.to_owned()))?;
        if table == Table::Report && ReportColumn::find(name).is_none() {
            return Err(BadColumn::Report(text.to_owned()));
        }
        if table == Table::Connector && !CONNECTOR_COLUMNS.contains(&name) {
            return Err(BadColumn::Connector(text.to_owned()));
        }
        let (name, path) = match name.split_once('.') {
            Some((OTHER, path)) if !path.is_empty() => (OTHER, Some(path.to_owned())),
            _ => (name, None),
        };
        Ok(Self { table, name: name.to_owned(), path })
    }

    /// The column for a report whose definitions have IDs of this scheme: `definition.qid` becomes `definition.id` for
    /// another scheme than `qid`.
    pub(crate) fn for_scheme(&self, scheme: &str) -> Self {
        let is_qid = self.table == Table::Definition && self.name == "qid";
        let name = if is_qid && scheme != "qid" { "id" } else { &self.name };
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The heading of the column.
    pub(crate) fn heading(&self) -> String {
        let path = self.path.as_ref().map(|path| format!(".{path}")).unwrap_or_default();
        format!("{}.{}{path}", self.table.word(), self.name)
    }

    /// Finds the column in a report.
    ///
    /// # Errors
    /// Neither the report nor this version's model has such a column, and it is not an own column of an input. If only
    /// the model has it, the input is older than the column, and its cells are empty. So are those of an own column of
    /// another input.
    pub(crate) fn locate(
        &self,
        report: &ReportStart,
        columns: &Columns,
        connector: &ConnectorIdentity,
    ) -> Result<Column> {
        let position = self.columns_of(columns.schema()).iter().position(|column| column.name == self.name);
        let form = position.map(|index| CellForm::of(self.table, &self.columns_of(columns.schema())[index]));
        let (source, form) = match self.table {
            Table::Asset if self.name == "address" => (ColumnSource::Address, None),
            Table::Asset => (ColumnSource::Asset(self.known(position, columns)?), form),
            Table::Definition if self.name == "qid" => (ColumnSource::Qid, None),
            Table::Definition if self.name == "scheme" => (ColumnSource::Scheme, None),
            Table::Definition => (ColumnSource::Definition(self.known(position, columns)?), form),
            Table::Finding => {
                let column = self.known(columns.finding_column(&self.name), columns)?;
                (ColumnSource::Finding(column), form)
            }
            Table::Report => {
                let column = ReportColumn::find(&self.name);
                let text = column.map(|column| column.cell(report)).unwrap_or_default();
                (ColumnSource::Fixed(text), column.map(|column| column.form))
            }
            Table::Connector => {
                (ColumnSource::Fixed(connector_cell(connector, &self.name).unwrap_or_default()), None)
            }
        };
        Ok(Column { source, form: form.unwrap_or(CellForm::Text), path: self.path.clone() })
    }

    /// Whether the name is that of an own column, which only the reports of one input have: `finding.acme:epss`.
    pub(crate) fn is_own(&self) -> bool {
        self.name.contains(':')
    }

    /// The columns of the table in this schema; none for values that are the same in all rows.
    fn columns_of<'a>(&self, schema: &'a Schema) -> &'a [SchemaColumn] {
        match self.table {
            Table::Asset => &schema.assets,
            Table::Definition => &schema.definitions,
            Table::Finding => &schema.findings,
            Table::Report | Table::Connector => &[],
        }
    }

    /// Whether the report lacks this own column, so that its cells are empty.
    pub(crate) fn is_missing_in(&self, schema: &Schema) -> bool {
        self.is_own() && self.columns_of(schema).iter().all(|column| column.name != self.name)
    }

    pub(crate) fn is_of_model(&self) -> bool {
        let name = self.name.as_str();
        match self.table {
            Table::Asset => AssetField::NAMES.contains(&name),
            Table::Definition => name == "qid" || DefinitionField::NAMES.contains(&name),
            Table::Finding => ALL_NAMES.iter().any(|known| known.strip_prefix("finding.") == Some(name)),
            Table::Report => ReportColumn::find(name).is_some(),
            Table::Connector => CONNECTOR_COLUMNS.contains(&name),
        }
    }

    /// The column, if the report or the model has it.
    fn known<T>(&self, column: Option<T>, columns: &Columns) -> Result<Option<T>> {
        if column.is_some() || self.is_of_model() || self.is_own() {
            return Ok(column);
        }
        let schema = columns.schema();
        let names: Vec<&str> = match self.table {
            Table::Finding => columns.finding_columns().into_iter().map(|(name, _)| name).collect(),
            _ => self.columns_of(schema).iter().map(|column| column.name.as_str()).collect(),
        };
        let error = PluginError::config(format!("option `columns`: unknown column `{}`", self.heading()));
        Err(error
            .with_option("columns")
            .with_hint(format!("valid columns of this table: {}", names.join(", "))))
    }
}

/// The column of values whose meaning is not known: a list of objects with a path and a value.
const OTHER: &str = "other";

/// A column of the current report.
#[derive(Debug)]
pub(crate) struct Column {
    source: ColumnSource,
    form: CellForm,
    path: Option<String>,
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
    Fixed(String),
}

/// A finding with its asset and definition, which are looked up once for all cells of its row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    finding: FindingView<'a>,
    asset: AssetView<'a>,
    definition: DefinitionView<'a>,
}

impl<'a> Source<'a> {
    pub(crate) fn of(finding: FindingView<'a>) -> Self {
        Self { finding, asset: finding.asset(), definition: finding.definition() }
    }
}

impl Column {
    /// The text of the cell. `scratch` is used for numbers.
    #[inline]
    pub(crate) fn cell<'a>(&'a self, of: &Source<'a>, scratch: &'a mut String) -> &'a str {
        let cell = match &self.source {
            ColumnSource::Address => of.asset.address(),
            ColumnSource::Asset(column) => of.asset.column(*column),
            ColumnSource::Qid => of.definition.qid().unwrap_or_default(),
            ColumnSource::Scheme => of.definition.scheme(),
            ColumnSource::Definition(column) => of.definition.column(*column),
            ColumnSource::Finding(Some(column)) => of.finding.printed(*column, scratch),
            ColumnSource::Finding(None) => "",
            ColumnSource::Fixed(text) => text,
        };
        // Most cells are empty or texts.
        if cell.is_empty() || self.form == CellForm::Text { cell } else { self.form.value(cell) }
    }

    /// Whether the cell contains a list with one item per line.
    pub(crate) fn is_list(&self) -> bool {
        self.form.is_list()
    }

    /// Appends the items of a list with this separator; of `other` the values of the column's path, if it has one. The
    /// batch separates the parts of an item by tabs, which become spaces.
    pub(crate) fn push_items(&self, out: &mut String, list: &str, separator: &str) {
        let start = out.len();
        let has_parts = memchr(b'\t', list.as_bytes()).is_some();
        for item in list_items(list) {
            let item = match &self.path {
                None => item,
                Some(path) => match item.split_once('\t') {
                    Some((own, value)) if own == path => value,
                    _ => continue,
                },
            };
            if out.len() > start {
                out.push_str(separator);
            }
            if !has_parts {
                out.push_str(item);
                continue;
            }
            let parts = item.split('\t').filter(|part| !part.is_empty());
            for (index, part) in parts.enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::ColumnType;

    use super::*;

    fn locate(name: &str, report: &ReportStart, columns: &Columns) -> Result<Column> {
        ColumnName::parse(name).unwrap().locate(report, columns, &ConnectorIdentity::default())
    }

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
            assert!(locate(name, &report, &columns).is_ok(), "{name}");
        }
        let error = locate("finding.rack", &report, &columns).unwrap_err();
        assert!(error.message.contains("`finding.rack`"), "{error}");
        assert!(error.hint.unwrap().contains("kind, severity, port"));
    }

    #[test]
    fn lists_are_columns_of_that_type_in_the_report() {
        let report = ReportStart::default();
        let columns = Columns::of(report.schema.clone());
        let is_list = |name: &str| locate(name, &report, &columns).unwrap().is_list();
        for name in [
            "asset.tags",
            "definition.cves",
            "finding.facts",
            "asset.tag_ids",
            "report.details",
            "finding.other.a",
        ] {
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

    #[test]
    fn items_are_joined_and_parts_separated_by_a_space() {
        let joined = |path: Option<&str>, list: &str| {
            let source = ColumnSource::Fixed(String::new());
            let column = Column { source, form: CellForm::List, path: path.map(str::to_owned) };
            let mut out = String::new();
            column.push_items(&mut out, list, "; ");
            out
        };
        assert_eq!(joined(None, "a\nb\tc\t\td\n\ne\t"), "a; b c d; e");
        let other = "A/B@c\tone\nA/B\ttwo\nA/B@c\tthree four";
        assert_eq!(joined(Some("A/B@c"), other), "one; three four");
        assert_eq!(joined(Some("A/B"), other), "two");
        assert_eq!(joined(Some("C"), other), "");
    }

    #[test]
    fn path_of_other_values_is_part_of_the_heading() {
        for name in ["finding.other.A/B@c", "asset.other.X.Y", "definition.other"] {
            assert_eq!(ColumnName::parse(name).unwrap().heading(), name);
            assert!(ColumnName::parse(name).unwrap().is_of_model(), "{name}");
        }
        for name in ["finding.other.", "finding.result.A", "finding.others.A"] {
            assert!(!ColumnName::parse(name).unwrap().is_of_model(), "{name}");
        }
    }
}
