//! The fields of `additional_fields`: any column of a report under a key made of its name.

use scanbridge_html_text::append_text;
use scanbridge_plugin_api::batch::{
    AssetView, Column, ColumnType, Columns, DefinitionView, FindingColumn, FindingView,
};
use scanbridge_plugin_api::model::{
    self, AssetField, DefinitionField, Field as _, FindingField, ReportStart, list_items,
};
use scanbridge_plugin_api::{PluginError, Result};

use crate::escape::trimmed;
use crate::field::{self, Field, KEPT_BYTES, TruncatedFields};

/// Maximum length of all additional fields of an event in bytes, keys included.
pub(crate) const LIMIT: usize = 8000;

/// A column named by the operator, for example `asset.owner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalField {
    table: Table,
    name: String,
    /// The key without its prefix: `AssetOwner`.
    key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Report,
    Asset,
    Definition,
    Finding,
}

impl AdditionalField {
    /// Reads the option.
    ///
    /// # Errors
    /// A configuration error: a name is not that of a column, or two have the same key.
    pub fn read(names: &[&str]) -> Result<Vec<Self>> {
        let mut fields: Vec<Self> = Vec::with_capacity(names.len());
        for name in names {
            let field = Self::parse(name).ok_or_else(|| {
                PluginError::config(format!("option `additional_fields`: unknown column `{name}`")).with_hint(
                    "valid columns are those of the JSON and CSV outputs, for example `asset.owner`, \
                     `finding.epss`, `definition.software` and `report.title`",
                )
            })?;
            if let Some(other) = fields.iter().find(|other| other.key == field.key) {
                return Err(PluginError::config(format!(
                    "option `additional_fields`: `{name}` and `{}` have the same key",
                    other.column()
                )));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn parse(text: &str) -> Option<Self> {
        let (table, name) = text.split_once('.')?;
        let is_of = |names: &[&str]| names.contains(&name);
        let (table, is_known) = match table {
            "report" => (Table::Report, is_of(REPORT)),
            "asset" => (Table::Asset, is_of(AssetField::NAMES)),
            "definition" => (Table::Definition, name == "qid" || is_of(DefinitionField::NAMES)),
            "finding" => {
                let codes = ["kind", "severity", "port", "ssl", "status"];
                (Table::Finding, is_of(&codes) || is_of(FindingField::NAMES))
            }
            _ => return None,
        };
        // An input may add columns of its own, `acme:rack`; only its reports have them.
        let is_own = name.contains(':') && table != Table::Report;
        (is_known || is_own).then(|| Self { table, name: name.to_owned(), key: camel_case(text) })
    }

    fn column(&self) -> String {
        let table = match self.table {
            Table::Report => "report",
            Table::Asset => "asset",
            Table::Definition => "definition",
            Table::Finding => "finding",
        };
        format!("{table}.{}", self.name)
    }
}

/// The additional fields of a report, by the table that they are from. The columns are found once for each report.
#[derive(Debug, Default)]
pub(crate) struct AdditionalFields {
    /// Those of the report, encoded.
    pub report: Vec<u8>,
    pub report_truncated: TruncatedFields,
    pub assets: AdditionalColumns<usize>,
    pub definitions: AdditionalColumns<usize>,
    findings: AdditionalColumns<FindingColumn>,
}

/// The additional fields of one table.
#[derive(Debug, Clone)]
pub(crate) struct AdditionalColumns<C>(Vec<LocatedColumn<C>>);

impl<C> Default for AdditionalColumns<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[derive(Debug, Clone)]
struct LocatedColumn<C> {
    /// The key and `=`.
    opening: String,
    column: C,
    form: Form,
}

/// How a cell becomes a readable text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Html,
    /// Items, each with these parts; none for a list of texts.
    List(&'static [&'static str]),
}

impl AdditionalFields {
    /// Finds the columns of a report. The keys begin with `ad.`, or with the vendor and the product.
    pub(crate) fn of(fields: &[AdditionalField], dotted_keys: bool, report: &ReportStart) -> Self {
        let mut all = Self::default();
        if fields.is_empty() {
            return all;
        }
        let prefix = if dotted_keys {
            "ad.".to_owned()
        } else {
            let words = [report.source.vendor.as_str(), &report.source.product];
            words.concat().chars().filter(char::is_ascii_alphanumeric).collect()
        };
        let columns = Columns::of_report(report);
        for AdditionalField { table, name, key } in fields {
            let opening = format!("{prefix}{key}=");
            match table {
                Table::Report => {
                    let text = report_text(report, name);
                    let opening = [opening.as_str(), ""];
                    let truncated = &mut all.report_truncated;
                    field::append_as(&mut all.report, truncated, Field::Additional, opening, &text);
                }
                Table::Asset => {
                    let found = position(&columns.schema().assets, name);
                    all.assets.push(opening, found, parts::<AssetField>(name));
                }
                Table::Definition => {
                    let name = if name == "qid" { "id" } else { name };
                    let found = position(&columns.schema().definitions, name);
                    all.definitions.push(opening, found, parts::<DefinitionField>(name));
                    let is_html = matches!(name, "diagnosis" | "consequence" | "solution");
                    if let Some(last) = all.definitions.0.last_mut().filter(|_| is_html) {
                        last.form = Form::Html;
                    }
                }
                Table::Finding => {
                    let column_type =
                        position(&columns.schema().findings, name).map(|(_, column_type)| column_type);
                    let found = columns.finding_column(name);
                    let found = found.map(|column| (column, column_type.unwrap_or_default()));
                    all.findings.push(opening, found, parts::<FindingField>(name));
                }
            }
        }
        all
    }

