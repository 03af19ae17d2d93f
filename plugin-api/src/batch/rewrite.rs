//! A copy of a batch with other cells, for one output.

use std::collections::BTreeSet;

use super::layout::{ASSET_LEAD, FINDING_LEAD, stride};
use super::received::ValidBatch;
use super::validation::BadBatch;
use super::view::{AssetView, Batch, FindingView, Selection};
use crate::abi::RawBatch2;

/// Writes the cells of a copy of a batch. `column` is the position of the cell in the schema.
pub trait CellWriter {
    /// Appends what replaces this cell of an asset. Not called for an empty cell.
    fn asset_cell(&mut self, asset: AssetView<'_>, column: usize, cell: &str, out: &mut String);

    /// Appends what replaces this cell of a finding. Not called for an empty cell.
    fn finding_cell(&mut self, finding: FindingView<'_>, column: usize, cell: &str, out: &mut String);
}

impl ValidBatch {
    /// Copies the selected rows with other cells. The other rows stay where they are, but are empty, so that the numbers of
    /// rows are those of this batch; an asset with a selected finding counts as selected. Definitions are shared.
    ///
    /// # Errors
    /// When the copy is too large for a batch (4 GiB).
    pub fn rewritten(
        &self,
        selection: Selection<'_>,
        writer: &mut impl CellWriter,
    ) -> Result<Self, BadBatch> {
        let (text, raw) = self.read(|batch| {
            let mut copy = Copy { text: String::with_capacity(batch.tables.text.len()), ..Copy::default() };
            copy.assets(batch.select(selection), writer);
            copy.findings(batch, selection, writer);
            (
                copy.text,
                RawBatch2 {
                    assets: copy.assets.into(),
                    findings: copy.findings.into(),
                    ..RawBatch2::default()
                },
            )
        });
        if u32::try_from(text.len()).is_err() {
            return Err(BadBatch::Offsets { table: "findings", row: 0 });
        }
        self.with_rows(text, raw)
    }
}

#[derive(Default)]
struct Copy {
    text: String,
    assets: Vec<u32>,
    findings: Vec<u32>,
}

impl Copy {
    fn assets(&mut self, batch: Batch<'_>, writer: &mut impl CellWriter) {
        let columns = batch.schema().assets.len();
        let selected: BTreeSet<u32> = batch
            .assets()
            .map(|asset| asset.row())
            .chain(batch.findings().map(|finding| finding.asset().row()))
            .collect();
        let all = batch.select(Selection::default());
        self.assets.reserve_exact(batch.tables.assets.len());
        for asset in all.assets() {
            self.assets.push(u32::from(asset.is_continued()));
            self.assets.push(end(&self.text));
            let is_selected = selected.contains(&asset.row());
            for column in 0..columns {
                let cell = if is_selected { asset.column(Some(column)) } else { "" };
                if !cell.is_empty() {
                    writer.asset_cell(asset, column, cell, &mut self.text);
                }
                self.assets.push(end(&self.text));
            }
        }
        debug_assert_eq!(self.assets.len() % stride(ASSET_LEAD, columns), 0);
    }

    fn findings(&mut self, batch: Batch<'_>, selection: Selection<'_>, writer: &mut impl CellWriter) {
        let columns = batch.schema().findings.len();
        self.findings.reserve_exact(batch.tables.findings.len());
        for numbers in batch.tables.findings.chunks_exact(stride(FINDING_LEAD, columns)) {
            let row = u32::try_from(self.findings.len() / numbers.len()).expect("a batch stays below 4 GiB");
            let is_selected = selection.findings.is_none_or(|rows| rows.binary_search(&row).is_ok());
            self.findings.extend(&numbers[..FINDING_LEAD]);
            self.findings.push(end(&self.text));
            let finding = batch.finding(row).filter(|_| is_selected);
            for column in 0..columns {
                if let Some(finding) = finding
                    && let cell = finding.column(Some(column))
                    && !cell.is_empty()
                {
                    writer.finding_cell(finding, column, cell, &mut self.text);
                }
                self.findings.push(end(&self.text));
            }
        }
    }
}

/// The end of the last cell; its length is checked afterwards.
fn end(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::{AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema};
    use crate::model::{AssetField, DefinitionField, FindingField, FindingKind};

    /// Writes cells in capital letters, three times.
    struct Louder;

    impl CellWriter for Louder {
        fn asset_cell(&mut self, _: AssetView<'_>, _: usize, cell: &str, out: &mut String) {
            out.push_str(&cell.to_uppercase().repeat(3));
        }

        fn finding_cell(&mut self, finding: FindingView<'_>, _: usize, cell: &str, out: &mut String) {
            out.push_str(&format!("{}:{cell}", finding.asset().get(AssetField::Dns)));
        }
    }

    fn batch() -> ValidBatch {
        let mut batch = BatchBuilder::default();
        for name in ["a", "b", "c"] {
            let mut asset = AssetRow::default();
            asset.set(AssetField::Dns, name);
            let asset = batch.push_asset(&asset, name == "c");
            let mut definition = DefinitionRow::default();
            definition.set(DefinitionField::Title, "title");
            let definition = batch.push_definition(&definition);
            let mut finding = FindingRow::default();
            finding.set_kind(FindingKind::Vulnerability);
            finding.set_port(443);
            finding.set(FindingField::Result, "result");
            batch.push_finding(asset, definition, &finding);
        }
        ValidBatch::alone(batch.finish(), Arc::new(Columns::of(Schema::default()))).unwrap()
    }

    #[test]
    fn selected_rows_are_rewritten_and_the_others_are_empty() {
        let batch = batch();
        let copy = batch.rewritten(Selection::new(&[0], &[0, 2]), &mut Louder).unwrap();
        copy.read(|copy| {
            let cells: Vec<_> = copy
                .findings()
                .map(|finding| {
                    let asset = finding.asset();
                    (asset.get(AssetField::Dns), asset.is_continued(), finding.get(FindingField::Result))
                })
                .collect();
            assert_eq!(cells, [("AAA", false, "a:result"), ("", false, ""), ("CCC", true, "c:result")]);
            let finding = copy.finding(2).unwrap();
            assert_eq!(
                (finding.port(), finding.definition().get(DefinitionField::Title)),
                (Some(443), "title")
            );
            assert_eq!(finding.definition().key(), copy.finding(0).unwrap().definition().key());
        });
        let all = batch.rewritten(Selection::default(), &mut Louder).unwrap();
        all.read(|copy| assert!(copy.assets().all(|asset| asset.get(AssetField::Dns).len() == 3)));
    }
}
