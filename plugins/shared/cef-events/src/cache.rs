//! Caches fragments across findings, batches and reports, limited to a fixed number of bytes.

use std::collections::HashMap;

use scanbridge_plugin_api::batch::DefinitionView;
use scanbridge_plugin_api::model::Severity;

use crate::additional::AdditionalColumns;
use crate::fragment::{Fragment, FragmentBuilder};
use crate::settings::EventSettings;
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
#[derive(Debug)]
pub(crate) struct FragmentCache {
    /// Read once per finding; the standard hasher would cost more than the rest of the access.
    by_key: HashMap<Key, usize, foldhash::fast::RandomState>,
    entries: Vec<Entry>,
    bytes: usize,
    max_bytes: usize,
    clock: u64,
    /// Index of the entry that was returned last.
    last: usize,
    /// How many fragments were built, and how many were returned again later, since the last halving.
    built: u32,
    reused: u32,
    builder: FragmentBuilder,
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
            last: 0,
            built: 0,
            reused: 0,
            builder: FragmentBuilder::default(),
        }
    }

    /// Removes all entries: content keys are comparable only within one schema and source. The next fragments name this
    /// vendor and have these additional fields.
    pub(crate) fn clear(&mut self, vendor: &str, additional: &AdditionalColumns<usize>) {
        self.builder.set_source(vendor, additional);
        self.by_key.clear();
        self.entries.clear();
        self.bytes = 0;
    }

    /// Returns the fragment of a definition; builds it if it is not cached.
    pub(crate) fn get(
        &mut self,
        settings: &EventSettings,
        table: Table,
        severity: Option<Severity>,
        definition: DefinitionView<'_>,
    ) -> &Fragment {
        self.clock += 1;
        let key = Key { content: definition.key(), table, severity };
        // The events of a finding use the same fragment several times.
        if self.entries.get(self.last).is_none_or(|entry| entry.key != key) {
            self.last = match self.by_key.get(&key) {
                Some(index) => {
                    self.reused += 1;
                    *index
                }
                None => {
                    let fragment = self.builder.build(settings, table, severity, definition);
                    self.insert(Entry { key, used: 0, fragment })
                }
            };
        }
        let entry = &mut self.entries[self.last];
        entry.used = self.clock;
        &entry.fragment
    }

    fn insert(&mut self, entry: Entry) -> usize {
        self.built += 1;
        if self.built == AVERAGED {
            (self.built, self.reused) = (self.built / 2, self.reused / 2);
        }
        self.bytes += weight(&entry);
        while self.bytes > self.limit() && !self.entries.is_empty() {
            self.evict();
        }
        let index = self.entries.len();
        self.by_key.insert(entry.key, index);
        self.entries.push(entry);
        index
    }

    /// The limit in bytes. A report whose findings all have texts of their own reuses nothing: it gets an eighth.
    fn limit(&self) -> usize {
        if self.reused >= self.built / FEWEST_REUSED { self.max_bytes } else { self.max_bytes / 8 }
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

/// The cache is used fully if one fragment is returned again for this many that are built.
const FEWEST_REUSED: u32 = 64;
/// After this many built fragments, the counts are halved, so that the last ones matter most.
const AVERAGED: u32 = 4096;

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
    use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow};
    use scanbridge_plugin_api::model::{DefinitionField, FindingKind, ReportSource, ReportStart};

    use super::*;

    fn columns() -> Columns {
        let source = ReportSource::new("Qualys", "Qualys", "qid");
        Columns::of_report(&ReportStart::default().with_source(source))
    }

    /// A batch with this many definitions of about a kilobyte, each used by one finding.
    fn batch_of(count: usize) -> scanbridge_plugin_api::batch::RawBatch2 {
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

    #[test]
    fn full_cache_keeps_its_size_limit_and_returns_the_right_fragment() {
        let (raw, columns, settings) = (batch_of(100), columns(), EventSettings::default());
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut cache = FragmentCache::new(64 * 1024);
        cache.clear("Qualys", &AdditionalColumns::default());
        for round in 0..3 {
            for (number, finding) in batch.findings().enumerate() {
                let fragment = cache.get(&settings, Table::Infos, None, finding.definition());
                let header = format!("Qualys\\|INFOS\\|{number}|QID {number}|0|");
                assert_eq!(String::from_utf8_lossy(fragment.header()), header, "round {round}");
                // One definition is used again and again, so the cache may use its full size.
                let first = batch.findings().next().unwrap();
                cache.get(&settings, Table::Infos, None, first.definition());
                let used_bytes: usize = cache.entries.iter().map(weight).sum();
                assert_eq!(used_bytes, cache.bytes);
                assert!(used_bytes <= 64 * 1024 && cache.entries.len() == cache.by_key.len());
            }
        }
        assert!(cache.entries.len() > 30, "{} entries", cache.entries.len());
    }

    #[test]
    fn cache_of_texts_that_are_never_used_again_stays_small() {
        let (raw, columns, settings) = (batch_of(400), columns(), EventSettings::default());
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut cache = FragmentCache::new(256 * 1024);
        cache.clear("Qualys", &AdditionalColumns::default());
        let get = |cache: &mut FragmentCache| {
            for finding in batch.findings() {
                // Twice for each finding, as the encoder does.
                cache.get(&settings, Table::Infos, None, finding.definition());
                cache.get(&settings, Table::Infos, None, finding.definition());
            }
        };
        get(&mut cache);
        assert!(cache.bytes <= 64 * 1024 && cache.reused == 0, "{} {}", cache.bytes, cache.reused);
        let (first, few) = (batch.findings(), batch.findings().take(10));
        let known: Vec<_> = first.skip(390).chain(few).map(|finding| finding.definition()).collect();
        for definition in known.iter().chain(&known) {
            cache.get(&settings, Table::Infos, None, *definition);
        }
        get(&mut cache);
        assert!(cache.bytes > 128 * 1024, "{} {}", cache.bytes, cache.reused);
    }

    #[test]
    fn recently_used_fragment_is_not_rebuilt() {
        let (raw, columns, settings) = (batch_of(1), columns(), EventSettings::default());
        let batch = Batch::of(&raw, &columns).unwrap();
        let definition = batch.findings().next().unwrap().definition();
        let mut cache = FragmentCache::new(FragmentCache::MAX_BYTES);
        let first_built = cache.get(&settings, Table::Services, None, definition).header().as_ptr();
        assert_eq!(cache.get(&settings, Table::Services, None, definition).header().as_ptr(), first_built);
        cache.get(&settings, Table::Infos, None, definition);
        cache.get(&settings, Table::Services, Severity::new(5), definition);
        assert_eq!(cache.entries.len(), 3, "table and severity are part of the key");
    }
}