    /// Appends the additional fields of a finding.
    pub(crate) fn append_finding(
        &self,
        out: &mut Vec<u8>,
        truncated: &mut TruncatedFields,
        [text, digits]: [&mut String; 2],
        finding: FindingView<'_>,
    ) {
        for located in &self.findings.0 {
            located.append(out, truncated, text, finding.printed(located.column, digits));
        }
    }
}

impl AdditionalColumns<usize> {
    /// Appends the additional fields of an asset.
    pub(crate) fn append_asset(
        &self,
        out: &mut Vec<u8>,
        truncated: &mut TruncatedFields,
        text: &mut String,
        asset: AssetView<'_>,
    ) {
        for located in &self.0 {
            located.append(out, truncated, text, asset.column(Some(located.column)));
        }
    }

    /// Appends the additional fields of a definition.
    pub(crate) fn append_definition(
        &self,
        out: &mut Vec<u8>,
        truncated: &mut TruncatedFields,
        text: &mut String,
        definition: DefinitionView<'_>,
    ) {
        for located in &self.0 {
            located.append(out, truncated, text, definition.column(Some(located.column)));
        }
    }
}

impl<C> AdditionalColumns<C> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, opening: String, found: Option<(C, ColumnType)>, parts: &'static [&'static str]) {
        // A report without the column has no value for it.
        if let Some((column, column_type)) = found {
            let form = if column_type == ColumnType::List { Form::List(parts) } else { Form::Text };
            self.0.push(LocatedColumn { opening, column, form });
        }
    }
}

impl<C> LocatedColumn<C> {
    /// Appends the key and the cell as a readable text.
    fn append(&self, out: &mut Vec<u8>, truncated: &mut TruncatedFields, text: &mut String, cell: &str) {
        if cell.is_empty() {
            return;
        }
        // Cleaning may shorten three bytes to one.
        let max_bytes = 3 * Field::Additional.limit() + 4;
        text.clear();
        let cell = match self.form {
            Form::Text => cell,
            Form::Html => {
                append_text(text, cell, max_bytes);
                &*text
            }
            Form::List(parts) => {
                for item in list_items(cell) {
                    append_item(text, item, parts);
                    if text.len() > max_bytes {
                        break;
                    }
                }
                &*text
            }
        };
        field::append_as(out, truncated, Field::Additional, [&self.opening, ""], cell);
        text.shrink_to(KEPT_BYTES);
    }
}

/// Appends an item of a list: `a, b` for texts; `name: value; name: value` for objects of two parts; for objects of
/// more, each part with its name.
fn append_item(out: &mut String, item: &str, parts: &[&str]) {
    let (start, is_object) = (out.len(), !parts.is_empty());
    if start > 0 {
        out.push_str(if is_object { "; " } else { ", " });
    }
    let first = out.len();
    let values = item.split(if is_object { '\t' } else { '\n' });
    for (index, value) in values.enumerate() {
        let value = trimmed(value);
        if value.is_empty() {
            continue;
        }
        let is_first = out.len() == first;
        match parts.get(index) {
            Some(name) if parts.len() > 2 => {
                out.extend([if is_first { "" } else { ", " }, name, " ", value]);
            }
            _ => out.extend([if is_first { "" } else { ": " }, value]),
        }
    }
    if out.len() == first {
        out.truncate(start);
    }
}

