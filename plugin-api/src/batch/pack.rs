//! A batch as one byte string, for a child process, a disk buffer or a message queue.

use super::layout::{ASSET_LEAD, FINDING_LEAD, stride};
use super::row::offset;
use super::view::{Batch, DefinitionView};
use crate::abi::RawBatch2;

/// The first bytes of a serialized batch.
const MAGIC: &[u8; 4] = b"SBB2";
/// The number of lengths after the magic bytes.
const LENGTHS: usize = 6;
/// A row that is not serialized.
const ABSENT: u32 = u32::MAX;

/// The bytes are not a serialized batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid serialized batch")]
pub struct BadPack;

/// Serializes the selected rows of a batch with the definitions that they refer to. The cells of definitions for whose content
/// key `is_known` returns true are left out; the receiver must have them. With `|_| false` the bytes contain everything.
///
/// All numbers are little-endian `u32`: the bytes `SBB2`; the lengths of the tables `assets`, `findings`, `keys` and
/// `new_rows`, in numbers; the lengths of `text` and `new_text`, in bytes; then these six in this order. The tables are
/// those of [`RawBatch2`].
///
/// # Panics
/// When the rows have more than 4 GiB of text, which no batch of an input has.
#[must_use]
pub fn pack(batch: Batch<'_>, is_known: impl Fn(u128) -> bool) -> Vec<u8> {
    let columns = batch.schema();
    let tables = batch.tables;
    let mut packed = Packed::default();

    let asset_stride = stride(ASSET_LEAD, columns.assets.len());
    let mut asset_rows = vec![ABSENT; tables.assets.len() / asset_stride];
    // Also the asset of a finding whose asset is not selected itself.
    for asset in batch.assets().chain(batch.findings().map(|finding| finding.asset())) {
        asset_rows[asset.row() as usize] = 0;
    }
    let selected = asset_rows.iter_mut().filter(|row| **row != ABSENT);
    (0..).zip(selected).for_each(|(new, row)| *row = new);
    for (row, numbers) in asset_rows.iter().zip(tables.assets.chunks_exact(asset_stride)) {
        if *row != ABSENT {
            let (lead, offsets) = numbers.split_at(ASSET_LEAD);
            packed.assets.extend(lead);
            copy_cells(tables.text, offsets, &mut packed.text, &mut packed.assets);
        }
    }

    let mut definition_rows = vec![ABSENT; batch.definition_count()];
    let finding_stride = stride(FINDING_LEAD, columns.findings.len());
    for finding in batch.findings() {
        let numbers = &tables.findings[finding.row() as usize * finding_stride..][..finding_stride];
        let (lead, offsets) = numbers.split_at(FINDING_LEAD);
        let definition = &mut definition_rows[lead[1] as usize];
        if *definition == ABSENT {
            *definition = packed.add_definition(&finding.definition(), &is_known);
        }
        packed.findings.extend([asset_rows[lead[0] as usize], *definition, lead[2], lead[3]]);
        copy_cells(tables.text, offsets, &mut packed.text, &mut packed.findings);
    }
    packed.to_bytes()
}

/// Reads the bytes that [`pack`] wrote. The batch has epoch 0. Nothing but its shape is checked:
/// [`DefinitionTable::resolve`](super::DefinitionTable::resolve) and [`ValidBatch::new`](super::ValidBatch::new) check
/// the rest, as for a batch from a plugin.
///
/// # Errors
/// When the bytes are too short or too long.
pub fn unpack(bytes: &[u8]) -> Result<RawBatch2, BadPack> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(BadPack)?;
    let (lengths, mut rest) = rest.split_at_checked(4 * LENGTHS).ok_or(BadPack)?;
    let lengths = words(lengths);
    let mut section = |bytes: u64| {
        let (section, after) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
        rest = after;
        Some(section)
    };
    let mut table = |length: u32| section(4 * u64::from(length)).map(words).ok_or(BadPack);
    let [assets, findings, keys, new_rows] =
        [table(lengths[0])?, table(lengths[1])?, table(lengths[2])?, table(lengths[3])?];
    let mut arena = |length: u32| section(u64::from(length)).map(<[u8]>::to_vec).ok_or(BadPack);
    let [text, new_text] = [arena(lengths[4])?, arena(lengths[5])?];
    if !rest.is_empty() {
        return Err(BadPack);
    }
    Ok(RawBatch2 {
        text: text.into(),
        assets: assets.into(),
        findings: findings.into(),
        keys: keys.into(),
        new_rows: new_rows.into(),
        new_text: new_text.into(),
        ..RawBatch2::default()
    })
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect()
}

/// The tables and arenas that are being serialized.
#[derive(Debug, Default)]
struct Packed {
    assets: Vec<u32>,
    findings: Vec<u32>,
    keys: Vec<u32>,
    new_rows: Vec<u32>,
    text: Vec<u8>,
    new_text: Vec<u8>,
}

impl Packed {
    /// Adds a definition and returns its row in the keys.
    fn add_definition(&mut self, definition: &DefinitionView<'_>, is_known: &impl Fn(u128) -> bool) -> u32 {
        let (key, text, offsets) = definition.parts();
        let row = offset(self.keys.len() / key.len());
        self.keys.extend(key);
        if !is_known(definition.key()) {
            self.new_rows.push(row);
            copy_cells(text, offsets, &mut self.new_text, &mut self.new_rows);
        }
        row
    }

    fn to_bytes(&self) -> Vec<u8> {
        let tables = [&self.assets, &self.findings, &self.keys, &self.new_rows];
        let arenas = [&self.text, &self.new_text];
        let lengths = tables.map(Vec::len).into_iter().chain(arenas.map(Vec::len)).map(offset);
        let mut bytes = MAGIC.to_vec();
        for number in lengths.chain(tables.into_iter().flatten().copied()) {
            bytes.extend(number.to_le_bytes());
        }
        arenas.into_iter().for_each(|arena| bytes.extend(arena));
        bytes
    }
}

/// Copies the cells of a row, and its offsets as they are in the new arena.
fn copy_cells(text: &str, offsets: &[u32], arena: &mut Vec<u8>, table: &mut Vec<u32>) {
    let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
    let new_start = offset(arena.len());
    arena.extend(&text.as_bytes()[start as usize..end as usize]);
    table.extend(offsets.iter().map(|old| old - start + new_start));
}
