//! Builds batches for an input.

use std::sync::{Arc, Mutex, PoisonError};

use super::columns::RowLayout;
use super::layout::{ASSET_LEAD, TARGET_BYTES, stride, with_reserve};
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
    shared: Arc<Shared>,
    bytes: Vec<u8>,
    assets: Vec<u32>,
    findings: Vec<u32>,
    definitions: NewDefinitions,
    /// The size at which the batch is full, in bytes.
    target_bytes: usize,
}

/// The layouts of the rows of the three tables, and the sizes of the largest batch so far.
#[derive(Debug)]
struct Shared {
    assets: RowLayout,
    definitions: RowLayout,
    findings: RowLayout,
    largest: Mutex<Lengths>,
}

/// The lengths of the arena and of the tables of a batch.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    bytes: usize,
    assets: usize,
    findings: usize,
}

/// What the batches of a sender have in common: their columns, and the definitions that were sent. An instance keeps it
/// between batches.
#[derive(Debug, Clone)]
pub(crate) struct BatchSender {
    shared: Arc<Shared>,
    sent: SentDefinitions,
}

impl BatchSender {
    pub(crate) fn new(schema: &Schema) -> Self {
        let shared = Shared {
            assets: RowLayout::of::<AssetField>(schema),
            definitions: RowLayout::of::<DefinitionField>(schema),
            findings: RowLayout::of::<FindingField>(schema),
            largest: Mutex::new(Lengths { bytes: BatchBuilder::TARGET_BYTES, assets: 0, findings: 0 }),
        };
        Self { shared: Arc::new(shared), sent: SentDefinitions::default() }
    }

    /// A builder of the next batch, in the memory of an earlier one. It sends only definitions that were not sent
    /// before. Its buffers are as large as the largest batch so far: those that grow by doubling leave gaps in the heap,
    /// and up to half of their capacity is unused. Pages at their end that are never written are not in memory.
    pub(crate) fn next_batch(&self, recycled: RawBatch2) -> BatchBuilder {
        let recycled = if recycled.capacity_bytes() > BatchBuilder::KEPT_BYTES {
            RawBatch2::default()
        } else {
            recycled
        };
        let largest = *self.shared.largest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut builder = BatchBuilder {
            shared: Arc::clone(&self.shared),
            bytes: recycled.text.into_vec(),
            assets: recycled.assets.into_vec(),
            findings: recycled.findings.into_vec(),
            definitions: NewDefinitions::after(&self.sent, recycled.keys.into_vec()),
            target_bytes: BatchBuilder::TARGET_BYTES,
        };
        builder.bytes.clear();
        builder.assets.clear();
        builder.findings.clear();
        builder.bytes.reserve_exact(with_reserve(largest.bytes));
        builder.assets.reserve_exact(with_reserve(largest.assets));
        builder.findings.reserve_exact(with_reserve(largest.findings));
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
        let layout = &self.shared.assets;
        let index = offset(self.assets.len() / stride(ASSET_LEAD, layout.columns));
        self.assets.push(u32::from(continued));
        row.write_to(layout, &mut self.bytes, &mut self.assets);
        RowIndex(index)
    }

    /// Replaces the cells of an asset of this batch, for texts that the source has only after the first findings.
    pub fn replace_asset(&mut self, asset: RowIndex, row: &AssetRow) {
        let layout = &self.shared.assets;
        let start = asset.0 as usize * stride(ASSET_LEAD, layout.columns) + ASSET_LEAD;
        let end = self.assets.len();
        row.write_to(layout, &mut self.bytes, &mut self.assets);
        self.assets.copy_within(end.., start);
        self.assets.truncate(end);
    }

    /// Adds a definition. Its cells are sent only if the receiver does not have them from an earlier batch.
    pub fn push_definition(&mut self, row: &DefinitionRow) -> DefinitionIndex {
        self.definitions.push(row, &self.shared.definitions)
    }

