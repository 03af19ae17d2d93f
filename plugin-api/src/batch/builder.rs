//! How an input fills a batch.

use super::layout::{ASSET_LEAD, stride};
use super::new_definitions::{DefinitionIndex, NewDefinitions, SentDefinitions};
use super::row::{AssetRow, DefinitionRow, FindingRow, offset};
use crate::abi::RawBatch2;
use crate::model::{AssetField, Field};

/// The row of an asset in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowIndex(u32);

/// Fills a batch with the columns of this version's model ([`Schema::default`](super::Schema)).
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
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    assets: Vec<u32>,
    findings: Vec<u32>,
    definitions: NewDefinitions,
}

impl BatchBuilder {
    /// A batch of this many bytes is handed on: large enough to hide the hand-over between threads, small
    /// enough for the second level cache of a core.
    pub const TARGET_BYTES: usize = 384 * 1024;

    /// What a batch that came back may keep of its memory; one huge finding must not stay for ever.
    const KEPT_BYTES: usize = 4 * Self::TARGET_BYTES;

    /// Reuses the memory of a batch. The new one sends all its definitions.
    #[must_use]
    pub fn recycle(batch: RawBatch2) -> Self {
        Self::following(&SentDefinitions::default(), batch)
    }

    /// Sends only definitions that were not sent before, in the memory of a batch that came back.
    pub(crate) fn following(sent: &SentDefinitions, batch: RawBatch2) -> Self {
        if batch.capacity_bytes() > Self::KEPT_BYTES {
            let definitions = NewDefinitions::after(sent, Vec::new());
            return Self { definitions, ..Self::default() };
        }
        let (bytes, assets, findings) =
            (batch.text.into_vec(), batch.assets.into_vec(), batch.findings.into_vec());
        let definitions = NewDefinitions::after(sent, batch.keys.into_vec());
        let mut builder = Self { bytes, assets, findings, definitions };
        builder.bytes.clear();
        builder.assets.clear();
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

    /// Adds a definition. Its cells are sent only if the receiver does not have them from an earlier batch.
    pub fn push_definition(&mut self, row: &DefinitionRow) -> DefinitionIndex {
        self.definitions.push(row)
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
        row.write_to(&mut self.bytes, &mut self.findings);
    }

    /// Whether the batch should be handed on now: its texts or its tables have reached the target. Rows without
    /// any text count through their tables alone.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.load() >= Self::TARGET_BYTES
    }

    /// Whether the batch should be handed on even inside an asset. The host can commit only where the last asset
    /// is whole, so an input lets a full batch grow to the end of an asset, but not beyond this.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.load() >= Self::TARGET_BYTES + Self::TARGET_BYTES / 2
    }

    /// Whether the batch holds nothing.
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

fn rows(table: &[u32], lead: usize, names: &[&str]) -> u32 {
    offset(table.len() / stride(lead, names.len()))
}
