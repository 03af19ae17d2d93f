//! What the tables of an input call.

use crate::batch::BatchSender;

/// An input, and what its batches have in common.
pub(super) struct PluginState<T> {
    pub(super) plugin: T,
    pub(super) sender: BatchSender,
    /// The size of a batch, as the host has set it.
    pub(super) batch_bytes: u64,
}