fn position(columns: &[Column], name: &str) -> Option<(usize, ColumnType)> {
    let index = columns.iter().position(|column| column.name == name)?;
    Some((index, columns[index].column_type))
}

/// The parts of an item of the model's column with this name.
fn parts<F: model::Field>(name: &str) -> &'static [&'static str] {
    let index = F::NAMES.iter().position(|known| *known == name);
    index.map_or(&[], |index| F::ALL[index].parts())
}

/// `asset.last_scan` becomes `AssetLastScan`.
fn camel_case(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words
        .flat_map(|word| word[..1].chars().map(|c| c.to_ascii_uppercase()).chain(word[1..].chars()))
        .collect()
}

fn report_text(report: &ReportStart, name: &str) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    match name {
        "id" => report.id.clone(),
        "kind" => report.kind.clone(),
        "title" => report.title.clone(),
        "time" => report.time.clone(),
        "path" => report.path.clone(),
        "vendor" => report.source.vendor.clone(),
        "product" => report.source.product.clone(),
        "product_version" => report.source.product_version.clone(),
        "scanner" => report.source.scanner.clone(),
        "status" => report.status.clone(),
        "signature_version" => report.signature_version.clone(),
        "assets_alive" => number(report.assets_alive),
        "assets_total" => number(report.assets_total),
        _ => number(report.duration_secs),
    }
}

const REPORT: &[&str] = &[
    "id",
    "kind",
    "title",
    "time",
    "path",
    "vendor",
    "product",
    "product_version",
    "scanner",
    "status",
    "signature_version",
    "assets_alive",
    "assets_total",
    "duration_secs",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_become_keys() {
        let names = [
            "asset.owner",
            "asset.os_cpe",
            "finding.status",
            "definition.qid",
            "report.title",
            "finding.acme:rack-2",
        ];
        let fields = AdditionalField::read(&names).unwrap();
        let keys: Vec<_> = fields.iter().map(|field| field.key.as_str()).collect();
        assert_eq!(
            keys,
            ["AssetOwner", "AssetOsCpe", "FindingStatus", "DefinitionQid", "ReportTitle", "FindingAcmeRack2"]
        );
        assert_eq!(fields.iter().map(AdditionalField::column).collect::<Vec<_>>(), names);
        for wrong in ["owner", "asset.nosuch", "host.owner", "report.acme:x", "report.details", "asset.", ""]
        {
            let error = AdditionalField::read(&[wrong]).unwrap_err();
            assert!(error.message.ends_with(&format!("unknown column `{wrong}`")), "{error}");
        }
        let error = AdditionalField::read(&["asset.a:b_c", "asset.a:b-c"]).unwrap_err();
        assert!(error.message.contains("`asset.a:b-c` and `asset.a:b_c` have the same key"), "{error}");
    }

    /// Every column of the model can be an additional field, and no two have the same key.
    #[test]
    fn all_columns_have_keys() {
        let of = |table: &str, names: &[&str]| {
            names.iter().map(|name| format!("{table}.{name}")).collect::<Vec<_>>()
        };
        let mut names = of("asset", AssetField::NAMES);
        names.extend(of("definition", DefinitionField::NAMES));
        names.extend(of("finding", FindingField::NAMES));
        names.extend(of("report", REPORT));
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(AdditionalField::read(&names).unwrap().len(), names.len());
    }

    #[test]
    fn items_are_readable() {
        let text = |parts: &[&str], items: &[&str]| {
            let mut out = String::new();
            items.iter().for_each(|item| append_item(&mut out, item, parts));
            out
        };
        assert_eq!(text(&[], &["a", " b\t", "\u{200b}", "c"]), "a, b, c");
        assert_eq!(text(&["id", "name"], &["1\tone", "2", "\tthree", "\t"]), "1: one; 2; three");
        assert_eq!(
            text(&["type", "section", "description"], &["PCI\t\tx", "\t2"]),
            "type PCI, description x; section 2"
        );
        // A later version may add parts.
        assert_eq!(text(&["id", "name"], &["1\tone\tmore"]), "1: one: more");
    }
}
