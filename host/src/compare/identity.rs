//! Hashes of what identifies an asset, and a finding on it.

use scanbridge_field_encryption::HashKey;
use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Pair;
use crate::finding_identity::{FindingParts, add_asset};

/// Hashes what identifies assets and findings.
#[derive(Debug, Default)]
pub(super) struct Hasher {
    /// The key of a pipeline that encrypts fields: addresses and names could be guessed from hashes without a key.
    pub(super) key: Option<HashKey>,
    parts: Vec<u8>,
}

impl Hasher {
    /// Adds the assets of a batch and their open findings. `seed` differs between inputs: what one input does not have of an
    /// asset is not gone because another input has the asset.
    pub(super) fn add_pairs(&mut self, batch: Batch<'_>, report: u32, seed: u64, pairs: &mut Vec<Pair>) {
        let assets: Vec<(u32, u64)> =
            batch.assets().map(|asset| (asset.row(), self.asset(asset, seed))).collect();
        pairs.extend(assets.iter().map(|(_, hash)| Pair::asset(*hash, report)));
        for finding in batch.findings().filter(FindingView::is_open) {
            let row = finding.asset().row();
            if let Ok(at) = assets.binary_search_by_key(&row, |(row, _)| *row) {
                pairs.push(Pair::finding(assets[at].1, self.finding(finding)));
            }
        }
    }

    fn asset(&mut self, asset: AssetView<'_>, seed: u64) -> u64 {
        self.parts.clear();
        add_asset(&mut self.parts, |field| asset.get(field));
        self.hash(seed)
    }

    fn finding(&mut self, finding: FindingView<'_>) -> u64 {
        self.parts.clear();
        FindingParts::of(finding).add_to(&mut self.parts);
        self.hash(0)
    }

    fn hash(&self, seed: u64) -> u64 {
        match &self.key {
            Some(key) => key.hash(&seed.to_be_bytes(), &self.parts),
            None => xxh3_64_with_seed(&self.parts, seed),
        }
    }
}
