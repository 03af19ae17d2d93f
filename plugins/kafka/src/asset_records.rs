//! Assets as records of the format `batch`: whole assets, in several parts if they are large.

use std::collections::BTreeMap;

use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns, Selection, pack};
use scanbridge_plugin_api::model::{AddressRange, AssetField, ReportStart};
use scanbridge_plugin_api::{LateRow, PluginError, Rejection, Result};

use crate::key;

/// Collects the parts of an asset until it is complete.
#[derive(Debug)]
pub(crate) struct AssetPacker {
    /// Maximum size of a record, in bytes.
    limit: usize,
    open: Option<PackedAsset>,
}

/// A complete asset.
#[derive(Debug)]
pub(crate) struct PackedAsset {
    pub(crate) key: String,
    pub(crate) parts: Vec<PackedPart>,
}

/// A record of an asset.
#[derive(Debug)]
pub(crate) struct PackedPart {
    pub(crate) value: Vec<u8>,
    pub(crate) rows: Vec<LateRow>,
}

impl AssetPacker {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, open: None }
    }

    /// Adds the selected rows of a batch, and passes each asset that is complete to `take`. Returns the findings that
    /// are too large.
    ///
    /// # Errors
    /// Those of `take`.
    pub(crate) fn batch(
        &mut self,
        batch: Batch<'_>,
        source: &str,
        mut take: impl FnMut(PackedAsset) -> Result<()>,
    ) -> Result<Vec<Rejection>> {
        let mut assets: BTreeMap<u32, Vec<u32>> =
            batch.assets().map(|asset| (asset.row(), Vec::new())).collect();
        for finding in batch.findings() {
            assets.entry(finding.asset().row()).or_default().push(finding.row());
        }
        let views: BTreeMap<u32, _> = batch
            .assets()
            .chain(batch.findings().map(|finding| finding.asset()))
            .map(|asset| (asset.row(), asset))
            .collect();
        let mut rejected = Vec::new();
        for (row, findings) in assets {
            let view = views[&row];
            // An asset can continue only at the beginning of a batch.
            let is_continued = row == 0 && view.is_continued() && self.open.is_some();
            if !is_continued {
                self.flush(&mut take)?;
                let mut key = String::new();
                key::append(&mut key, source, view);
                self.open = Some(PackedAsset { key, parts: Vec::new() });
            }
            let mut parts = Vec::new();
            self.split(batch, row, &findings, &mut parts, &mut rejected);
            if let Some(open) = &mut self.open {
                // The continuation of an asset without further findings adds nothing.
                let has_news = !findings.is_empty() || open.parts.is_empty();
                open.parts.extend(parts.into_iter().filter(|_| has_news));
            }
        }
        Ok(rejected)
    }

    /// Passes the asset that is open to `take`: nothing more of it follows.
    ///
    /// # Errors
    /// Those of `take`.
    pub(crate) fn flush(&mut self, mut take: impl FnMut(PackedAsset) -> Result<()>) -> Result<()> {
        match self.open.take() {
            Some(asset) if !asset.parts.is_empty() => take(asset),
            _ => Ok(()),
        }
    }

    /// Whether an asset is not complete.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Drops what is open: the report begins again.
    pub(crate) fn clear(&mut self) {
        self.open = None;
    }

    /// Packs findings of an asset into records that are not too large.
    fn split(
        &self,
        batch: Batch<'_>,
        asset: u32,
        findings: &[u32],
        parts: &mut Vec<PackedPart>,
        rejected: &mut Vec<Rejection>,
    ) {
        let assets = [asset];
        let value = pack(batch.select(Selection::new(&assets, findings)), |_| false);
        if value.len() <= self.limit {
            let rows = findings.iter().map(|row| LateRow::new(batch.number(), *row)).collect();
            parts.push(PackedPart { value, rows });
        } else if let [finding] = findings {
            let (size, limit) = (value.len(), self.limit);
            let reason = format!(
                "the finding needs a record of {size} bytes, the maximum is {limit} (`record_bytes`, or \
                 `max.message.bytes` of the topic)"
            );
            rejected.push(Rejection::new(*finding, reason));
        } else if !findings.is_empty() {
            let (first, second) = findings.split_at(findings.len() / 2);
            self.split(batch, asset, first, parts, rejected);
            self.split(batch, asset, second, parts, rejected);
        }
    }
}

/// Maximum number of assets without findings of a report that become records.
pub(crate) const MAX_CLEAN: usize = 65_536;

/// The addresses in these ranges, at most [`MAX_CLEAN`], and the number of those beyond.
pub(crate) fn clean_addresses(
    ranges: &[AddressRange],
) -> (impl Iterator<Item = std::net::IpAddr> + '_, usize) {
    let addresses = || ranges.iter().flat_map(AddressRange::addresses);
    // Ranges of IPv6 have more addresses than can be counted.
    let beyond = addresses().skip(MAX_CLEAN).take(MAX_CLEAN).count();
    (addresses().take(MAX_CLEAN), beyond)
}

/// A record of an asset without findings.
///
/// # Errors
/// A bug: the batch is not valid.
pub(crate) fn clean_asset(
    report: &ReportStart,
    columns: &Columns,
    address: std::net::IpAddr,
) -> Result<PackedAsset> {
    let mut row = AssetRow::default();
    let field = if address.is_ipv4() { AssetField::Address } else { AssetField::Ipv6 };
    row.set(field, &address.to_string());
    let mut builder = BatchBuilder::new(&report.schema);
    builder.push_asset(&row, false);
    let raw = builder.finish();
    let batch = Batch::of(&raw, columns).map_err(|error| PluginError::bug(format!("plugin bug: {error}")))?;
    let mut key = String::new();
    for asset in batch.assets() {
        key::append(&mut key, report.source.result_name(), asset);
    }
    Ok(PackedAsset { key, parts: vec![PackedPart { value: pack(batch, |_| false), rows: Vec::new() }] })
}
