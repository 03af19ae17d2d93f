//! What an output gets of a batch, to write or to render it.

use abi_stable::StableAbi;

use super::batch::BatchRef;
use super::memory::WordsRef;
use crate::batch::{Batch, Columns, Selection};

/// All assets of the batch are selected.
pub(super) const ALL_ASSETS: u32 = 1;
/// All findings of the batch are selected.
pub(super) const ALL_FINDINGS: u32 = 2;

/// A batch for an output, with the selected rows.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct WriteFrame<'a> {
    /// The size of this structure, in bytes.
    size: u32,
    /// [`ALL_ASSETS`], [`ALL_FINDINGS`].
    flags: u32,
    /// The number of the batch; ascending for each instance.
    number: u64,
    batch: &'a BatchRef<'a>,
    assets: WordsRef<'a>,
    findings: WordsRef<'a>,
}

impl<'a> WriteFrame<'a> {
    pub(super) fn new(batch: &'a BatchRef<'a>, selection: Selection<'a>, number: u64) -> Self {
        Self {
            size: size_of::<WriteFrame<'_>>() as u32,
            number,
            batch,
            flags: if selection.assets.is_none() { ALL_ASSETS } else { 0 }
                | if selection.findings.is_none() { ALL_FINDINGS } else { 0 },
            assets: selection.assets.unwrap_or_default().into(),
            findings: selection.findings.unwrap_or_default().into(),
        }
    }

    /// The selected rows.
    pub(super) fn batch(&self, columns: &'a Columns) -> Batch<'a> {
        let selection = Selection {
            assets: (self.flags & ALL_ASSETS == 0).then(|| self.assets.as_slice()),
            findings: (self.flags & ALL_FINDINGS == 0).then(|| self.findings.as_slice()),
        };
        Batch::resolved(*self.batch, columns, selection).with_number(self.number)
    }
}

/// An output and the columns of the current report.
pub(super) struct PluginState<T> {
    pub(super) plugin: T,
    pub(super) columns: Columns,
}
