//! Checks the rows of a batch, and counts odd cells. An invalid row goes to no output; a row with an odd cell does.

use std::fmt;
use std::net::IpAddr;

use scanbridge_plugin_api::batch::{
    AssetView, BadCode, Batch, Column, ColumnType, FindingView, Schema, Selection, ValidBatch,
};
use scanbridge_plugin_api::model::AssetField;
use serde::{Serialize, Serializer};

use super::odd_cells::{OddCells, fmt_counts};
use super::summary::KindSeverityCounts;

/// Why a row is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowFault {
    Code(BadCode),
    /// An asset without an address, a name and an ID.
    Nameless,
    /// An asset with a text that is not an IP address in a cell for one.
    Address,
    /// A finding on an invalid asset.
    OnInvalidAsset,
    /// A finding whose definition has no ID.
    DefinitionWithoutId,
}

impl RowFault {
    /// The words of the summary, in the order of [`RowFault::index`].
    const WORDS: [&'static str; 8] = [
        "unknown kind",
        "unknown severity",
        "unknown status",
        "unknown protocol",
        "asset without address, name or ID",
        "invalid address",
        "finding on an invalid asset",
        "definition without ID",
    ];

    fn index(self) -> usize {
        match self {
            Self::Code(BadCode::Kind(_)) => 0,
            Self::Code(BadCode::Severity(_)) => 1,
            Self::Code(BadCode::Status(_)) => 2,
            Self::Code(_) => 3,
            Self::Nameless => 4,
            Self::Address => 5,
            Self::OnInvalidAsset => 6,
            Self::DefinitionWithoutId => 7,
        }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // With the number that was sent.
            Self::Code(code) => code.fmt(f),
            fault => f.write_str(Self::WORDS[fault.index()]),
        }
    }
}

/// Invalid rows by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InvalidRows([u64; RowFault::WORDS.len()]);

impl InvalidRows {
    pub(super) fn add(&mut self, fault: RowFault) {
        self.0[fault.index()] += 1;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// Number of invalid rows: assets that are not continued, and findings.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RowFault::WORDS.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Display for InvalidRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_counts(f, self.counts(), "; ")
    }
}

impl Serialize for InvalidRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.counts())
    }
}

/// What the check of a batch found.
#[derive(Debug, Default)]
pub(crate) struct RowReport {
    /// Valid findings by kind and severity.
    pub(super) findings: KindSeverityCounts,
    /// Valid assets that begin in the batch.
    pub(super) assets: u64,
    pub(crate) invalid: InvalidRows,
    /// The valid rows; `None`: all.
    pub(super) valid: Option<ValidRows>,
    /// Cells that are not of the form of their column, by column: assets, definitions, findings.
    pub(crate) odd_cells: OddCells,
}

/// The rows that outputs may get.
#[derive(Debug, Default)]
pub(crate) struct ValidRows {
    assets: Vec<u32>,
    findings: Vec<u32>,
}

impl ValidRows {
    pub(super) fn selection(&self) -> Selection<'_> {
        Selection::new(&self.assets, &self.findings)
    }
}

