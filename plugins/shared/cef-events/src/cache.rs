//! Caches fragments across findings, batches and reports, limited to a fixed number of bytes.

use std::collections::HashMap;

use scanbridge_plugin_api::model::Severity;

use crate::additional::AdditionalColumns;
use crate::fragment::{Changes, Fragment, Part, PartEncoder, PartsOf};
use crate::table::Table;

/// The inputs of a fragment in addition to the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    content: u128,
    table: Table,
    severity: Option<Severity>,
}

/// A cache with approximate LRU eviction.
///
/// It evicts the least recently used of a few pseudo-random entries. When the definitions of a report
/// slightly exceed the limit, strict LRU would evict each one shortly before it is needed again; sampling
/// does not.
///
/// The parts of a definition are encoded directly into its first event, and become a fragment with the second one: a
/// report whose findings all have texts of their own fills no cache.
#[derive(Debug)]
pub(crate) struct FragmentCache {
    /// Read once per finding; the standard hasher would cost more than the rest of the access.
    by_key: HashMap<Key, usize, foldhash::fast::RandomState>,
    entries: Vec<Entry>,
    bytes: usize,
    max_bytes: usize,
    clock: u64,
    /// The index of the entry of the current event; none if its parts are encoded directly.
    current: Option<usize>,
    /// Keys without an entry that were used before, as [`mark`]s in the slots of their keys.
    seen: Box<[u16]>,
    encoder: PartEncoder,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    used: u64,
    fragment: Fragment,
}

impl FragmentCache {
    /// Enough for the texts of about 3,000 definitions, and a quarter of the memory that a run may use.
    pub(crate) const MAX_BYTES: usize = 8 << 20;

    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            by_key: HashMap::default(),
            entries: Vec::new(),
            bytes: 0,
            max_bytes,
            clock: 0,
            current: None,
            seen: vec![0; SLOTS].into(),
            encoder: PartEncoder::default(),
        }
    }

    /// Removes all entries: content keys are comparable only within one schema and source. The next parts name this
    /// vendor and have these additional fields.
    pub(crate) fn clear(&mut self, vendor: &str, additional: &AdditionalColumns<usize>) {
        self.encoder.set_source(vendor, additional);
        self.by_key.clear();
        self.entries.clear();
        self.bytes = 0;
        self.current = None;
        self.seen.fill(0);
    }

    /// Begins an event with these parts. The calls of [`FragmentCache::append`] that follow must have the same.
    pub(crate) fn begin(&mut self, of: &PartsOf<'_>) {
        self.clock += 1;
        let key = Key { content: of.definition.key(), table: of.table, severity: of.severity };
        let _ = self.encoder.take_changes();
        self.current = match self.by_key.get(&key).copied() {
            Some(index) => Some(index),
            None if self.is_seen(&key) => {
                let fragment = self.encoder.fragment(of);
                Some(self.insert(Entry { key, used: 0, fragment }))
            }
            None => None,
        };
        if let Some(index) = self.current {
            self.entries[index].used = self.clock;
        }
    }

    /// Appends a part of the current event.
    #[inline]
    pub(crate) fn append(&mut self, part: Part, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        match self.current {
            Some(index) => out.extend_from_slice(self.entries[index].fragment.part(part)),
            None => self.encoder.append(part, of, out),
        }
    }

    /// What the parts of the current event have changed so far.
    pub(crate) fn changes(&mut self) -> Changes {
        match self.current {
            Some(index) => self.entries[index].fragment.changes,
            None => self.encoder.take_changes(),
        }
    }

    /// Whether the key was used before; from now on it was. Two keys may share a slot, which costs time only.
    fn is_seen(&mut self, key: &Key) -> bool {
        let hash = (key.content >> 64) as u64 ^ key.content as u64;
        let hash =
            mix(hash ^ (key.table as u64) << 8 ^ key.severity.map_or(0, |severity| severity.number()) as u64);
        // The slot and the mark are of different bits.
        let (slot, mark) = (hash as usize % SLOTS, (hash >> 48) as u16 | 1);
        std::mem::replace(&mut self.seen[slot], mark) == mark
    }

    fn insert(&mut self, entry: Entry) -> usize {
        self.bytes += weight(&entry);
        while self.bytes > self.max_bytes && !self.entries.is_empty() {
            self.evict();
        }
        let index = self.entries.len();
        self.by_key.insert(entry.key, index);
        self.entries.push(entry);
        index
    }

    fn evict(&mut self) {
        const PICKS: u64 = 4;
        let count = self.entries.len() as u64;
        let picks = (0..PICKS).map(|pick| (mix(self.clock * PICKS + pick) % count) as usize);
        let Some(evicted_index) = picks.min_by_key(|index| self.entries[*index].used) else { return };
        let evicted = self.entries.swap_remove(evicted_index);
        self.by_key.remove(&evicted.key);
        self.bytes -= weight(&evicted);
        if let Some(moved) = self.entries.get(evicted_index) {
            self.by_key.insert(moved.key, evicted_index);
        }
    }
}

