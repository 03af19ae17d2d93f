//! The keys of one instance in a run: changes are kept here until a transaction stores them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scanbridge_plugin_api::{ErrorKind, PluginError, Purpose, State, check_key_length};

use super::checkpoint::KeyChanges;
use super::ledger::Ledger;

/// The keys of one instance.
#[derive(Debug)]
pub struct InstanceKeys {
    instance: String,
    /// Whether the instance was opened for a check, which must change nothing.
    is_read_only: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `None` without saved state, and after the run.
    ledger: Option<Arc<Ledger>>,
    /// Changes since the last position of the input, or the last commit of the output.
    new: KeyChanges,
    /// Changes up to the last position that has no barrier yet.
    reached: KeyChanges,
    /// Changes that are stored with a barrier, oldest first.
    marked: VecDeque<(u64, KeyChanges)>,
    /// Changes that are stored with the next transaction.
    confirmed: KeyChanges,
    /// Changes of a transaction that is being written, or that could not be written.
    writing: KeyChanges,
    /// Whether the input is in `stored`.
    is_in_stored: bool,
    /// Size of all keys and values, in bytes; `None` while unknown.
    bytes: Option<u64>,
}

impl InstanceKeys {
    /// The keys of this instance. Without a ledger there are none, and changes are lost at the end of the run.
    #[must_use]
    pub fn new(instance: &str, ledger: Option<Arc<Ledger>>, purpose: Purpose) -> Self {
        let inner = Mutex::new(Inner { ledger, ..Inner::default() });
        // For a preview, changes are discarded.
        let is_read_only = purpose.is_read_only() && purpose != Purpose::Preview;
        Self { instance: instance.to_owned(), is_read_only, inner }
    }

