//! The values of a report that outputs show in its rows.

use std::fmt::Write as _;

use scanbridge_plugin_api::model::ReportStart;

use crate::form::CellForm;

/// A value of the report.
#[derive(Debug, Clone, Copy)]
pub struct ReportColumn {
    /// Its name, without `report.`.
    pub name: &'static str,
    /// The form of its text.
    pub form: CellForm,
    value: Value,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Text(fn(&ReportStart) -> &String),
    Number(fn(&ReportStart) -> Option<u64>),
    Details,
}

impl ReportColumn {
    const fn text(name: &'static str, text: fn(&ReportStart) -> &String) -> Self {
        Self { name, form: CellForm::Text, value: Value::Text(text) }
    }

    const fn number(name: &'static str, number: fn(&ReportStart) -> Option<u64>) -> Self {
        Self { name, form: CellForm::Integer, value: Value::Number(number) }
    }

    /// The column with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        REPORT_COLUMNS.iter().find(|column| column.name == name)
    }

    /// Its value in this report as the text of a cell; empty if the report does not have it.
    #[must_use]
    pub fn cell(&self, report: &ReportStart) -> String {
        match self.value {
            Value::Text(text) => text(report).clone(),
            Value::Number(number) => number(report).map(|number| number.to_string()).unwrap_or_default(),
            Value::Details => details(report),
        }
    }
}

/// The details as a list of objects. Tabs and line breaks inside a value become spaces.
fn details(report: &ReportStart) -> String {
    let mut cell = String::new();
    for detail in &report.details {
        let gap = if cell.is_empty() { "" } else { "\n" };
        let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        // Writing to memory cannot fail.
        let _ = write!(cell, "{gap}{}\t{}", plain(&detail.name), plain(&detail.value));
    }
    cell
}

/// The values of a report, in the order in which they are shown.
pub const REPORT_COLUMNS: &[ReportColumn] = &[
    ReportColumn::text("id", |report| &report.id),
    ReportColumn::text("kind", |report| &report.kind),
    ReportColumn::text("title", |report| &report.title),
    ReportColumn::text("time", |report| &report.time),
    ReportColumn::text("path", |report| &report.path),
    ReportColumn::text("status", |report| &report.status),
    ReportColumn::text("vendor", |report| &report.source.vendor),
    ReportColumn::text("product", |report| &report.source.product),
    // The name of `scanner_version` before there was a version of the signatures.
    ReportColumn::text("product_version", |report| &report.source.product_version),
    ReportColumn::text("scanner", |report| &report.source.scanner),
    ReportColumn::text("scanner_version", |report| &report.source.product_version),
    ReportColumn::text("signature_version", |report| &report.signature_version),
    // The key of encrypted fields; empty if nothing is encrypted.
    ReportColumn::text("encryption", |report| &report.encryption),
    ReportColumn::number("assets_alive", |report| report.assets_alive),
    ReportColumn::number("assets_total", |report| report.assets_total),
    ReportColumn::number("duration_secs", |report| report.duration_secs),
    ReportColumn { name: "details", form: CellForm::Objects(&["name", "value"]), value: Value::Details },
];

/// The names in [`REPORT_COLUMNS`].
pub(crate) const REPORT_NAMES: [&str; REPORT_COLUMNS.len()] = {
    let (mut names, mut index) = ([""; REPORT_COLUMNS.len()], 0);
    while index < names.len() {
        names[index] = REPORT_COLUMNS[index].name;
        index += 1;
    }
    names
};

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::model::ReportDetail;

    use super::*;

    #[test]
    fn details_are_items_of_one_line_each() {
        let details = vec![ReportDetail::new("asset_group", "a\tb\nc"), ReportDetail::new("target", "")];
        let report = ReportStart::default().with_details(details).with_assets_alive(Some(3));
        let cell = |name: &str| ReportColumn::find(name).unwrap().cell(&report);
        assert_eq!(cell("details"), "asset_group\ta b c\ntarget\t");
        assert_eq!((cell("assets_alive"), cell("assets_total")), ("3".to_owned(), String::new()));
    }
}
