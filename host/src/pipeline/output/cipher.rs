//! The encryption of an output, and a batch as the output gets it.

use std::sync::Arc;

use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::ValidBatch;

use crate::encryption::{FrozenEncryption, OutputCipher};
use crate::pipeline::batch::SharedBatch;
use crate::state::Ledger;

/// The encryption of one output.
#[derive(Debug)]
pub(in crate::pipeline) struct DestinationCipher {
    pub(super) cipher: Arc<OutputCipher>,
    /// Settings that are to be stored before the output gets anything; `None` if that is done, or nothing is delivered.
    pub(super) to_freeze: Option<(Arc<Ledger>, FrozenEncryption)>,
}

impl DestinationCipher {
    /// With `to_freeze`, the settings are stored in this ledger before the output gets anything.
    pub(in crate::pipeline) fn new(
        cipher: Arc<OutputCipher>,
        to_freeze: Option<(Arc<Ledger>, FrozenEncryption)>,
    ) -> Self {
        Self { cipher, to_freeze }
    }
}

/// A batch as an output gets it.
#[derive(Debug, Clone)]
pub(super) enum SentBatch {
    /// The batch itself.
    Clear(Arc<SharedBatch>),
    /// A copy with encrypted values.
    Encrypted(Arc<ValidBatch>),
}

impl SentBatch {
    /// Calls `read` with the batch.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&ValidBatch) -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        match self {
            Self::Clear(batch) => read(&batch.validate()?.batch),
            Self::Encrypted(batch) => read(batch),
        }
    }
}
