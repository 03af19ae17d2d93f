//! Checks the rows and cells of a batch. An invalid row goes to no output; a row with an odd cell does.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use scanbridge_plugin_api::batch::{
    AssetView, BadCode, Batch, Cell, Column, ColumnType, DefinitionView, FindingView, Schema, Selection,
    ValidBatch,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField, list_items};
use serde::{Serialize, Serializer};

use super::kind_counts::KindCounts;

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

/// Shows counts by name.
fn fmt_counts<'a>(
    f: &mut fmt::Formatter<'_>,
    counts: impl Iterator<Item = (&'a str, u64)>,
    separator: &str,
) -> fmt::Result {
    for (index, (name, count)) in counts.enumerate() {
        let gap = if index == 0 { "" } else { separator };
        write!(f, "{gap}{name}: {count}")?;
    }
    Ok(())
}

/// What the check of a batch found.
#[derive(Debug, Default)]
pub(crate) struct RowReport {
    /// Valid findings by kind.
    pub(super) findings: KindCounts,
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
    let own = [assets, definitions, findings].map(|columns| own_typed(columns));
    let [own_assets, own_definitions, own_findings] = &own;
    batch.read_new_definitions(|definition| {
        found.odd_cells.of_definition(&definition);
        found.odd_cells.check_own(own_definitions, |column| definition.column(column));
    });
    batch.read(|view| {
        let mut bad_assets = Vec::new();
        for asset in view.assets() {
            found.odd_cells.of_asset(&asset);
            found.odd_cells.check_own(own_assets, |column| asset.column(column));
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
            found.odd_cells.check_own(own_findings, |column| finding.column(column));
            match fault_of_finding(&finding, &bad_assets) {
                None => found.findings.add(finding.kind(), 1),
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

/// The columns that an input has added and whose cells must have a form, with their positions.
fn own_typed(columns: &[Column]) -> Vec<(usize, &Column)> {
    let is_checked = |column: &Column| {
        column.is_own() && !matches!(column.column_type, ColumnType::Text | ColumnType::List)
    };
    columns.iter().enumerate().filter(|(_, column)| is_checked(column)).collect()
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

fn fault_of_asset(asset: &AssetView<'_>) -> Option<RowFault> {
    let addresses = [AssetField::Address, AssetField::Ipv6].map(|field| asset.get(field));
    if addresses.iter().any(|text| !text.is_empty() && !is_address(text)) {
        return Some(RowFault::Address);
    }
    let names = [AssetField::Id, AssetField::Dns, AssetField::Netbios].map(|field| asset.get(field));
    let is_nameless = addresses.iter().chain(&names).all(|text| text.is_empty());
    is_nameless.then_some(RowFault::Nameless)
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

/// Cells that are not of the form of their column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OddCells {
    /// In the order of [`OddCells::COLUMNS`].
    model: [u64; OddCells::COLUMNS.len()],
    /// In columns that an input has added, by name.
    own: BTreeMap<String, u64>,
}

impl OddCells {
    const COLUMNS: [&'static str; 12] = [
        "asset.last_scan",
        "definition.last_update",
        "definition.cvss_base",
        "definition.cvss_temporal",
        "definition.cvss3_base",
        "definition.cvss3_temporal",
        "definition.cves",
        "finding.first_found",
        "finding.last_found",
        "finding.last_fixed",
        "finding.cvss_final",
        "finding.cvss3_final",
    ];

    fn of_asset(&mut self, asset: &AssetView<'_>) {
        self.check(0, asset.get(AssetField::LastScan), is_time);
    }

    fn of_definition(&mut self, definition: &DefinitionView<'_>) {
        use DefinitionField::{Cves, Cvss3Base, Cvss3Temporal, CvssBase, CvssTemporal, LastUpdate};
        self.check(1, definition.get(LastUpdate), is_time);
        for (index, field) in (2..).zip([CvssBase, CvssTemporal, Cvss3Base, Cvss3Temporal]) {
            self.check(index, definition.get(field), is_score);
        }
        self.check(6, definition.get(Cves), |list| list_items(list).all(is_cve));
    }

    fn of_finding(&mut self, finding: &FindingView<'_>) {
        use FindingField::{Cvss3Final, CvssFinal, FirstFound, LastFixed, LastFound};
        for (index, field) in (7..).zip([FirstFound, LastFound, LastFixed]) {
            self.check(index, finding.get(field), is_time);
        }
        for (index, field) in (10..).zip([CvssFinal, Cvss3Final]) {
            self.check(index, finding.get(field), is_score);
        }
    }

    fn check(&mut self, index: usize, text: &str, is_valid: impl Fn(&str) -> bool) {
        if !text.is_empty() && !is_valid(text) {
            self.model[index] += 1;
        }
    }

    /// Checks the cells of own columns: `columns` are those of a table that have a type, with their positions.
    fn check_own<'a>(&mut self, columns: &[(usize, &Column)], cell: impl Fn(Option<usize>) -> &'a str) {
        for (index, column) in columns {
            if !Cell::new(cell(Some(*index))).has_type(column.column_type) {
                self.add_own(&column.name, 1);
            }
        }
    }

    fn add_own(&mut self, name: &str, count: u64) {
        match self.own.get_mut(name) {
            Some(sum) => *sum += count,
            None => drop(self.own.insert(name.to_owned(), count)),
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.model.iter_mut().zip(other.model) {
            *sum += count;
        }
        for (name, count) in &other.own {
            self.add_own(name, *count);
        }
    }

    /// Number of such cells.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.model.iter().chain(self.own.values()).sum()
    }

    fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let model = Self::COLUMNS.into_iter().zip(self.model).filter(|(_, count)| *count > 0);
        model.chain(self.own.iter().map(|(name, count)| (name.as_str(), *count)))
    }
}

impl fmt::Display for OddCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_counts(f, self.counts(), ", ")
    }
}

impl Serialize for OddCells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.counts())
    }
}

/// A time in UTC: `2026-01-31T12:00:00Z`, with or without a fraction of up to three digits.
pub(crate) fn is_time(text: &str) -> bool {
    Cell::new(text).time().is_some()
}

/// A decimal number, which a vector in parentheses may follow: `9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)`.
fn is_score(text: &str) -> bool {
    let (number, vector) = text.split_once(' ').map_or((text, ""), |(number, rest)| (number, rest.trim()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_number && (vector.is_empty() || vector.starts_with('(') && vector.ends_with(')'))
}

/// `CVE-2014-0160`: a year of four digits and a number of at least four.
fn is_cve(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(year, number)| year.len() == 4 && number.len() >= 4 && digits(year) && digits(number))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use scanbridge_plugin_api::batch::{
        AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2, Schema,
    };
    use scanbridge_plugin_api::model::FindingKind;

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
    fn forms_of_cells() {
        for good in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.1Z", "2026-01-31T12:00:00.123Z"] {
            assert!(is_time(good), "{good}");
        }
        for bad in ["2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00.Z", "é"]
        {
            assert!(!is_time(bad), "{bad}");
        }
        assert!(["9", "9.3", "10.0", "9.3 (AV:N/AC:M)"].into_iter().all(is_score));
        assert!(!["-", "9.", ".3", "9,3", "high", "9.3 x"].into_iter().any(is_score));
        assert!(is_cve("CVE-2014-0160") && is_cve("CVE-2021-44228"));
        assert!(!["cve-2014-0160", "CVE-2014-016", "2014-0160", "CVE-x014-0160"].into_iter().any(is_cve));
        assert!(is_address("fe80::1%eth0") && !is_address("192.0.2.1%eth0") && !is_address("[::1]"));
    }
}
