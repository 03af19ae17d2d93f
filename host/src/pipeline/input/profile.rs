//! What the findings of a run are about: the most frequent definitions, and the assets by their highest severity. In
//! bounded memory, whatever the reports contain.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use scanbridge_plugin_api::batch::{Batch, DefinitionView};
use scanbridge_plugin_api::model::{DefinitionField, FindingKind};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::pipeline::summary::SEVERITIES;

/// What an input has sent so far. The threads of the outputs add its batches.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Profile {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    definitions: FrequentDefinitions,
    assets: AssetSeverities,
    /// Per row of the definitions in a batch; kept for its memory.
    counts: Vec<u64>,
    /// The highest severity per row of the assets in a batch; kept for its memory.
    highest: Vec<u8>,
}

impl Profile {
    /// Adds the valid rows of the batch with this number; `None` for a batch that is invalid. Each number comes once.
    pub(in crate::pipeline) fn add(&self, number: u64, batch: Option<Batch<'_>>) {
        let mut state = self.lock();
        let State { definitions, assets, counts, highest } = &mut *state;
        let Some(batch) = batch else { return assets.add(number, AssetPart::default()) };
        assets.add(number, AssetPart::of(batch, highest));
        counts.clear();
        let is_vulnerability = |kind| matches!(kind, FindingKind::Vulnerability | FindingKind::Potential);
        let mut found: Vec<DefinitionView<'_>> = Vec::new();
        for finding in batch.findings().filter(|finding| is_vulnerability(finding.kind())) {
            let definition = finding.definition();
            let row = definition.row() as usize;
            if counts.len() <= row {
                counts.resize(row + 1, 0);
            }
            if counts[row] == 0 {
                found.push(definition);
            }
            counts[row] += 1;
        }
        for definition in found {
            definitions.add(definition, counts[definition.row() as usize]);
        }
    }

    /// The frequent definitions so far.
    pub(in crate::pipeline) fn definitions(&self) -> FrequentDefinitions {
        self.lock().definitions.clone()
    }

