//! The content of a batch as rows that a test can compare.

use std::collections::BTreeMap;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field};

/// The non-empty cells of a row, by column name.
pub type Row = BTreeMap<String, String>;

/// The assets that begin in this batch, without continued ones.
#[must_use]
pub fn assets(batch: Batch<'_>) -> Vec<Row> {
    let begun = batch.assets().filter(|asset| !asset.is_continued());
    begun.map(|asset| cells(AssetField::NAMES, |column| asset.column(Some(column)), "")).collect()
}

/// The findings of this batch, each with the cells of its definition (`definition.title`) and the address of its
/// asset (`asset`).
#[must_use]
pub fn findings(batch: Batch<'_>) -> Vec<Row> {
    let mut scratch = String::new();
    let rows = batch.findings().map(|finding| {
        let values = batch.columns().finding_columns().into_iter();
        let values =
            values.map(|(name, column)| (name.to_owned(), finding.printed(column, &mut scratch).to_owned()));
        let mut row: Row = values.filter(|(_, text)| !text.is_empty()).collect();
        let definition = finding.definition();
        let names = DefinitionField::NAMES;
        row.append(&mut cells(names, |column| definition.column(Some(column)), "definition."));
        row.insert("asset".to_owned(), finding.asset().address().to_owned());
        row
    });
    rows.collect()
}

fn cells<'a>(names: &[&str], cell: impl Fn(usize) -> &'a str, prefix: &str) -> Row {
    let cells =
        names.iter().enumerate().map(|(column, name)| (format!("{prefix}{name}"), cell(column).to_owned()));
    cells.filter(|(_, text)| !text.is_empty()).collect()
}