/// How many keys without an entry are stored: more than the definitions of most reports.
const SLOTS: usize = 1 << 15;

/// Memory of an entry in bytes, including its share of the two tables.
fn weight(entry: &Entry) -> usize {
    entry.fragment.len() + 2 * size_of::<Entry>() + 2 * size_of::<(Key, usize)>()
}

/// Spreads consecutive numbers (the finalizer of SplitMix64), the same way in every run.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::{
        AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, DefinitionView, FindingRow, RawBatch2,
    };
    use scanbridge_plugin_api::model::{DefinitionField, FindingKind, ReportSource, ReportStart};

    use super::*;
    use crate::settings::EventSettings;

    fn columns() -> Columns {
        let source = ReportSource::new("Qualys", "Qualys", "qid");
        Columns::of_report(&ReportStart::default().with_source(source))
    }

    /// A batch with this many definitions of about a kilobyte, each used by one finding.
    fn batch_of(count: usize) -> RawBatch2 {
        let mut batch = BatchBuilder::default();
        let asset = batch.push_asset(&AssetRow::default(), false);
        let (mut definition, mut finding) = (DefinitionRow::default(), FindingRow::default());
        finding.set_kind(FindingKind::Information);
        for number in 0..count {
            definition.set(DefinitionField::Id, &number.to_string());
            definition.set(DefinitionField::Diagnosis, &"x".repeat(1000));
            let definition = batch.push_definition(&definition);
            batch.push_finding(asset, definition, &finding);
        }
        batch.finish()
    }

    fn cache(max_bytes: usize) -> FragmentCache {
        let mut cache = FragmentCache::new(max_bytes);
        cache.clear("Qualys", &AdditionalColumns::default());
        cache
    }

    /// The header of an event, and whether it is from the cache.
    fn header(
        cache: &mut FragmentCache,
        table: Table,
        severity: Option<Severity>,
        definition: DefinitionView<'_>,
    ) -> (String, bool) {
        let settings = EventSettings::default();
        let of = PartsOf { settings: &settings, table, severity, definition };
        cache.begin(&of);
        let mut out = Vec::new();
        cache.append(Part::Header, &of, &mut out);
        (String::from_utf8(out).unwrap(), cache.current.is_some())
    }

    #[test]
    fn full_cache_keeps_its_size_limit_and_returns_the_right_fragment() {
        let (raw, columns) = (batch_of(100), columns());
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut cache = cache(64 * 1024);
        for round in 0..3 {
            for (number, finding) in batch.findings().enumerate() {
                let (header, is_cached) = header(&mut cache, Table::Infos, None, finding.definition());
                assert_eq!(header, format!("Qualys\\|INFOS\\|{number}|QID {number}|0|"), "round {round}");
                assert_eq!(is_cached, round > 0, "{number}, round {round}");
                let used_bytes: usize = cache.entries.iter().map(weight).sum();
                assert_eq!(used_bytes, cache.bytes);
                assert!(used_bytes <= 64 * 1024 && cache.entries.len() == cache.by_key.len());
            }
        }
        assert!(cache.entries.len() > 30, "{} entries", cache.entries.len());
    }

    #[test]
    fn texts_that_are_never_used_again_are_not_cached() {
        let (raw, columns) = (batch_of(400), columns());
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut cache = cache(FragmentCache::MAX_BYTES);
        for finding in batch.findings() {
            header(&mut cache, Table::Infos, None, finding.definition());
        }
        assert!(cache.entries.is_empty());
        for finding in batch.findings() {
            header(&mut cache, Table::Infos, None, finding.definition());
        }
        // A few keys share a slot.
        assert!(cache.entries.len() > 390, "{} entries", cache.entries.len());
    }

    #[test]
    fn table_and_severity_are_part_of_the_key() {
        let (raw, columns) = (batch_of(1), columns());
        let batch = Batch::of(&raw, &columns).unwrap();
        let definition = batch.findings().next().unwrap().definition();
        let mut cache = cache(FragmentCache::MAX_BYTES);
        let keys = [(Table::Services, None), (Table::Infos, None), (Table::Services, Severity::new(5))];
        for round in 0..3 {
            for (table, severity) in keys {
                let is_cached = header(&mut cache, table, severity, definition).1;
                assert_eq!(is_cached, round > 0, "{table:?} {severity:?}");
            }
        }
        assert_eq!(cache.entries.len(), keys.len());
    }
}
