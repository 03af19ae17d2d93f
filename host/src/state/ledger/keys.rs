//! The keys of plugin instances in the ledger.

use std::collections::BTreeMap;

use redb::{ReadableDatabase, ReadableTable};

use super::tables::KEYS;
use super::{Ledger, StateError};

impl Ledger {
    /// The value of a key of this instance.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn key(&self, instance: &str, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            Ok(table.get((instance, key))?.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| self.failed(&error))
    }

    /// The keys of this instance that begin with `prefix`, in ascending order, with the lengths of their values.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn keys(&self, instance: &str, prefix: &str) -> Result<Vec<(String, usize)>, StateError> {
        let read = || -> Result<Vec<(String, usize)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            let mut keys = Vec::new();
            for entry in table.range((instance, prefix)..)? {
                let (at, value) = entry?;
                let (owner, key) = at.value();
                if owner != instance || !key.starts_with(prefix) {
                    break;
                }
                keys.push((key.to_owned(), value.value().len()));
            }
            Ok(keys)
        };
        read().map_err(|error| self.failed(&error))
    }

    /// The number of keys of each instance that has any.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn key_counts(&self) -> Result<BTreeMap<String, u64>, StateError> {
        let read = || -> Result<BTreeMap<String, u64>, redb::Error> {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            let mut counts = BTreeMap::new();
            for entry in table.iter()? {
                *counts.entry(entry?.0.value().0.to_owned()).or_default() += 1;
            }
            Ok(counts)
        };
        read().map_err(|error| self.failed(&error))
    }

    /// Deletes all keys of an instance. Returns their number.
    ///
    /// # Errors
    /// When the ledger cannot be written. Then nothing has changed.
    pub fn delete_keys(&self, instance: &str) -> Result<u64, StateError> {
        let mut count = 0;
        self.change(|transaction| {
            transaction.open_table(KEYS)?.retain(|(owner, _), _| {
                count += u64::from(owner == instance);
                owner != instance
            })?;
            Ok(())
        })?;
        Ok(count)
    }
}
