//! Builds batches for an input.

use std::sync::Arc;

use super::columns::RowLayout;
use super::layout::{ASSET_LEAD, TARGET_BYTES, stride};
use super::new_definitions::{DefinitionIndex, NewDefinitions, SentDefinitions};
use super::row::{AssetRow, DefinitionRow, FindingRow, offset};
use super::schema::Schema;
use crate::abi::RawBatch2;
use crate::model::{AssetField, DefinitionField, FindingField};

/// The row of an asset in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowIndex(u32);

/// Fills a batch. The builder that [`Input::next`](crate::Input::next) gets has the columns of the schema that `open`
/// returned; [`BatchBuilder::new`] makes one for any schema, and the default one has the fields of this version's model.
///
/// ```
/// use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow};
/// use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingKind, Protocol, Severity};
///
/// let mut batch = BatchBuilder::default();
/// let mut asset = AssetRow::default();
/// asset.set(AssetField::Address, "192.0.2.10");
/// let asset = batch.push_asset(&asset, false);
///
/// let mut definition = DefinitionRow::default();
/// definition.set(DefinitionField::Id, "42366");
/// let definition = batch.push_definition(&definition);
///
/// let mut finding = FindingRow::default();
/// finding.set_kind(FindingKind::Vulnerability);
/// finding.set_severity(Severity::of_scale(9.8, 0.0, 10.0));
/// finding.set_port(443);
/// finding.set_protocol(Protocol::Tcp);
/// batch.push_finding(asset, definition, &finding);
/// ```
#[derive(Debug)]
pub struct BatchBuilder {
    layouts: Arc<Layouts>,
    bytes: Vec<u8>,
    assets: Vec<u32>,
    findings: Vec<u32>,
    definitions: NewDefinitions,
    /// The size at which the batch is full, in bytes.
    target_bytes: usize,
}

/// The layouts of the rows of the three tables.
#[derive(Debug)]
struct Layouts {
    assets: RowLayout,
    definitions: RowLayout,
    findings: RowLayout,
}

/// What the batches of a sender have in common: their columns, and the definitions that were sent. An instance keeps it
/// between batches.
#[derive(Debug, Clone)]
pub(crate) struct BatchSender {
    layouts: Arc<Layouts>,
    sent: SentDefinitions,
}

impl BatchSender {
    pub(crate) fn new(schema: &Schema) -> Self {
        let layouts = Layouts {
            assets: RowLayout::of::<AssetField>(schema),
            definitions: RowLayout::of::<DefinitionField>(schema),
            findings: RowLayout::of::<FindingField>(schema),
        };
        Self { layouts: Arc::new(layouts), sent: SentDefinitions::default() }
    }

    /// A builder of the next batch, in the memory of an earlier one. It sends only definitions that were not sent
    /// before.
    pub(crate) fn next_batch(&self, recycled: RawBatch2) -> BatchBuilder {
        let recycled = if recycled.capacity_bytes() > BatchBuilder::KEPT_BYTES {
            RawBatch2::default()
        } else {
            recycled
        };
        let mut builder = BatchBuilder {
            layouts: Arc::clone(&self.layouts),
            bytes: recycled.text.into_vec(),
            assets: recycled.assets.into_vec(),
            findings: recycled.findings.into_vec(),
            definitions: NewDefinitions::after(&self.sent, recycled.keys.into_vec()),
            target_bytes: BatchBuilder::TARGET_BYTES,
        };
        builder.bytes.clear();
        builder.bytes.reserve(BatchBuilder::RESERVED_BYTES);
        builder.assets.clear();
        builder.findings.clear();
        builder
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new(&Schema::default())
    }
}

impl BatchBuilder {
    /// A batch is passed on when it has this many bytes, unless the host sets another size
    /// ([`Limits::batch_bytes`](crate::Limits::batch_bytes)): large enough to make the cost of the transfer between threads
    /// negligible, small enough for the second level cache of a core.
    pub const TARGET_BYTES: usize = TARGET_BYTES;

    /// Reserved for the texts of a batch, so that they are rarely moved when they grow: a full batch and the rest of an
    /// asset. Unused pages of it are not in memory.
    const RESERVED_BYTES: usize = Self::TARGET_BYTES + Self::TARGET_BYTES / 4;