/// Checks all rows of a batch, and the cells of the rows and definitions that are new in it. `report` is called for
/// each invalid row.
pub(crate) fn check_rows(batch: &ValidBatch, mut report: impl FnMut(&InvalidRow<'_>)) -> RowReport {
    let mut found = RowReport::default();
    let Schema { assets, definitions, findings, .. } = batch.columns().schema();
    let [assets, definitions, findings] = [assets, definitions, findings].map(|columns| typed(columns));
    batch.read_new_definitions(|definition| {
        found.odd_cells.of_definition(&definition);
        found.odd_cells.check_typed("definition", &definitions, |column| definition.column(column));
    });
    batch.read(|view| {
        let mut bad_assets = Vec::new();
        for asset in view.assets() {
            found.odd_cells.check_typed("asset", &assets, |column| asset.column(column));
            match fault_of_asset(&asset) {
                None => found.assets += u64::from(!asset.is_continued()),
                Some(fault) => {
                    bad_assets.push(asset.row());
                    // A continued asset was counted and reported with its first row.
                    if !asset.is_continued() {
                        found.invalid.add(fault);
                        report(&InvalidRow { asset, finding: None, fault });
                    }
                }
            }
        }
        let mut bad_findings = Vec::new();
        for finding in view.findings() {
            found.odd_cells.of_finding(&finding);
            found.odd_cells.check_typed("finding", &findings, |column| finding.column(column));
            match fault_of_finding(&finding, &bad_assets) {
                None => found.findings.add(finding.kind(), finding.severity()),
                Some(fault) => {
                    bad_findings.push(finding.row());
                    found.invalid.add(fault);
                    report(&InvalidRow { asset: finding.asset(), finding: Some(finding), fault });
                }
            }
        }
        if !bad_assets.is_empty() || !bad_findings.is_empty() {
            found.valid = Some(valid_rows(view, &bad_assets, &bad_findings));
        }
    });
    found
}

/// The columns whose cells must have a form, with their positions.
fn typed(columns: &[Column]) -> Vec<(usize, &Column)> {
    let is_typed = |column: &Column| !matches!(column.column_type, ColumnType::Text | ColumnType::List);
    columns.iter().enumerate().filter(|(_, column)| is_typed(column)).collect()
}

/// An invalid row, for the log.
pub(crate) struct InvalidRow<'a> {
    pub(super) asset: AssetView<'a>,
    pub(super) finding: Option<FindingView<'a>>,
    pub(super) fault: RowFault,
}

fn valid_rows(view: Batch<'_>, bad_assets: &[u32], bad_findings: &[u32]) -> ValidRows {
    let is_good = |row: &u32, bad: &[u32]| bad.binary_search(row).is_err();
    ValidRows {
        assets: view.assets().map(|asset| asset.row()).filter(|row| is_good(row, bad_assets)).collect(),
        findings: view
            .findings()
            .map(|finding| finding.row())
            .filter(|row| is_good(row, bad_findings))
            .collect(),
    }
}

/// What identifies an asset without an address.
const IDENTITIES: [AssetField; 10] = [
    AssetField::Id,
    AssetField::AssetId,
    AssetField::AgentId,
    AssetField::Dns,
    AssetField::Fqdn,
    AssetField::Netbios,
    AssetField::Hostname,
    AssetField::OsHostname,
    AssetField::CloudId,
    AssetField::Macs,
];

fn fault_of_asset(asset: &AssetView<'_>) -> Option<RowFault> {
    let addresses = [AssetField::Address, AssetField::Ipv6].map(|field| asset.get(field));
    if addresses.iter().any(|text| !text.is_empty() && !is_address(text)) {
        return Some(RowFault::Address);
    }
    let is_nameless = || IDENTITIES.into_iter().all(|field| asset.get(field).is_empty());
    let has_address = addresses.iter().any(|text| !text.is_empty());
    (!has_address && is_nameless()).then_some(RowFault::Nameless)
}

fn fault_of_finding(finding: &FindingView<'_>, bad_assets: &[u32]) -> Option<RowFault> {
    if let Some(code) = finding.bad_code() {
        return Some(RowFault::Code(code));
    }
    if !bad_assets.is_empty() && bad_assets.binary_search(&finding.asset().row()).is_ok() {
        return Some(RowFault::OnInvalidAsset);
    }
    finding.definition().id().is_empty().then_some(RowFault::DefinitionWithoutId)
}