    /// Adds a definition by the key that an earlier [`BatchBuilder::push_definition`] returned, without its cells. None
    /// when the receiver may not have it any more: then the cells must be added again.
    #[must_use]
    pub fn push_known(&mut self, key: u128) -> Option<DefinitionIndex> {
        self.definitions.push_known(key)
    }

    /// Adds a definition by the key that an earlier [`BatchBuilder::push_definition`] returned for its cells. If the
    /// receiver may not have it any more, `read` fills the given number of bytes with what
    /// [`Row::store`](super::Row::store) made of the cells: they are sent without being read into a row before. None, and
    /// nothing is added, if the bytes are of another form, or the columns are not those of this version's model.
    ///
    /// # Errors
    /// That of `read`.
    pub fn push_stored<E>(
        &mut self,
        key: u128,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Option<DefinitionIndex>, E> {
        self.definitions.push_stored(key, length, &self.shared.definitions, read)
    }

    /// Adds a finding on an asset of this batch.
    pub fn push_finding(&mut self, asset: RowIndex, definition: DefinitionIndex, row: &FindingRow) {
        let [first, second] = row.codes().0;
        self.findings.extend([asset.0, definition.row(), first, second]);
        row.write_to(&self.shared.findings, &mut self.bytes, &mut self.findings);
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
        let Self { bytes, assets, findings, .. } = &self;
        let mut largest = self.shared.largest.lock().unwrap_or_else(PoisonError::into_inner);
        largest.bytes = largest.bytes.max(bytes.len());
        largest.assets = largest.assets.max(assets.len());
        largest.findings = largest.findings.max(findings.len());
        drop(largest);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A full batch whose findings have definitions of their own, with texts of this length in both.
    fn full_batch(sender: &BatchSender, number: &mut u32, length: usize) -> RawBatch2 {
        let mut batch = sender.next_batch(RawBatch2::default());
        let asset = batch.push_asset(&AssetRow::default(), false);
        while !batch.is_full() {
            *number += 1;
            let mut definition = DefinitionRow::default();
            definition.set(DefinitionField::Diagnosis, &format!("{number:0length$}"));
            let definition = batch.push_definition(&definition);
            let mut finding = FindingRow::default();
            finding.set(FindingField::Result, &"r".repeat(length));
            batch.push_finding(asset, definition, &finding);
        }
        batch.finish()
    }

    #[test]
    fn buffers_of_full_batches_have_one_size_with_little_unused_capacity() {
        let sender = BatchSender::new(&Schema::default());
        let mut number = 0;
        let mut batches: Vec<RawBatch2> =
            [900, 1000, 1000, 900].map(|length| full_batch(&sender, &mut number, length)).into();
        // The first batch could not know the sizes.
        batches.remove(0);
        for batch in &batches {
            let [text, new_text] = [&batch.text, &batch.new_text].map(|bytes| bytes.capacity());
            assert!(batch.text.len() + batch.new_text.len() >= BatchBuilder::TARGET_BYTES);
            // An eighth in reserve, and the rows of shorter texts are a ninth more.
            let limit = |length: usize| length * 4 / 3;
            assert!(batch.findings.capacity() <= limit(batch.findings.len()), "no growth by doubling");
            assert!(batch.new_rows.capacity() <= limit(batch.new_rows.len()), "no growth by doubling");
            assert_eq!(text, batches[0].text.capacity());
            assert_eq!(new_text, batches[0].new_text.capacity(), "a freed buffer has space for the next one");
        }
    }

    #[test]
    fn a_few_new_definitions_do_not_keep_the_memory_of_many() {
        let sender = BatchSender::new(&Schema::default());
        let mut number = 0;
        full_batch(&sender, &mut number, 1000);
        let mut batch = sender.next_batch(RawBatch2::default());
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Title, "t");
        batch.push_definition(&definition);
        let batch = batch.finish();
        assert_eq!(batch.new_text.capacity(), 1);
        assert_eq!(batch.new_rows.capacity(), batch.new_rows.len());
    }
}
