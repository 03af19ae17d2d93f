//! Where the values of a line come from.

use scanbridge_columns::{CONNECTOR_COLUMNS, CellForm, REPORT_COLUMNS, ReportColumn, Table, connector_cell};
use scanbridge_plugin_api::ConnectorIdentity;
use scanbridge_plugin_api::batch::{
    AssetView, Column, Columns, DefinitionView, FindingColumn, FindingView, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingStatus, ReportStart, list_items,
};

/// What a line is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Record<'a> {
    pub(crate) finding: Option<FindingView<'a>>,
    pub(crate) definition: Option<DefinitionView<'a>>,
    pub(crate) asset: Option<AssetView<'a>>,
    /// The CVE ID that the current object is about; empty outside of such objects, and if the finding has none.
    pub(crate) cve: &'a str,
    /// The number of CVE IDs of the finding, inside of such objects.
    pub(crate) cve_count: usize,
}

impl<'a> Record<'a> {
    pub(crate) fn of_finding(finding: FindingView<'a>) -> Self {
        Self {
            asset: Some(finding.asset()),
            definition: Some(finding.definition()),
            finding: Some(finding),
            ..Self::default()
        }
    }

    pub(crate) fn of_asset(asset: AssetView<'a>) -> Self {
        Self { asset: Some(asset), ..Self::default() }
    }

    /// The CVE IDs of the definition, then those of the finding that it lacks.
    pub(crate) fn cves(&self) -> impl Iterator<Item = &'a str> {
        let of_definition = self.definition.map_or("", |definition| definition.get(DefinitionField::Cves));
        let of_finding = self.finding.map_or("", |finding| finding.get(FindingField::Cves));
        let is_new = move |cve: &&str| list_items(of_definition).all(|known| known != *cve);
        list_items(of_definition).chain(list_items(of_finding).filter(is_new))
    }
}

/// The source of a value: a cell, or a text that is the same in all lines.
#[derive(Debug)]
pub(crate) enum Source {
    Asset(Option<usize>, CellForm),
    Definition(Option<usize>, CellForm),
    /// The ID of a definition whose scheme is `qid`.
    Qid,
    /// The ID of a definition of another scheme.
    OtherId,
    /// Another scheme than `qid`.
    OtherScheme,
    Finding(Option<FindingColumn>, CellForm),
    /// The CVE ID that the current object is about.
    Cve,
    Fixed(String, CellForm),
}

/// The columns of a report, to find sources by name.
pub(crate) struct Names<'a> {
    pub(crate) report: &'a ReportStart,
    pub(crate) columns: &'a Columns,
    /// When the run started, for findings without any time.
    pub(crate) started: &'a str,
    /// Who delivers.
    pub(crate) connector: &'a ConnectorIdentity,
}

impl Names<'_> {
    /// The names of the columns of a table, in the order in which they are written.
    pub(crate) fn names_of(&self, table: Table) -> Vec<String> {
        let owned = |columns: &[Column]| columns.iter().map(|column| column.name.clone()).collect();
        let schema = self.columns.schema();
        match table {
            Table::Asset => owned(&schema.assets),
            // A definition has either of the two names.
            Table::Definition => [vec![QID.to_owned()], owned(&schema.definitions)].concat(),
            Table::Finding => {
                self.columns.finding_columns().into_iter().map(|(name, _)| name.to_owned()).collect()
            }
            Table::Report => REPORT_COLUMNS.iter().map(|column| column.name.to_owned()).collect(),
            Table::Connector if self.connector.is_empty() => Vec::new(),
            Table::Connector => CONNECTOR_COLUMNS.map(str::to_owned).to_vec(),
        }
    }

    /// The source with this name. `""` is a text that is never empty, `cve` the CVE ID of the object, `run.start` the start
    /// of the run. A column that the report does not have is empty.
    pub(crate) fn source(&self, name: &str) -> Source {
        let Schema { assets, definitions, findings, .. } = self.columns.schema();
        let text = |text: &str| Source::Fixed(text.to_owned(), CellForm::Text);
        let find = |columns: &[Column], name: &str| columns.iter().position(|column| column.name == name);
        match Table::split(name) {
            Some((table @ Table::Asset, name)) => {
                let index = find(assets, name);
                Source::Asset(index, form(table, assets, index))
            }
            Some((Table::Definition, "qid")) => Source::Qid,
            Some((Table::Definition, "id")) => Source::OtherId,
            Some((Table::Definition, "scheme")) => Source::OtherScheme,
            Some((table @ Table::Definition, name)) => {
                let index = find(definitions, name);
                Source::Definition(index, form(table, definitions, index))
            }
            Some((table @ Table::Finding, name)) => match self.columns.finding_column(name) {
                Some(FindingColumn::Cell(index)) => {
                    Source::Finding(Some(FindingColumn::Cell(index)), form(table, findings, Some(index)))
                }
                column => Source::Finding(column, CellForm::of_code(name)),
            },
            Some((Table::Report, name)) => match ReportColumn::find(name) {
                Some(column) => Source::Fixed(column.cell(self.report), column.form),
                None => text(""),
            },
            Some((Table::Connector, name)) => text(&connector_cell(self.connector, name).unwrap_or_default()),
            None => match name {
                CVE => Source::Cve,
                "run.start" => text(self.started),
                _ => text("1"),
            },
        }
    }
}