/// An IPv4 or IPv6 address; an IPv6 address may have a zone.
fn is_address(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    address.parse::<IpAddr>().is_ok_and(|parsed| parsed.is_ipv6() || address.len() == text.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use scanbridge_plugin_api::batch::{
        AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2, Schema,
    };
    use scanbridge_plugin_api::model::{DefinitionField, FindingField, FindingKind};

    use super::*;

    const ADDRESS: usize = 2;

    /// One batch: an asset with these cells and a finding on it, then a valid one.
    fn batch(asset: &[(AssetField, &str)], id: &str, last_found: &str) -> RawBatch2 {
        let mut builder = BatchBuilder::default();
        for (cells, id) in [(asset, id), (&[(AssetField::Address, "192.0.2.1")][..], "1")] {
            let mut row = AssetRow::default();
            cells.iter().for_each(|(field, text)| row.set(*field, text));
            let asset = builder.push_asset(&row, false);
            let mut row = DefinitionRow::default();
            row.set(DefinitionField::Id, id);
            row.set(DefinitionField::Cves, "CVE-2014-0160\nCVE-14-1");
            let definition = builder.push_definition(&row);
            let mut row = FindingRow::default();
            row.set_kind(FindingKind::Service);
            row.set(FindingField::LastFound, last_found);
            builder.push_finding(asset, definition, &row);
        }
        builder.finish()
    }

    fn check(raw: RawBatch2) -> (RowReport, Vec<String>) {
        let columns = Arc::new(Columns::of(Schema::default()));
        let batch = ValidBatch::alone(raw, columns).unwrap();
        let mut reported = Vec::new();
        let report = check_rows(&batch, |row| reported.push(row.fault.to_string()));
        (report, reported)
    }

    #[test]
    fn valid_batch_has_all_its_rows() {
        let (report, reported) = check(batch(&[(AssetField::Dns, "a.example.com")], "42", ""));
        assert!(report.valid.is_none() && reported.is_empty());
        assert_eq!((report.assets, report.findings.of(FindingKind::Service)), (2, 2));
        assert_eq!(report.invalid.total(), 0);
    }

    #[test]
    fn invalid_asset_takes_its_findings_with_it() {
        for (cells, fault) in [
            (&[(AssetField::Os, "Linux")][..], "asset without address, name or ID"),
            (&[(AssetField::Address, "10.0.0.999")], "invalid address"),
            (&[(AssetField::Address, "192.0.2.9"), (AssetField::Ipv6, "x")], "invalid address"),
        ] {
            let (report, reported) = check(batch(cells, "42", ""));
            assert_eq!(reported, [fault, "finding on an invalid asset"]);
            let rows = report.valid.unwrap();
            assert_eq!((rows.assets, rows.findings), (vec![1], vec![1]));
            assert_eq!(report.assets, 1);
            assert_eq!(report.findings.total(), 1);
            assert_eq!(report.invalid.total(), 2);
        }
    }

    #[test]
    fn finding_without_definition_id_or_with_unknown_codes_is_invalid() {
        let asset = &[(AssetField::Id, "7")];
        let (report, reported) = check(batch(asset, "", ""));
        assert_eq!(reported, ["definition without ID"]);
        assert_eq!(report.invalid.to_string(), "definition without ID: 1");
        for (word, value, fault) in [
            (ADDRESS, 7, "unknown kind 7"),
            (ADDRESS, 0x0901, "severity 9 is not 0 to 5"),
            (ADDRESS + 1, 7, "unknown status 7"),
        ] {
            let mut raw = batch(asset, "42", "");
            raw.findings[word] = value;
            let (report, reported) = check(raw);
            assert_eq!(reported, [fault]);
            let rows = report.valid.unwrap();
            assert_eq!((rows.assets, rows.findings), (vec![0, 1], vec![1]));
        }
    }

    #[test]
    fn odd_cells_are_counted_by_column_and_their_rows_are_valid() {
        let asset = &[(AssetField::Id, "7"), (AssetField::LastScan, "2026-01-31T12:00:00Z")];
        let (report, _) = check(batch(asset, "42", "yesterday"));
        assert_eq!(report.odd_cells.to_string(), "definition.cves: 2, finding.last_found: 2");
        assert_eq!(report.odd_cells.total(), 4);
        assert!(report.valid.is_none());
    }

    #[test]
    fn addresses() {
        assert!(is_address("fe80::1%eth0") && !is_address("192.0.2.1%eth0") && !is_address("[::1]"));
    }
}
