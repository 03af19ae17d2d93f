//! The settings with which outputs were encrypted first.

use std::collections::BTreeMap;

use redb::TableHandle;

use super::tables::{ENCRYPTIONS, put};
use super::{Ledger, StateError};
use crate::encryption::FrozenEncryption;

impl Ledger {
    /// The settings with which an output was encrypted first; `None` if it got no encrypted values.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn frozen_encryption(&self, output: &str) -> Result<Option<FrozenEncryption>, StateError> {
        if !self.has_table(ENCRYPTIONS.name())? {
            return Ok(None);
        }
        self.get(ENCRYPTIONS, output)
    }

    /// The settings of all outputs.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn frozen_encryptions(&self) -> Result<BTreeMap<String, FrozenEncryption>, StateError> {
        if !self.has_table(ENCRYPTIONS.name())? {
            return Ok(BTreeMap::new());
        }
        self.all(ENCRYPTIONS)?
            .into_iter()
            .map(|(output, frozen)| Ok((output, self.parse(&frozen)?)))
            .collect()
    }

    /// Stores these settings, unless the output has some.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub(crate) fn freeze_encryption(
        &self,
        output: &str,
        encryption: &FrozenEncryption,
    ) -> Result<(), StateError> {
        if self.frozen_encryption(output)?.is_some() {
            return Ok(());
        }
        self.change(|transaction| put(transaction, ENCRYPTIONS, output, encryption))
    }

    /// Removes the settings of an output, so that the next run can encrypt it in another way. Returns the removed ones.
    ///
    /// # Errors
    /// When the ledger cannot be read or written. Then nothing has changed.
    pub(crate) fn forget_encryption(&self, output: &str) -> Result<Option<FrozenEncryption>, StateError> {
        let Some(frozen) = self.frozen_encryption(output)? else { return Ok(None) };
        self.change(|transaction| {
            transaction.open_table(ENCRYPTIONS)?.remove(output)?;
            Ok(())
        })?;
        Ok(Some(frozen))
    }
}
