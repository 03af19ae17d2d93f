//! How an input fills a batch.

use std::collections::HashMap;
use std::marker::PhantomData;

use xxhash_rust::xxh3::xxh3_128;

use super::raw::{ASSET_LEAD, DEFINITION_LEAD, RawBatch, stride};
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

    /// Appends the cells in column order and their offsets, behind the leading numbers that are there already.
    fn write_to(&self, bytes: &mut Vec<u8>, table: &mut Vec<u32>) {
        table.push(offset(bytes.len()));
        for index in 0..self.spans.len() {
            bytes.extend_from_slice(self.cell(index));
            table.push(offset(bytes.len()));
        }
    }
}

/// The number of a row in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowIndex(u32);

/// Fills a batch with the columns of this version's model ([`Schema::default`](super::Schema)).
///
/// ```
/// use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow};
/// use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};
///
/// let mut batch = BatchBuilder::default();
/// let mut asset = AssetRow::default();
/// asset.set(AssetField::Address, "192.0.2.10");
/// let asset = batch.push_asset(&asset, false);
///
/// let mut definition = DefinitionRow::default();
/// definition.set(DefinitionField::Qid, "42366");
/// let definition = batch.push_definition(&definition);
///
/// let mut finding = FindingRow::default();
/// finding.set(FindingField::Kind, "vulnerability");
/// finding.set(FindingField::Port, "443");
/// batch.push_finding(asset, definition, &finding);
/// ```
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    assets: Vec<u32>,
    definitions: Vec<u32>,
    findings: Vec<u32>,
    by_content: HashMap<u128, u32>,
}

impl BatchBuilder {
    /// A batch of this many bytes is handed on: large enough to hide the hand-over between threads, small
    /// enough for the second level cache of a core.
    pub const TARGET_BYTES: usize = 384 * 1024;

    /// What a batch that came back may keep of its memory; one huge finding must not stay for ever.
    const KEPT_BYTES: usize = 4 * Self::TARGET_BYTES;

    /// Reuses the memory of a batch that came back.
    #[must_use]
    pub fn recycle(batch: RawBatch) -> Self {
        if batch.capacity_bytes() > Self::KEPT_BYTES {
            return Self::default();
        }
        let mut builder = Self {
            bytes: batch.bytes.into_vec(),
            assets: batch.assets.into_vec(),
            definitions: batch.definitions.into_vec(),
            findings: batch.findings.into_vec(),
            by_content: HashMap::new(),
        };
        builder.bytes.clear();
        builder.assets.clear();
        builder.definitions.clear();
        builder.findings.clear();
        builder
    }

    /// Adds an asset. `continued` says that its first findings went with an earlier batch: an asset that is
    /// larger than a batch is repeated at the head of the next one.
    pub fn push_asset(&mut self, row: &AssetRow, continued: bool) -> RowIndex {
        let index = rows(&self.assets, ASSET_LEAD, AssetField::NAMES);
        self.assets.push(u32::from(continued));
        row.write_to(&mut self.bytes, &mut self.assets);
        RowIndex(index)
    }

    /// Gives an asset of this batch other cells, for texts that the source has only after the first findings.
    pub fn replace_asset(&mut self, asset: RowIndex, row: &AssetRow) {
        let start = asset.0 as usize * stride(ASSET_LEAD, AssetField::NAMES.len()) + ASSET_LEAD;
        let end = self.assets.len();
        row.write_to(&mut self.bytes, &mut self.assets);
        self.assets.copy_within(end.., start);
        self.assets.truncate(end);
    }

    /// Adds a definition, or finds it when the batch has one with the same content already.
    pub fn push_definition(&mut self, row: &DefinitionRow) -> RowIndex {
        let index = rows(&self.definitions, DEFINITION_LEAD, DefinitionField::NAMES);
        let (arena, table) = (self.bytes.len(), self.definitions.len());
        self.definitions.extend([0; DEFINITION_LEAD]);
        row.write_to(&mut self.bytes, &mut self.definitions);
        let key = content_key(&self.bytes[arena..], &self.definitions[table + DEFINITION_LEAD..]);
        if let Some(known) = self.by_content.get(&key) {
            self.bytes.truncate(arena);
            self.definitions.truncate(table);
            return RowIndex(*known);
        }
        for part in 0..DEFINITION_LEAD {
            self.definitions[table + part] = (key >> (32 * part)) as u32;
        }
        self.by_content.insert(key, index);
        RowIndex(index)
    }

    /// Adds a finding on an asset and of a definition of this batch.
    pub fn push_finding(&mut self, asset: RowIndex, definition: RowIndex, row: &FindingRow) {
        self.findings.extend([asset.0, definition.0]);
        row.write_to(&mut self.bytes, &mut self.findings);
    }

    /// Whether the batch should be handed on now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= Self::TARGET_BYTES
    }

    /// Whether the batch holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assets.is_empty() && self.findings.is_empty()
    }

    /// The batch, ready to cross the ABI.
    #[must_use]
    pub fn finish(self) -> RawBatch {
        RawBatch {
            bytes: self.bytes.into(),
            assets: self.assets.into(),
            definitions: self.definitions.into(),
            findings: self.findings.into(),
        }
    }
}

/// Equal exactly when the cells are equal, so that an output can keep what it made of a text (cleaned, cut,
/// escaped) and use it for the next finding. Not a defence against somebody who builds collisions on purpose:
/// XXH3 is no cryptographic hash.
fn content_key(bytes: &[u8], offsets: &[u32]) -> u128 {
    let mut ends = [0_u8; 4 * DefinitionField::NAMES.len()];
    for (slot, end) in ends.chunks_exact_mut(4).zip(&offsets[1..]) {
        slot.copy_from_slice(&(end - offsets[0]).to_le_bytes());
    }
    xxh3_128(bytes).rotate_left(64) ^ xxh3_128(&ends)
}

fn rows(table: &[u32], lead: usize, names: &[&str]) -> u32 {
    offset(table.len() / stride(lead, names.len()))
}

/// Offsets are `u32`: a batch is handed on long before 4 GiB, and a single text is limited by its reader.
fn offset(position: usize) -> u32 {
    u32::try_from(position).expect("a batch stays below 4 GiB")
}