fn form(table: Table, columns: &[Column], index: Option<usize>) -> CellForm {
    index.map_or(CellForm::Text, |index| CellForm::of(table, &columns[index]))
}

/// The name of the CVE ID that an object is about.
pub(crate) const CVE: &str = "cve";

/// The scheme of Qualys.
pub(crate) const QID: &str = "qid";

impl Source {
    /// The text; empty if there is no value. `scratch` is used for numbers.
    pub(crate) fn text<'s>(&'s self, record: &Record<'s>, scratch: &'s mut String) -> &'s str {
        match (self, &record.finding) {
            (Self::Finding(Some(column), form), Some(finding)) => {
                form.value(finding.printed(*column, scratch))
            }
            _ => self.cell(record),
        }
    }

    /// As [`Source::text`], for any source but those of a finding.
    pub(crate) fn cell<'s>(&'s self, record: &Record<'s>) -> &'s str {
        let of_scheme = |is_qid: bool| record.definition.filter(|it| (it.scheme() == QID) == is_qid);
        match self {
            Self::Asset(column, form) => form.value(record.asset.map_or("", |asset| asset.column(*column))),
            Self::Definition(column, form) => {
                form.value(record.definition.map_or("", |definition| definition.column(*column)))
            }
            Self::Qid => of_scheme(true).map_or("", |definition| definition.id()),
            Self::OtherId => of_scheme(false).map_or("", |definition| definition.id()),
            Self::OtherScheme => of_scheme(false).map_or("", |definition| definition.scheme()),
            Self::Finding(..) => "",
            Self::Cve => record.cve,
            Self::Fixed(text, _) => text,
        }
    }

    /// Whether the value is the same in all lines about one definition.
    pub(crate) fn is_of_definition(&self) -> bool {
        self.is_fixed()
            || matches!(self, Self::Definition(..) | Self::Qid | Self::OtherId | Self::OtherScheme)
    }

    /// Whether the value is the same in all lines about one asset.
    pub(crate) fn is_of_asset(&self) -> bool {
        self.is_fixed() || matches!(self, Self::Asset(..))
    }

    /// Whether the value is the same in all lines of the report.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(..))
    }

    /// The form of the text.
    pub(crate) fn form(&self) -> CellForm {
        match self {
            Self::Asset(_, form)
            | Self::Definition(_, form)
            | Self::Finding(_, form)
            | Self::Fixed(_, form) => *form,
            _ => CellForm::Text,
        }
    }
}

/// When a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// The object is about a CVE ID.
    Cve,
    /// The finding has no CVE ID.
    NoCve,
    /// The finding has one CVE ID.
    OneCve,
    /// The status is Fixed.
    Fixed,
    /// The cloud provider of the asset is known.
    Cloud,
}

impl When {
    pub(crate) fn holds(self, record: &Record<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Cve => !record.cve.is_empty(),
            Self::NoCve => record.cve.is_empty(),
            Self::OneCve => record.cve_count == 1,
            Self::Fixed => record.finding.is_some_and(|it| it.status() == Some(FindingStatus::Fixed)),
            Self::Cloud => record.asset.is_some_and(|it| !it.get(AssetField::CloudProvider).is_empty()),
        }
    }
}
