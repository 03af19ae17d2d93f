//! Turns rows of a batch into lines of JSON. Definitions are encoded once and cached.

use std::collections::HashMap;

use scanbridge_plugin_api::batch::{
    AssetView, Column, Columns, DefinitionView, FindingColumn, FindingView, Schema,
};
use scanbridge_plugin_api::model::ReportStart;

use crate::object::{self, JsonType, ObjectWriter};

/// Encodes the lines of one report at a time.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// `,"report":{…}}` and the line feed, the same for all lines of a report.
    report: Vec<u8>,
    /// JSON types of the columns of assets and definitions, in column order.
    types: ColumnTypes,
    /// The values of a finding, in the order in which they are written.
    finding: Vec<(String, JsonType, FindingColumn)>,
    number: String,
    /// Definitions by content key, as JSON.
    definitions: HashMap<u128, Box<[u8]>, foldhash::fast::RandomState>,
    definition_bytes: usize,
}

#[derive(Debug, Default)]
struct ColumnTypes {
    assets: Vec<JsonType>,
    definitions: Vec<JsonType>,
}

/// The scheme of Qualys, and the name of its IDs.
const QID: &str = "qid";

/// Size limit of the cached definitions, in bytes. A full cache is cleared and filled again.
const KEPT_BYTES: usize = 3 << 20;
/// About what a cached definition needs in addition to its text: its entry in a table that grows by doubling.
const ENTRY_BYTES: usize = 128;

impl Lines {
    pub(crate) fn begin(&mut self, report: &ReportStart) {
        let Schema { assets, definitions, .. } = &report.schema;
        let of = |columns: &[Column]| columns.iter().map(JsonType::of_column).collect();
        self.types = ColumnTypes { assets: of(assets), definitions: of(definitions) };
        let columns = Columns::of_report(report);
        let finding = columns.finding_columns().into_iter();
        let json_type = |name: &str, column| match column {
            FindingColumn::Cell(index) => JsonType::of_column(&report.schema.findings[index]),
            _ => JsonType::of(name),
        };
        let finding = finding.map(|(name, column)| (name.to_owned(), json_type(name, column), column));
        self.finding = finding.collect();
        // Content keys are comparable only within one schema, and the scheme of an ID may be that of the report.
        self.definitions.clear();
        self.definition_bytes = 0;
        let mut names = vec!["id", "kind", "title", "time", "path"];
        let mut values = vec![&report.id, &report.kind, &report.title, &report.time, &report.path];
        // A QID names its vendor already.
        if report.source.scheme != QID {
            names.extend(["vendor", "product", "product_version", "scanner"]);
            let source = &report.source;
            values.extend([&source.vendor, &source.product, &source.product_version, &source.scanner]);
        }
        let cells = names.into_iter().zip(values).map(|(name, value)| (name, JsonType::Text, value.as_str()));
        self.report = b",\"report\":".to_vec();
        object::push(&mut self.report, cells);
        self.report.extend_from_slice(b"}\n");
    }

    /// Appends the line of a finding.
    pub(crate) fn finding(&mut self, out: &mut Vec<u8>, schema: &Schema, finding: FindingView<'_>) {
        out.extend_from_slice(b"{\"finding\":");
        let mut object = ObjectWriter::begin(out);
        for (name, json_type, column) in &self.finding {
            object.cell(name, *json_type, finding.printed(*column, &mut self.number));
        }
        object.end();
        out.extend_from_slice(b",\"definition\":");
        self.definition(out, schema, finding.definition());
        self.asset_and_report(out, schema, finding.asset());
    }

    /// Appends the separate line of an asset (option `assets`).
    pub(crate) fn asset(&self, out: &mut Vec<u8>, schema: &Schema, asset: AssetView<'_>) {
        // `null` distinguishes the line from findings and keeps the order of the keys.
        out.extend_from_slice(b"{\"finding\":null,\"definition\":null");
        self.asset_and_report(out, schema, asset);
    }

    fn asset_and_report(&self, out: &mut Vec<u8>, schema: &Schema, asset: AssetView<'_>) {
        out.extend_from_slice(b",\"asset\":");
        object::push(out, cells(&schema.assets, &self.types.assets, |column| asset.column(column)));
        out.extend_from_slice(&self.report);
    }

    fn definition(&mut self, out: &mut Vec<u8>, schema: &Schema, definition: DefinitionView<'_>) {
        if let Some(known) = self.definitions.get(&definition.key()) {
            out.extend_from_slice(known);
            return;
        }
        let start = out.len();
        let is_qid = definition.scheme() == QID;
        let mut object = ObjectWriter::begin(out);
        let columns = schema.definitions.iter().zip(&self.types.definitions).enumerate();
        for (index, (Column { name, .. }, json_type)) in columns {
            match name.as_str() {
                "id" if is_qid => object.cell(QID, *json_type, definition.id()),
                "scheme" if is_qid => {}
                "scheme" => object.cell(name, *json_type, definition.scheme()),
                _ => object.cell(name, *json_type, definition.column(Some(index))),
            }
        }
        object.end();
        let made: Box<[u8]> = out[start..].into();
        let bytes = made.len() + ENTRY_BYTES;
        if self.definition_bytes + bytes > KEPT_BYTES {
            self.definitions.clear();
            self.definition_bytes = 0;
        }
        self.definition_bytes += bytes;
        self.definitions.insert(definition.key(), made);
    }
}

/// The cells of a row with their names and types.
fn cells<'a>(
    columns: &'a [Column],
    types: &'a [JsonType],
    cell: impl Fn(Option<usize>) -> &'a str + 'a,
) -> impl Iterator<Item = (&'a str, JsonType, &'a str)> {
    let columns = columns.iter().zip(types).enumerate();
    columns.map(move |(index, (column, json_type))| (column.name.as_str(), *json_type, cell(Some(index))))
}
