//! Hashes of what identifies an asset, and a finding on it.

use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Pair;
use crate::finding_identity::{FindingParts, add_asset};

/// Adds the assets of a batch and their open findings. `seed` differs between inputs: what one input does not have of an
/// asset is not gone because another input has the asset.
pub(super) fn add_pairs(batch: Batch<'_>, report: u32, seed: u64, pairs: &mut Vec<Pair>) {
    let mut parts = Vec::new();
    let assets: Vec<(u32, u64)> =
        batch.assets().map(|asset| (asset.row(), asset_hash(asset, seed, &mut parts))).collect();
    pairs.extend(assets.iter().map(|(_, hash)| Pair::asset(*hash, report)));
    for finding in batch.findings().filter(FindingView::is_open) {
        let row = finding.asset().row();
        if let Ok(at) = assets.binary_search_by_key(&row, |(row, _)| *row) {
            pairs.push(Pair::finding(assets[at].1, finding_hash(finding, &mut parts)));
        }
    }
}

fn asset_hash(asset: AssetView<'_>, seed: u64, parts: &mut Vec<u8>) -> u64 {
    parts.clear();
    add_asset(parts, |field| asset.get(field));
    xxh3_64_with_seed(parts, seed)
}

fn finding_hash(finding: FindingView<'_>, parts: &mut Vec<u8>) -> u64 {
    parts.clear();
    FindingParts::of(finding).add_to(parts);
    xxh3_64_with_seed(parts, 0)
}
