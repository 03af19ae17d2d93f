//! The keys that an instance keeps between runs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::abi::HostHandle;
use crate::error::{ErrorKind, PluginError, Result};

/// The keys of one instance, in the host's ledger. Cheap to clone and usable from any thread.
///
/// A change is durable together with the data that it belongs to. What an input changed before it returned a step is
/// stored with the first checkpoint at or after that step; what it changed in
/// [`Input::stored`](crate::Input::stored), with the next one. What an output changed is stored with the receipt of
/// its next commit. After a crash, all or none of these changes are there. Until then, only this instance sees them.
/// A reopened instance does not see the changes since its position or receipt.
///
/// Calls of one instance see its own changes at once. The keys are not encrypted, so they must not contain secrets.
/// `scanbridge state reset FILE --instance ID` deletes them.
#[derive(Debug, Clone)]
pub struct State {
    keys: Keys,
}

#[derive(Debug, Clone)]
enum Keys {
    OfHost(HostHandle),
    InMemory(Arc<Mutex<Values>>),
}

type Values = BTreeMap<String, Vec<u8>>;

impl State {
    /// Maximum length of a key, in bytes.
    pub const MAX_KEY_BYTES: usize = 512;
    /// Maximum length of a value, in bytes.
    pub const MAX_VALUE_BYTES: usize = 64 << 10;
    /// Maximum length of all keys and values of an instance, in bytes.
    pub const MAX_BYTES: u64 = 256 << 20;

    pub(crate) fn of_host(host: HostHandle) -> Self {
        Self { keys: Keys::OfHost(host) }
    }

    /// Keys without a host, for a plugin's own tests: every instance with the same directory has the same keys until
    /// the process ends.
    pub(crate) fn in_memory(folder: &Path) -> Self {
        static ALL: LazyLock<Mutex<HashMap<PathBuf, Arc<Mutex<Values>>>>> = LazyLock::new(Mutex::default);
        let mut all = lock(&ALL);
        Self { keys: Keys::InMemory(Arc::clone(all.entry(folder.to_owned()).or_default())) }
    }

    /// The value of a key; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the ledger cannot be read; [`ErrorKind::Config`] when this host has no keys.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match &self.keys {
            Keys::OfHost(host) => host.get_key(key).unwrap_or_else(not_supported),
            Keys::InMemory(keys) => Ok(lock(keys).get(key).cloned()),
        }
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when key, value or all of them together are too long; [`ErrorKind::Bug`] in an instance that
    /// was opened for a check, which must change nothing; otherwise as [`State::get`].
    pub fn put(&self, key: &str, value: &[u8]) -> Result<()> {
        match &self.keys {
            Keys::OfHost(host) => host.put_key(key, value).unwrap_or_else(not_supported),
            Keys::InMemory(keys) => {
                check_length(key, value)?;
                lock(keys).insert(key.to_owned(), value.to_owned());
                Ok(())
            }
        }
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    /// As [`State::put`].
    pub fn delete(&self, key: &str) -> Result<()> {
        match &self.keys {
            Keys::OfHost(host) => host.delete_key(key).unwrap_or_else(not_supported),
            Keys::InMemory(keys) => {
                lock(keys).remove(key);
                Ok(())
            }
        }
    }

    /// The keys that begin with this prefix, in ascending order.
    ///
    /// # Errors
    /// As [`State::get`].
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        match &self.keys {
            Keys::OfHost(host) => host.list_keys(prefix).unwrap_or_else(not_supported),
            Keys::InMemory(keys) => {
                Ok(lock(keys).keys().filter(|key| key.starts_with(prefix)).cloned().collect())
            }
        }
    }
}

/// Checks the limits of one key. Hosts and tests use it.
///
/// # Errors
/// [`ErrorKind::Io`] when the key is empty or one of the two is too long.
#[doc(hidden)]
pub fn check_length(key: &str, value: &[u8]) -> Result<()> {
    let (key, value) = (key.len(), value.len());
    if (1..=State::MAX_KEY_BYTES).contains(&key) && value <= State::MAX_VALUE_BYTES {
        return Ok(());
    }
    Err(PluginError::new(
        ErrorKind::Io,
        format!(
            "cannot store a key of {key} bytes with a value of {value} bytes; the limits are 1 to {} and {}",
            State::MAX_KEY_BYTES,
            State::MAX_VALUE_BYTES
        ),
    ))
}

fn not_supported<T>() -> Result<T> {
    Err(PluginError::config("this release of the host cannot store keys of plugins (state/1)")
        .with_hint("update Scanbridge"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_without_a_host_are_shared_by_instances_of_one_directory() {
        let (one, same) = (State::in_memory(Path::new("a")), State::in_memory(Path::new("a")));
        one.put("done:1", b"x").unwrap();
        one.put("done:2", b"").unwrap();
        one.put("other", b"y").unwrap();
        assert_eq!(same.list("done:").unwrap(), ["done:1", "done:2"]);
        assert_eq!(same.get("done:1").unwrap(), Some(b"x".to_vec()));
        same.delete("done:1").unwrap();
        assert_eq!(one.get("done:1").unwrap(), None);
        assert_eq!(State::in_memory(Path::new("b")).list("").unwrap(), [""; 0]);
    }

    #[test]
    fn key_or_value_beyond_its_limit_is_refused() {
        assert_eq!(check_length(&"k".repeat(512), &[0; 64 << 10]), Ok(()));
        for (key, value) in [(0, 0), (513, 0), (1, (64 << 10) + 1)] {
            let refused = check_length(&"k".repeat(key), &vec![0; value]).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Io, "{refused}");
        }
    }
}
