//! Hashes of what identifies an asset, and a finding on it, across reports.

use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingField};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Pair;

/// What identifies an asset: the first of these that is known.
const ASSET: [AssetField; 9] = [
    AssetField::Id,
    AssetField::AgentId,
    AssetField::Address,
    AssetField::Ipv6,
    AssetField::Fqdn,
    AssetField::Dns,
    AssetField::Netbios,
    AssetField::Macs,
    AssetField::CloudId,
];
/// Addresses and names may exist in several networks; the IDs before them do not.
const FIRST_IN_NETWORK: usize = 2;

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
    let mut cells = ASSET.iter().enumerate().map(|(number, field)| (number, asset.get(*field)));
    if let Some((number, text)) = cells.find(|(_, text)| !text.is_empty()) {
        parts.push(u8::try_from(number).unwrap_or(u8::MAX));
        if number >= FIRST_IN_NETWORK {
            add(parts, asset.get(AssetField::NetworkId));
            add(parts, asset.get(AssetField::Network));
        }
        add(parts, text);
    }
    xxh3_64_with_seed(parts, seed)
}

fn finding_hash(finding: FindingView<'_>, parts: &mut Vec<u8>) -> u64 {
    parts.clear();
    let definition = finding.definition();
    add(parts, definition.scheme());
    add(parts, definition.id());
    parts.extend_from_slice(&finding.port().unwrap_or_default().to_le_bytes());
    add(parts, finding.protocol().map_or("", |protocol| protocol.name()));
    parts.push(finding.ssl().map_or(2, u8::from));
    for field in [FindingField::Fqdn, FindingField::Service, FindingField::Instance] {
        add(parts, finding.get(field));
    }
    xxh3_64_with_seed(parts, 0)
}

/// Adds a text with its length, so that the end of each part is clear.
fn add(parts: &mut Vec<u8>, text: &str) {
    parts.extend_from_slice(&text.len().to_le_bytes());
    parts.extend_from_slice(text.as_bytes());
}
