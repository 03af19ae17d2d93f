//! Dead letters as an input: sent in the order in which they were written, report by report.

use std::collections::BTreeMap;
use std::iter::Peekable;

use scanbridge_plugin_api::batch::{
    AssetRow, BatchBuilder, ColumnType, DefinitionRow, FindingRow, RawBatch2, Row, Schema,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField, ReportEnd};
use scanbridge_plugin_api::{PluginError, Position, Step, Stored};

use crate::state::{DeadLetter, DeadLetterEnd, DeadLetterReader, Record, ReportRecord, StateError};

/// Builds reports from dead letters. They are partial and never complete, so outputs do not replace or remove
/// anything because of them. Dead letters that the output has accepted, or has rejected again, are removed when that
/// is stored and published.
pub(in crate::pipeline) struct DeadLetterSource {
    reader: DeadLetterReader,
    dead_letters: Peekable<DeadLetterReader>,
    /// Number of the last dead letter that was sent.
    last: u64,
    schema: Schema,
    report: Option<ReportRecord>,
}

impl std::fmt::Debug for DeadLetterSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeadLetterSource")
    }
}

impl DeadLetterSource {
    /// Its ID in summaries.
    pub(super) const ID: &'static str = "dead-letters";

    /// `schema` is that of [`schema_of`] these dead letters.
    pub(in crate::pipeline) fn new(reader: DeadLetterReader, schema: Schema) -> Self {
        Self { dead_letters: reader.clone().peekable(), reader, last: 0, schema, report: None }
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(super) fn next(&mut self, recycled: RawBatch2) -> Result<Step, PluginError> {
        // A corrupt dead letter stays, and must not keep the others back.
        while let Some(Err(error)) = self.dead_letters.next_if(Result::is_err) {
            tracing::warn!("{error}; it is skipped");
        }
        let next_report = self
            .dead_letters
            .peek()
            .and_then(|dead_letter| Some(&dead_letter.as_ref().ok()?.1.report))
            .cloned();
        match (&self.report, next_report) {
            (Some(report), Some(next)) if *report == next => Ok(self.batch(recycled)),
            (Some(_), _) => {
                self.report = None;
                let end = ReportEnd::default()
                    .with_deliver(true)
                    .with_reason("replayed dead letters: single findings, not a complete report");
                Ok(Step::report_end(end).at(Some(self.position())))
            }
            (None, Some(next)) => {
                self.report = Some(next.clone());
                Ok(Step::report_start(next.into()))
            }
            (None, None) => Ok(Step::finished()),
        }
    }

    fn position(&self) -> Position {
        Position(self.last.to_le_bytes().to_vec())
    }

    /// Removes the dead letters up to this position. Of those that the output has rejected again, the ones up to its
    /// last commit count from now on.
    pub(super) fn stored(
        &self,
        stored: &Stored,
        ends: &BTreeMap<String, DeadLetterEnd>,
    ) -> Result<(), PluginError> {
        let Ok(number) = <[u8; 8]>::try_from(stored.position.0.as_slice()) else { return Ok(()) };
        let last = ends.get(self.reader.output()).map_or(0, |end| end.number);
        Ok(self.reader.remove_up_to(u64::from_le_bytes(number), last)?)
    }

    /// Dead letters of one report, up to a full batch. Consecutive findings of one asset share its row.
    fn batch(&mut self, recycled: RawBatch2) -> Step {
        let mut batch = BatchBuilder::recycle(&self.schema, recycled);
        let mut asset = None;
        let report = self.report.clone();
        let is_next = |dead_letter: &Result<(u64, DeadLetter), StateError>| {
            dead_letter.as_ref().is_ok_and(|(_, dead_letter)| Some(&dead_letter.report) == report.as_ref())
        };
        while !batch.is_full() {
            let Some(Ok((number, dead_letter))) = self.dead_letters.next_if(is_next) else { break };
            self.last = number;
            let Record { asset: fields, definition, finding, .. } = dead_letter.record;
            let row = match &asset {
                Some((previous, row)) if *previous == fields => *row,
                _ => batch.push_asset(&row::<_>(&fields, &self.schema) as &AssetRow, false),
            };
            asset = Some((fields, row));
            let definition: DefinitionRow = self::row(&definition, &self.schema);
            let definition = batch.push_definition(&definition);
            let finding = finding_row(&finding, &self.schema);
            batch.push_finding(row, definition, &finding);
        }
        Step::batch(batch.finish()).at(Some(self.position()))
    }
}

/// The columns of these dead letters: those of the model, and those that the inputs have added.
pub fn schema_of(dead_letters: DeadLetterReader) -> Schema {
    let mut schema = Schema::default();
    // An invalid dead letter is reported when it is replayed.
    for Record { asset, definition, finding, types } in
        dead_letters.flatten().map(|(_, letter)| letter.record)
    {
        let type_of = |name: &str| types.get(name).copied().unwrap_or_default();
        add_own_columns::<AssetField>(&mut schema, &asset, type_of);
        add_own_columns::<DefinitionField>(&mut schema, &definition, type_of);
        add_own_columns::<FindingField>(&mut schema, &finding, type_of);
    }
    schema
}

fn add_own_columns<F: Field>(
    schema: &mut Schema,
    fields: &BTreeMap<String, String>,
    type_of: impl Fn(&str) -> ColumnType,
) {
    for name in fields.keys().filter(|name| name.contains(':')) {
        if schema.own_column::<F>(name).is_some() {
            continue;
        }
        if let Err(error) = schema.add_column::<F>(name, type_of(name), "") {
            tracing::warn!("the replayed dead letters lose the column `{name}`: {}", error.message);
        }
    }
}

/// A row with these fields. Names that are neither in the model nor in the schema are skipped.
fn row<F: Field>(fields: &BTreeMap<String, String>, schema: &Schema) -> Row<F> {
    let mut row = Row::default();
    for (name, text) in fields {
        if let Some(index) = F::NAMES.iter().position(|field| field == name) {
            row.set(F::ALL[index], text);
        } else if let Some(column) = schema.own_column(name) {
            row.set_own(column, text);
        }
    }
    row
}

/// A row with these values. Names that are neither in the model nor in the schema, and texts that are not a value, are
/// skipped.
fn finding_row(values: &BTreeMap<String, String>, schema: &Schema) -> FindingRow {
    let mut row = FindingRow::default();
    for (name, text) in values {
        match schema.own_column(name) {
            Some(column) => row.set_own(column, text),
            None => drop(row.set_printed(name, text)),
        }
    }
    row
}