    /// The assets by their highest severity, so far.
    pub(in crate::pipeline) fn assets(&self) -> [u64; SEVERITIES] {
        self.lock().assets.counts()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A definition with the number of its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrequentDefinition {
    /// The scheme of its ID, for example `qid`.
    pub scheme: String,
    /// Its ID.
    pub id: String,
    /// Its title; a long one is truncated.
    pub title: String,
    /// Confirmed and potential vulnerabilities with this definition.
    pub findings: u64,
    /// Number of findings that this count may lack: 0 unless a run has thousands of definitions.
    pub lack: u64,
}

/// Counts of definitions. When there are too many, the rarest are removed, and all other counts are lowered by the same
/// number (Misra and Gries): a definition that is more frequent than that is never removed.
#[derive(Debug, Clone, Default)]
pub(in crate::pipeline) struct FrequentDefinitions {
    /// By a hash of scheme and ID. A hash table would grow to four times this size, because entries are removed again
    /// and again.
    counts: BTreeMap<u64, FrequentDefinition>,
    /// Each count may lack up to this number.
    lowered: u64,
}

/// Number of definitions that are kept when there are too many.
const KEPT: usize = 1024;
/// Length of a title, in characters.
const TITLE: usize = 160;

impl FrequentDefinitions {
    fn add(&mut self, definition: DefinitionView<'_>, findings: u64) {
        let (scheme, id) = (definition.scheme(), definition.id());
        let seed = xxh3_64_with_seed(scheme.as_bytes(), 0);
        let entry = self.counts.entry(xxh3_64_with_seed(id.as_bytes(), seed));
        let entry = entry.or_insert_with(|| FrequentDefinition {
            scheme: scheme.to_owned(),
            id: beginning(id).to_owned(),
            title: beginning(definition.get(DefinitionField::Title)).to_owned(),
            findings: 0,
            lack: 0,
        });
        entry.findings += findings;
        self.limit();
    }

    /// Adds the counts of another input.
    pub(in crate::pipeline) fn merge(&mut self, other: Self) {
        self.lowered += other.lowered;
        for (hash, definition) in other.counts {
            match self.counts.get_mut(&hash) {
                Some(known) => known.findings += definition.findings,
                None => _ = self.counts.insert(hash, definition),
            }
            self.limit();
        }
    }

    fn limit(&mut self) {
        if self.counts.len() <= 2 * KEPT {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().map(|definition| definition.findings).collect();
        let (_, least, _) = counts.select_nth_unstable_by(KEPT, |a, b| b.cmp(a));
        let least = *least;
        self.lowered += least;
        self.counts.retain(|_, definition| {
            definition.findings = definition.findings.saturating_sub(least);
            definition.findings > 0
        });
    }

    /// The most frequent ones, at most this number.
    pub(in crate::pipeline) fn top(self, number: usize) -> Vec<FrequentDefinition> {
        let mut all: Vec<FrequentDefinition> = self.counts.into_values().collect();
        all.sort_by(|a, b| {
            b.findings.cmp(&a.findings).then_with(|| (&a.scheme, &a.id).cmp(&(&b.scheme, &b.id)))
        });
        all.truncate(number);
        all.iter_mut().for_each(|definition| definition.lack = self.lowered);
        all
    }
}

/// The first characters of a text.
fn beginning(text: &str) -> &str {
    if text.len() <= TITLE {
        return text; // Nearly all.
    }
    text.char_indices().nth(TITLE).map_or(text, |(end, _)| &text[..end])
}

/// Counts assets by their highest severity. An asset can continue in later batches, and batches can come in another order.
#[derive(Debug, Default)]
struct AssetSeverities {
    counts: [u64; SEVERITIES],
    /// The last asset so far, which may continue.
    last: Option<u8>,
    /// The number of the next batch.
    next: u64,
    /// Batches that came before earlier ones.
    early: BTreeMap<u64, AssetPart>,
}

/// The highest severities of the assets of one batch.
#[derive(Debug, Clone, Copy, Default)]
struct AssetPart {
    /// Of the asset that began in an earlier batch.
    continued: Option<u8>,
    /// Of the assets between the first and the last.
    counts: [u64; SEVERITIES],
    /// Of the last asset that begins here.
    last: Option<u8>,
}

impl AssetPart {
    /// `highest` is memory for the highest severity of each asset.
    fn of(batch: Batch<'_>, highest: &mut Vec<u8>) -> Self {
        highest.clear();
        for finding in batch.findings() {
            let row = finding.asset().row() as usize;
            if highest.len() <= row {
                highest.resize(row + 1, 0);
            }
            highest[row] = highest[row].max(finding.severity().map_or(0, |severity| severity.number()));
        }
        let mut part = Self::default();
        for asset in batch.assets() {
            let highest = highest.get(asset.row() as usize).copied().unwrap_or(0);
            if asset.is_continued() {
                part.continued = part.continued.max(Some(highest));
            } else if let Some(last) = part.last.replace(highest) {
                part.counts[usize::from(last)] += 1;
            }
        }
        part
    }
}

impl AssetSeverities {
    fn add(&mut self, number: u64, part: AssetPart) {
        self.early.insert(number, part);
        while let Some(part) = self.early.remove(&self.next) {
            self.next += 1;
            self.last = self.last.map(|last| last.max(part.continued.unwrap_or(0)));
            if let Some(last) = part.last
                && let Some(before) = self.last.replace(last)
            {
                self.counts[usize::from(before)] += 1;
            }
            for (sum, count) in self.counts.iter_mut().zip(part.counts) {
                *sum += count;
            }
        }
    }

    /// The counts, with the last asset.
    fn counts(&self) -> [u64; SEVERITIES] {
        let mut counts = self.counts;
        if let Some(last) = self.last {
            counts[usize::from(last)] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use scanbridge_plugin_api::batch::{
        AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema, ValidBatch,
    };
    use scanbridge_plugin_api::model::{AssetField, Severity};

    use super::*;

    /// A batch: assets with the severities of their findings; the first one is continued or not.
    fn batch(assets: &[Vec<u8>], continued: bool) -> ValidBatch {
        let mut builder = BatchBuilder::default();
        for (number, severities) in assets.iter().enumerate() {
            let mut row = AssetRow::default();
            row.set(AssetField::Address, "192.0.2.1");
            let asset = builder.push_asset(&row, continued && number == 0);
            for severity in severities {
                let mut row = DefinitionRow::default();
                row.set(DefinitionField::Id, &severity.to_string());
                row.set(DefinitionField::Title, &format!("title {severity}"));
                let definition = builder.push_definition(&row);
                let mut row = FindingRow::default();
                row.set_kind(if *severity == 0 { FindingKind::Service } else { FindingKind::Potential });
                row.set_severity(Severity::new(*severity));
                builder.push_finding(asset, definition, &row);
            }
        }
        ValidBatch::alone(builder.finish(), Arc::new(Columns::of(Schema::default()))).unwrap()
    }

    proptest! {
        /// Assets in pieces, batches in any order: each asset counts once, with its highest severity.
        #[test]
        fn assets_count_once_with_their_highest_severity(
            assets in prop::collection::vec(prop::collection::vec(0_u8..6, 0..6), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            order in any::<u64>(),
        ) {
            let mut expected = [0; SEVERITIES];
            assets.iter().for_each(|asset| expected[usize::from(asset.iter().max().copied().unwrap_or(0))] += 1);
            // Cuts between two findings, or two assets.
            let places: Vec<(usize, usize)> = assets
                .iter()
                .enumerate()
                .flat_map(|(asset, severities)| (0..=severities.len()).map(move |finding| (asset, finding)))
                .collect();
            let mut cuts: Vec<(usize, usize)> = match places.len() {
                0 => Vec::new(),
                length => cuts.iter().map(|cut| places[cut.index(length)]).collect(),
            };
            cuts.sort_unstable();
            let (mut batches, mut from) = (Vec::new(), (0, 0));
            for to in cuts.into_iter().chain([(assets.len(), 0)]) {
                let pieces: Vec<Vec<u8>> = (from.0..assets.len().min(to.0 + 1))
                    .map(|asset| {
                        let start = if asset == from.0 { from.1 } else { 0 };
                        let end = if asset == to.0 { to.1 } else { assets[asset].len() };
                        assets[asset][start..end.max(start)].to_vec()
                    })
                    .collect();
                // At its first finding, an asset begins.
                let pieces = if to.1 == 0 && to.0 < assets.len() { &pieces[..pieces.len() - 1] } else { &pieces[..] };
                batches.push(batch(pieces, from.1 > 0));
                from = to;
            }
            let profile = Profile::default();
            let mut numbers: Vec<usize> = (0..batches.len()).collect();
            fastrand::Rng::with_seed(order).shuffle(&mut numbers);
            for number in numbers {
                batches[number].read(|view| profile.add(number as u64, Some(view)));
            }
            prop_assert_eq!(profile.assets(), expected);
        }

        /// The guarantee of the counts: none is too high, and none lacks more than `lowered`.
        #[test]
        fn frequent_definitions_are_never_lost(rounds in 1_usize..4, seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut exact: HashMap<String, u64> = HashMap::new();
            let mut definitions = FrequentDefinitions::default();
            for _ in 0..rounds * 3 * KEPT {
                // Few are frequent.
                let id = if random.bool() { random.u32(0..50) } else { random.u32(0..1_000_000) }.to_string();
                *exact.entry(id.clone()).or_default() += 1;
                let mut row = DefinitionRow::default();
                row.set(DefinitionField::Id, &id);
                let hash = xxh3_64_with_seed(id.as_bytes(), 0);
                let entry = definitions.counts.entry(hash).or_insert_with(|| FrequentDefinition {
                    scheme: String::new(), id, title: String::new(), findings: 0, lack: 0,
                });
                entry.findings += 1;
                definitions.limit();
                prop_assert!(definitions.counts.len() <= 2 * KEPT);
            }
            let top = definitions.top(20);
            prop_assert_eq!(top.len(), 20);
            let lowered = top[0].lack;
            for definition in &top {
                let count = exact[&definition.id];
                prop_assert!(definition.findings <= count && count <= definition.findings + lowered);
            }
            let least = top[19].findings;
            let missing = exact.iter().filter(|(id, count)| **count > least + lowered && top.iter().all(|top| top.id != **id));
            prop_assert_eq!(missing.count(), 0);
        }
    }

    #[test]
    fn definitions_are_counted_by_id_and_vulnerabilities_only() {
        let profile = Profile::default();
        for number in 0..2 {
            batch(&[vec![5, 3, 0], vec![5]], false).read(|view| profile.add(number, Some(view)));
        }
        profile.add(2, None);
        let mut definitions = profile.definitions();
        definitions.merge(profile.definitions());
        let top = definitions.top(20);
        let shown: Vec<(&str, &str, u64, u64)> =
            top.iter().map(|top| (top.id.as_str(), top.title.as_str(), top.findings, top.lack)).collect();
        assert_eq!(shown, [("5", "title 5", 8, 0), ("3", "title 3", 4, 0)]);
    }
}
