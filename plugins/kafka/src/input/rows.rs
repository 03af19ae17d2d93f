//! Copies assets into batches of this input.

use std::collections::VecDeque;

use scanbridge_plugin_api::batch::{
    AssetRow, AssetView, BatchBuilder, Column, DefinitionRow, DefinitionView, FindingRow, FindingView,
    OwnColumn, RawBatch2, RowIndex, Schema,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};
use scanbridge_plugin_api::{PluginError, Result};

use super::window::Asset;

/// The assets of a report, on their way into batches.
#[derive(Debug)]
pub(super) struct AssetWriter {
    assets: VecDeque<Asset>,
    /// The part and the finding of the first asset at which the next batch begins.
    at: (usize, usize),
    rows: Rows,
}

#[derive(Debug, Default)]
struct Rows {
    asset: AssetRow,
    definition: DefinitionRow,
    finding: FindingRow,
}

/// The own columns of a record, and where they are in the batches of this input.
struct OwnColumns<F> {
    columns: Vec<(usize, OwnColumn<F>)>,
}

impl<F: Field> OwnColumns<F> {
    fn new(record: &Schema, input: &Schema) -> Self {
        let columns = F::columns(record).iter().enumerate().filter(|(_, column)| column.is_own());
        let columns =
            columns.filter_map(|(index, column)| Some((index, input.own_column::<F>(&column.name)?)));
        Self { columns: columns.collect() }
    }
}

impl AssetWriter {
    pub(super) fn new(assets: Vec<Asset>) -> Self {
        Self { assets: assets.into(), at: (0, 0), rows: Rows::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.assets.is_empty()
    }

    /// Fills a batch with the next assets.
    ///
    /// # Errors
    /// A bug: a batch that was checked cannot be read.
    pub(super) fn fill(&mut self, mut builder: BatchBuilder, schema: &Schema) -> Result<RawBatch2> {
        while let Some(asset) = self.assets.front() {
            let is_done =
                Copy { rows: &mut self.rows, builder: &mut builder, schema }.asset(asset, &mut self.at)?;
            if !is_done {
                break;
            }
            self.assets.pop_front();
            self.at = (0, 0);
            if builder.is_full() {
                break;
            }
        }
        Ok(builder.finish())
    }
}

struct Copy<'a> {
    rows: &'a mut Rows,
    builder: &'a mut BatchBuilder,
    schema: &'a Schema,
}

impl Copy<'_> {
    /// Copies an asset from this position on. Returns whether it is complete; else the position is where to continue.
    fn asset(&mut self, asset: &Asset, at: &mut (usize, usize)) -> Result<bool> {
        let record = asset.report.schema();
        let own = (
            OwnColumns::new(record, self.schema),
            OwnColumns::new(record, self.schema),
            OwnColumns::new(record, self.schema),
        );
        // Content keys are comparable only between batches with the same columns.
        let has_same_columns = record == self.schema;
        let mut row: Option<RowIndex> = None;
        let is_continued = *at != (0, 0);
        for (number, part) in asset.parts.iter().enumerate().skip(at.0) {
            let stopped = part.read(|batch| {
                let view = batch
                    .assets()
                    .next()
                    .ok_or_else(|| PluginError::bug("plugin bug: a record without an asset was accepted"))?;
                let row = *row.get_or_insert_with(|| self.push_asset(view, &own.0, is_continued));
                let begin = if number == at.0 { at.1 } else { 0 };
                for (index, finding) in batch.findings().enumerate().skip(begin) {
                    self.push_finding(row, finding, &own.1, &own.2, has_same_columns);
                    if self.builder.is_overfull() && index + 1 < batch.finding_count() {
                        return Ok(Some(index + 1));
                    }
                }
                Ok::<_, PluginError>(None)
            })?;
            if let Some(index) = stopped {
                *at = (number, index);
                return Ok(false);
            }
            if self.builder.is_overfull() && number + 1 < asset.parts.len() {
                *at = (number + 1, 0);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn push_asset(&mut self, view: AssetView<'_>, own: &OwnColumns<AssetField>, continued: bool) -> RowIndex {
        let row = &mut self.rows.asset;
        row.clear();
        for field in AssetField::ALL {
            set(view.get(*field), |text| row.set(*field, text));
        }
        for (index, column) in &own.columns {
            set(view.column(Some(*index)), |text| row.set_own(*column, text));
        }
        self.builder.push_asset(row, continued)
    }

    fn push_finding(
        &mut self,
        asset: RowIndex,
        view: FindingView<'_>,
        definitions: &OwnColumns<DefinitionField>,
        findings: &OwnColumns<FindingField>,
        has_same_columns: bool,
    ) {
        let definition = view.definition();
        let known = has_same_columns.then(|| self.builder.push_known(definition.key())).flatten();
        let definition = match known {
            Some(known) => known,
            None => self.push_definition(definition, definitions),
        };
        let row = &mut self.rows.finding;
        row.clear();
        for field in FindingField::ALL {
            set(view.get(*field), |text| row.set(*field, text));
        }
        for (index, column) in &findings.columns {
            set(view.column(Some(*index)), |text| row.set_own(*column, text));
        }
        row.set_kind(view.kind());
        row.set_severity(view.severity());
        row.set_port(view.port().unwrap_or_default());
        row.set_protocol(view.protocol());
        row.set_ssl(view.ssl());
        row.set_status(view.status());
        self.builder.push_finding(asset, definition, row);
    }

    fn push_definition(
        &mut self,
        view: DefinitionView<'_>,
        own: &OwnColumns<DefinitionField>,
    ) -> scanbridge_plugin_api::batch::DefinitionIndex {
        let row = &mut self.rows.definition;
        row.clear();
        for field in DefinitionField::ALL {
            set(view.get(*field), |text| row.set(*field, text));
        }
        for (index, column) in &own.columns {
            set(view.column(Some(*index)), |text| row.set_own(*column, text));
        }
        self.builder.push_definition(row)
    }
}

/// Most cells are empty.
fn set(text: &str, set: impl FnOnce(&str)) {
    if !text.is_empty() {
        set(text);
    }
}

/// The columns of `schema` with the own columns of `other` that it does not have; `None` if it has all.
pub(super) fn with_own_columns(schema: &Schema, other: &Schema) -> Option<Schema> {
    if !(lacks::<AssetField>(schema, other)
        || lacks::<DefinitionField>(schema, other)
        || lacks::<FindingField>(schema, other))
    {
        return None; // As nearly always, and the schema is large.
    }
    let mut merged = schema.clone();
    let mut is_changed = false;
    is_changed |= add_own::<AssetField>(&mut merged, other);
    is_changed |= add_own::<DefinitionField>(&mut merged, other);
    is_changed |= add_own::<FindingField>(&mut merged, other);
    is_changed.then_some(merged)
}

fn lacks<F: Field>(schema: &Schema, other: &Schema) -> bool {
    let own = F::columns(other).iter().filter(|column| column.is_own());
    own.into_iter().any(|column| schema.own_column::<F>(&column.name).is_none())
}

fn add_own<F: Field>(schema: &mut Schema, other: &Schema) -> bool {
    let mut is_changed = false;
    for Column { name, column_type, title, .. } in F::columns(other).iter().filter(|column| column.is_own()) {
        if schema.own_column::<F>(name).is_none() {
            // Refused if another table has it: then it is not read.
            is_changed |= schema.add_column::<F>(name, *column_type, title).is_ok();
        }
    }
    is_changed
}
