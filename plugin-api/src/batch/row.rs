//! Rows under construction.

use std::marker::PhantomData;

use crate::model::{AssetField, DefinitionField, Field, FindingField};

/// A row under construction: cells are given in any order, and whoever parses keeps one row and clears it
/// for each use, so that nothing is allocated a finding.
#[derive(Debug, Clone)]
pub struct Row<F> {
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    open: Option<usize>,
    field: PhantomData<F>,
}

/// A row of the table of assets.
pub type AssetRow = Row<AssetField>;
/// A row of the table of definitions.
pub type DefinitionRow = Row<DefinitionField>;
/// A row of the table of findings.
pub type FindingRow = Row<FindingField>;

impl<F: Field> Default for Row<F> {
    fn default() -> Self {
        Self { bytes: Vec::new(), spans: vec![(0, 0); F::NAMES.len()], open: None, field: PhantomData }
    }
}

impl<F: Field> Row<F> {
    /// Empties every cell and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.fill((0, 0));
        self.open = None;
    }

    /// Gives a cell its whole text, in place of what it had.
    pub fn set(&mut self, field: F, text: &str) {
        self.spans[field.index()] = (offset(self.bytes.len()), offset(self.bytes.len()));
        self.open = Some(field.index());
        self.append(field, text);
    }

    /// Adds text to the end of a cell. Pieces of one cell are best added without another cell's in between:
    /// only then are they not copied again.
    pub fn append(&mut self, field: F, text: &str) {
        let index = field.index();
        if self.open != Some(index) {
            let (start, end) = self.spans[index];
            let moved = offset(self.bytes.len());
            self.bytes.extend_from_within(start as usize..end as usize);
            self.spans[index].0 = moved;
            self.open = Some(index);
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.spans[index].1 = offset(self.bytes.len());
    }

    /// Adds an item to a list cell.
    pub fn append_item(&mut self, field: F, item: &str) {
        if self.cell_len(field) > 0 {
            self.append(field, "\n");
        }
        self.append(field, item);
    }

    /// The text of a cell so far.
    #[must_use]
    pub fn get(&self, field: F) -> &str {
        // The bytes were appended as whole `str`s, so no cell can end inside a character.
        std::str::from_utf8(self.cell(field.index())).unwrap_or_default()
    }

    /// How many bytes of text a cell holds so far.
    #[must_use]
    pub fn cell_len(&self, field: F) -> usize {
        self.cell(field.index()).len()
    }

    /// Whether no cell has text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.iter().all(|(start, end)| start == end)
    }

    /// How many bytes of text the row holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.iter().map(|(start, end)| (end - start) as usize).sum()
    }

    fn cell(&self, index: usize) -> &[u8] {
        let (start, end) = self.spans[index];
        &self.bytes[start as usize..end as usize]
    }

    /// The bytes that were given, with the places of the cells in them: equal pairs mean equal cells.
    pub(super) fn content(&self) -> (&[u8], &[(u32, u32)]) {
        (&self.bytes, &self.spans)
    }

    /// Appends the cells in column order and their offsets, behind the leading numbers that are there already.
    pub(super) fn write_to(&self, bytes: &mut Vec<u8>, table: &mut Vec<u32>) {
        table.push(offset(bytes.len()));
        for index in 0..self.spans.len() {
            bytes.extend_from_slice(self.cell(index));
            table.push(offset(bytes.len()));
        }
    }
}

/// Offsets are `u32`: a batch is handed on long before 4 GiB, and a single text is limited by its reader.
pub(super) fn offset(position: usize) -> u32 {
    u32::try_from(position).expect("a batch stays below 4 GiB")
}