    /// The `id:` of the instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The value of a key, with the instance's own changes.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PluginError> {
        self.lock().get(&self.instance, key)
    }

    /// Sets a key, or deletes it with `None`.
    ///
    /// # Errors
    /// When the instance was opened for a check, a limit is exceeded, or the ledger cannot be read.
    pub fn change(&self, key: &str, value: Option<&[u8]>) -> Result<(), PluginError> {
        if self.is_read_only {
            return Err(PluginError::bug(
                "plugin bug: an instance that was opened for a check changed its keys (state/1)",
            ));
        }
        check_key_length(key, value.unwrap_or_default())?;
        self.lock().change(&self.instance, key, value)
    }

    /// The keys that begin with this prefix, with the instance's own changes.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, PluginError> {
        let inner = self.lock();
        let mut keys: KeyChanges = match &inner.ledger {
            Some(ledger) => {
                let stored = ledger.keys(&self.instance, prefix)?;
                stored.into_iter().map(|(key, _)| (key, Some(Vec::new()))).collect()
            }
            None => KeyChanges::new(),
        };
        for changes in inner.oldest_first() {
            let matching = changes.iter().filter(|(key, _)| key.starts_with(prefix));
            keys.extend(matching.map(|(key, value)| (key.clone(), value.as_ref().map(|_| Vec::new()))));
        }
        Ok(keys.into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect())
    }

    /// The input has returned a step with a position, or the end of its data.
    pub fn reached(&self) {
        let mut inner = self.lock();
        let new = std::mem::take(&mut inner.new);
        inner.reached.extend(new);
    }

    /// Changes up to the last position belong to this barrier.
    pub fn mark_position(&self, mark: u64) {
        let mut inner = self.lock();
        let reached = std::mem::take(&mut inner.reached);
        inner.add_mark(mark, reached);
    }

    /// The output has committed this barrier: its changes since the last commit belong to it.
    pub fn mark_commit(&self, mark: u64) {
        let mut inner = self.lock();
        let new = std::mem::take(&mut inner.new);
        inner.add_mark(mark, new);
    }

    /// The output has committed without a barrier: its changes belong to the next transaction.
    pub fn commit(&self) {
        let mut inner = self.lock();
        let new = std::mem::take(&mut inner.new);
        inner.confirmed.extend(new);
    }

    /// The instance is reopened at its last position or receipt: later changes are discarded.
    pub fn roll_back(&self) {
        let mut inner = self.lock();
        inner.new.clear();
        inner.bytes = None;
    }

    /// Sets whether the input is in `stored`: its changes then belong to the next transaction.
    pub fn set_in_stored(&self, is_in_stored: bool) {
        self.lock().is_in_stored = is_in_stored;
    }

    /// Changes for a transaction that stores this barrier. They are returned again until
    /// [`InstanceKeys::written`] is called.
    #[must_use]
    pub fn begin_write(&self, mark: u64) -> KeyChanges {
        let mut inner = self.lock();
        let confirmed = std::mem::take(&mut inner.confirmed);
        inner.writing.extend(confirmed);
        while inner.marked.front().is_some_and(|(number, _)| *number <= mark) {
            let Some((_, changes)) = inner.marked.pop_front() else { break };
            inner.writing.extend(changes);
        }
        inner.writing.clone()
    }

    /// The transaction has succeeded.
    pub fn written(&self) {
        self.lock().writing.clear();
    }

    /// Everything that is not stored, at the end of a run that has finished.
    #[must_use]
    pub fn take_all(&self) -> KeyChanges {
        let mut inner = self.lock();
        let all = inner.oldest_first().fold(KeyChanges::new(), |mut all, changes| {
            all.extend(changes.clone());
            all
        });
        inner.clear();
        all
    }

    /// What belongs to the next transaction, at the end of a run that a later one resumes.
    #[must_use]
    pub fn take_confirmed(&self) -> KeyChanges {
        let mut inner = self.lock();
        let mut changes = std::mem::take(&mut inner.writing);
        changes.append(&mut inner.confirmed);
        changes
    }

    /// Closes the ledger after the run, so that a call that does not return cannot keep it open.
    pub fn release(&self) {
        let mut inner = self.lock();
        inner.ledger = None;
        inner.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// All changes that are not stored, oldest first.
    fn oldest_first(&self) -> impl Iterator<Item = &KeyChanges> {
        let marked = self.marked.iter().map(|(_, changes)| changes);
        [&self.writing, &self.confirmed].into_iter().chain(marked).chain([&self.reached, &self.new])
    }

    fn clear(&mut self) {
        for changes in [&mut self.new, &mut self.reached, &mut self.confirmed, &mut self.writing] {
            changes.clear();
        }
        self.marked.clear();
    }

    fn get(&self, instance: &str, key: &str) -> Result<Option<Vec<u8>>, PluginError> {
        let changed = self.oldest_first().filter_map(|changes| changes.get(key)).last();
        match (changed, &self.ledger) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(ledger)) => ledger.key(instance, key).map_err(PluginError::from),
            (None, None) => Ok(None),
        }
    }

    fn change(&mut self, instance: &str, key: &str, value: Option<&[u8]>) -> Result<(), PluginError> {
        let before = self.get(instance, key)?.map_or(0, |value| key.len() + value.len());
        let after = value.map_or(0, |value| key.len() + value.len());
        let bytes = self.bytes(instance)?.saturating_sub(before as u64) + after as u64;
        if bytes > State::MAX_BYTES && after > before {
            return Err(PluginError::new(
                ErrorKind::Io,
                format!("cannot store more keys: the limit of an instance is {} bytes", State::MAX_BYTES),
            ));
        }
        self.bytes = Some(bytes);
        let value = value.map(<[u8]>::to_vec);
        // An earlier change of this key that is not stored yet must not overwrite a later one.
        let unstored = [&mut self.new, &mut self.reached];
        let unstored = unstored.into_iter().chain(self.marked.iter_mut().rev().map(|(_, changes)| changes));
        let earlier = unstored.into_iter().find(|changes| changes.contains_key(key));
        let target = match earlier {
            Some(earlier) if self.is_in_stored => earlier,
            _ if self.is_in_stored => &mut self.confirmed,
            _ => &mut self.new,
        };
        target.insert(key.to_owned(), value);
        Ok(())
    }

    fn bytes(&self, instance: &str) -> Result<u64, PluginError> {
        if let Some(bytes) = self.bytes {
            return Ok(bytes);
        }
        let stored = match &self.ledger {
            Some(ledger) => ledger.keys(instance, "")?,
            None => Vec::new(),
        };
        let stored: usize = stored.iter().map(|(key, length)| key.len() + length).sum();
        let of_change = |(key, value): (&String, &Option<Vec<u8>>)| {
            value.as_ref().map_or(0, |value| key.len() + value.len())
        };
        let changed: usize = self.oldest_first().flat_map(|changes| changes.iter().map(of_change)).sum();
        Ok((stored + changed) as u64)
    }

    fn add_mark(&mut self, mark: u64, changes: KeyChanges) {
        if !changes.is_empty() {
            self.marked.push_back((mark, changes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> InstanceKeys {
        InstanceKeys::new("in", None, Purpose::Run)
    }

    fn put(keys: &InstanceKeys, key: &str) {
        keys.change(key, Some(b"value")).unwrap();
    }

    fn names(changes: &KeyChanges) -> Vec<&str> {
        changes.keys().map(String::as_str).collect()
    }

    #[test]
    fn change_belongs_to_the_first_barrier_at_or_after_its_step() {
        let keys = keys();
        put(&keys, "a");
        assert_eq!(keys.get("a").unwrap().as_deref(), Some(&b"value"[..]), "own changes are visible");
        keys.reached();
        put(&keys, "b");
        keys.mark_position(1);
        keys.reached();
        keys.mark_position(2);
        assert_eq!(names(&keys.begin_write(1)), ["a"]);
        assert_eq!(names(&keys.begin_write(1)), ["a"], "the first attempt has failed");
        keys.written();
        assert_eq!(names(&keys.begin_write(2)), ["b"]);
        assert_eq!(keys.list("").unwrap(), ["b"], "the ledger would have the other one");
    }

    #[test]
    fn reopened_instance_does_not_see_changes_since_its_position() {
        let keys = keys();
        put(&keys, "a");
        keys.reached();
        put(&keys, "b");
        keys.roll_back();
        assert_eq!(keys.list("").unwrap(), ["a"]);
    }

    #[test]
    fn change_in_stored_belongs_to_the_next_transaction() {
        let keys = keys();
        put(&keys, "new");
        keys.set_in_stored(true);
        put(&keys, "confirmed");
        keys.change("new", None).unwrap();
        keys.set_in_stored(false);
        keys.roll_back();
        assert_eq!(names(&keys.begin_write(0)), ["confirmed"]);
        assert_eq!(names(&keys.take_confirmed()), ["confirmed"]);
    }

    #[test]
    fn later_change_of_a_key_wins() {
        let keys = keys();
        put(&keys, "a");
        keys.mark_commit(1);
        keys.change("a", None).unwrap();
        assert_eq!(keys.get("a").unwrap(), None);
        assert_eq!(keys.list("").unwrap(), [""; 0]);
        keys.mark_commit(2);
        assert_eq!(keys.begin_write(2)["a"], None);
        assert_eq!(keys.take_all()["a"], None);
    }

    #[test]
    fn instance_that_was_opened_for_a_check_changes_nothing() {
        for purpose in [Purpose::Check, Purpose::Probe, Purpose::List] {
            let keys = InstanceKeys::new("in", None, purpose);
            assert_eq!(keys.change("a", Some(b"")).unwrap_err().kind, ErrorKind::Bug, "{purpose:?}");
        }
        // It reads like a run, and the host discards the changes.
        let keys = InstanceKeys::new("in", None, Purpose::Preview);
        keys.change("a", Some(b"1")).unwrap();
        assert_eq!(keys.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn size_of_all_keys_is_limited() {
        let keys = keys();
        let value = vec![0; State::MAX_VALUE_BYTES];
        let count = State::MAX_BYTES / (State::MAX_VALUE_BYTES as u64 + 8);
        for number in 0..count {
            keys.change(&format!("{number:08}"), Some(&value)).unwrap();
        }
        assert_eq!(keys.change("00000000", Some(&value)), Ok(()), "a key can be replaced");
        assert_eq!(keys.change("one more", Some(&value)).unwrap_err().kind, ErrorKind::Io);
        keys.change("00000000", None).unwrap();
        assert_eq!(keys.change("one more", Some(&value)), Ok(()));
    }
}