    /// The memory that a recycled batch may keep. More is freed, so that the memory of one huge finding is not kept.
    const KEPT_BYTES: usize = 4 * Self::TARGET_BYTES;

    /// An empty batch with these columns. It sends all its definitions.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self::recycle(schema, RawBatch2::default())
    }

    /// An empty batch with these columns, in the memory of an earlier one. It sends all its definitions.
    #[must_use]
    pub fn recycle(schema: &Schema, batch: RawBatch2) -> Self {
        BatchSender::new(schema).next_batch(batch)
    }

    /// Sets the size at which the batch is full, in bytes.
    #[must_use]
    pub(crate) fn with_target_bytes(mut self, bytes: u64) -> Self {
        self.target_bytes = usize::try_from(bytes).unwrap_or(Self::TARGET_BYTES).max(1);
        self
    }

    /// Adds an asset. `continued` means that its first findings were in an earlier batch: an asset that is larger than a
    /// batch is repeated at the beginning of the next one.
    pub fn push_asset(&mut self, row: &AssetRow, continued: bool) -> RowIndex {
        let layout = &self.layouts.assets;
        let index = offset(self.assets.len() / stride(ASSET_LEAD, layout.columns));
        self.assets.push(u32::from(continued));
        row.write_to(layout, &mut self.bytes, &mut self.assets);
        RowIndex(index)
    }

    /// Replaces the cells of an asset of this batch, for texts that the source has only after the first findings.
    pub fn replace_asset(&mut self, asset: RowIndex, row: &AssetRow) {
        let layout = &self.layouts.assets;
        let start = asset.0 as usize * stride(ASSET_LEAD, layout.columns) + ASSET_LEAD;
        let end = self.assets.len();
        row.write_to(layout, &mut self.bytes, &mut self.assets);
        self.assets.copy_within(end.., start);
        self.assets.truncate(end);
    }

    /// Adds a definition. Its cells are sent only if the receiver does not have them from an earlier batch.
    pub fn push_definition(&mut self, row: &DefinitionRow) -> DefinitionIndex {
        self.definitions.push(row, &self.layouts.definitions)
    }

    /// Adds a definition by the key that an earlier [`BatchBuilder::push_definition`] returned, without its cells. None
    /// when the receiver may not have it any more: then the cells must be added again.
    #[must_use]
    pub fn push_known(&mut self, key: u128) -> Option<DefinitionIndex> {
        self.definitions.push_known(key)
    }

    /// Adds a finding on an asset of this batch.
    pub fn push_finding(&mut self, asset: RowIndex, definition: DefinitionIndex, row: &FindingRow) {
        let [first, second] = row.codes().0;
        self.findings.extend([asset.0, definition.row(), first, second]);
        row.write_to(&self.layouts.findings, &mut self.bytes, &mut self.findings);
    }

    /// Whether the batch should be passed on now: its texts or its tables have reached the target. Rows without
    /// any text count through their tables alone.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.load() >= self.target_bytes
    }

    /// Whether the batch should be passed on even inside an asset. The host can commit only where the last asset is
    /// complete, so an input fills a full batch up to the end of an asset, but not beyond this.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.load() >= self.target_bytes + self.target_bytes / 2
    }

    /// Whether the batch has neither assets nor findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assets.is_empty() && self.findings.is_empty()
    }

    /// The bytes of the texts or of the tables, whichever are more.
    fn load(&self) -> usize {
        let texts = self.bytes.len() + self.definitions.len();
        let tables = 4 * (self.assets.len() + self.findings.len()) + self.definitions.table_bytes();
        texts.max(tables)
    }

    /// The batch, ready to cross the ABI.
    #[must_use]
    pub fn finish(self) -> RawBatch2 {
        let definitions = self.definitions.finish();
        RawBatch2 {
            epoch: definitions.epoch,
            text: self.bytes.into(),
            assets: self.assets.into(),
            findings: self.findings.into(),
            keys: definitions.keys.into(),
            new_rows: definitions.rows.into(),
            new_text: definitions.text.into(),
            ..RawBatch2::default()
        }
    }
}
