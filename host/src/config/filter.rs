//! Filters: the assets and findings that reach an output.

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingKind, FindingStatus, Severity};

use super::ranges::{AddressRanges, Ranges};

/// One `filter:` of a pipeline. A finding passes when it matches every condition that is set. Evaluated for
/// every finding, so it does not allocate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Minimum severity. A finding without a severity passes: the scanner's report does not describe every finding,
    /// and delivering an unwanted finding is better than losing one.
    pub min_severity: Option<Severity>,
    /// Kinds of findings that pass.
    pub kinds: Option<Vec<FindingKind>>,
    /// QIDs that pass. Findings with an ID of another scheme do not pass.
    pub qids: Option<Ranges<u32>>,
    /// Statuses that pass.
    pub statuses: Option<Statuses>,
    /// Addresses of assets that pass. An asset without an address does not pass.
    pub ip_ranges: Option<AddressRanges>,
}

impl Filter {
    /// Whether no condition is set, so that everything passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the asset passes: its IPv4 or IPv6 address is in `ip_ranges`. Call once per asset; when it
    /// does not pass, none of its findings passes.
    #[must_use]
    pub fn admits_asset(&self, asset: &AssetView<'_>) -> bool {
        self.ip_ranges.as_ref().is_none_or(|ranges| {
            ranges.contains_text(asset.get(AssetField::Address))
                || ranges.contains_text(asset.get(AssetField::Ipv6))
        })
    }

    /// Whether the finding itself passes; check its asset with [`Filter::admits_asset`].
    #[must_use]
    pub fn admits_finding(&self, finding: &FindingView<'_>) -> bool {
        let severity_passes = self
            .min_severity
            .is_none_or(|minimum| finding.severity().is_none_or(|severity| severity >= minimum));
        severity_passes
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&finding.kind()))
            && self.statuses.is_none_or(|statuses| statuses.admit(finding.status()))
            && self.qids.as_ref().is_none_or(|qids| {
                finding
                    .definition()
                    .qid()
                    .and_then(|qid| qid.parse().ok())
                    .is_some_and(|qid| qids.contains(qid))
            })
    }
}

/// A set of finding statuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statuses(u8);

impl Statuses {
    /// Statuses of findings that are no longer open.
    const CLOSED: [FindingStatus; 3] =
        [FindingStatus::Fixed, FindingStatus::Ignored, FindingStatus::Disabled];

    /// Adds a status by its word, ignoring case. Returns false when the status is unknown.
    pub fn insert(&mut self, word: &str) -> bool {
        let mut statuses = FindingStatus::ALL.into_iter();
        let status = statuses.find(|status| status.word().eq_ignore_ascii_case(word));
        self.0 |= status.map_or(0, Self::bit);
        status.is_some()
    }

    /// Whether a finding with this status passes. A finding without a status (information gathered, reports
    /// of single scans) is current: it passes unless all statuses in the set are of closed findings.
    #[must_use]
    pub fn admit(self, status: Option<FindingStatus>) -> bool {
        let closed = Self::CLOSED.into_iter().fold(0, |bits, status| bits | Self::bit(status));
        self.0 & status.map_or(!closed, Self::bit) != 0
    }

    /// The statuses in the set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let statuses = FindingStatus::ALL.into_iter();
        statuses.filter(move |status| self.0 & Self::bit(*status) != 0).map(FindingStatus::word)
    }

    fn bit(status: FindingStatus) -> u8 {
        1 << status as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow};
    use scanbridge_plugin_api::model::{DefinitionField, ReportSource, ReportStart};

    /// Whether the filter passes the asset and the finding of a batch with one of each.
    fn evaluate(
        filter: &Filter,
        asset: &[(AssetField, &str)],
        finding: &[(&str, &str)],
        qid: &str,
    ) -> [bool; 2] {
        let mut builder = BatchBuilder::default();
        let mut asset_row = AssetRow::default();
        asset.iter().for_each(|(field, text)| asset_row.set(*field, text));
        let mut definition_row = DefinitionRow::default();
        definition_row.set(DefinitionField::Id, qid);
        let mut finding_row = FindingRow::default();
        finding_row.set_kind(FindingKind::Information);
        for (name, text) in finding.iter().filter(|(_, text)| !text.is_empty()) {
            assert!(finding_row.set_printed(name, text), "{name}: {text}");
        }
        let asset = builder.push_asset(&asset_row, false);
        let definition = builder.push_definition(&definition_row);
        builder.push_finding(asset, definition, &finding_row);
        let source = ReportSource::new("Qualys", "Qualys", "qid");
        let columns = Columns::of_report(&ReportStart::default().with_source(source));
        let raw = builder.finish();
        let batch = Batch::of(&raw, &columns).unwrap();
        let (asset, finding) = (batch.assets().next().unwrap(), batch.findings().next().unwrap());
        [filter.admits_asset(&asset), filter.admits_finding(&finding)]
    }

    fn finding_passes(filter: &Filter, finding: &[(&str, &str)], qid: &str) -> bool {
        evaluate(filter, &[], finding, qid)[1]
    }

    #[test]
    fn empty_filter_passes_everything() {
        assert!(Filter::default().is_open());
        assert_eq!(evaluate(&Filter::default(), &[], &[], ""), [true, true]);
    }

    #[test]
    fn min_severity_is_inclusive_and_missing_severity_passes() {
        let filter = Filter { min_severity: Severity::new(3), ..Filter::default() };
        for (severity, passes) in [("1", false), ("2", false), ("3", true), ("5", true), ("", true)] {
            let finding = [("severity", severity)];
            assert_eq!(finding_passes(&filter, &finding, "1"), passes, "{severity:?}");
        }
    }

    #[test]
    fn kinds_and_qids_filter_findings() {
        let kinds = Some(vec![FindingKind::Vulnerability, FindingKind::Potential]);
        let filter = Filter { kinds, ..Filter::default() };
        for (kind, passes) in
            [("vulnerability", true), ("potential", true), ("information", false), ("service", false)]
        {
            assert_eq!(finding_passes(&filter, &[("kind", kind)], "1"), passes, "{kind}");
        }
        let filter = Filter { qids: Some(Ranges::of(vec![(10, 20), (7, 7)])), ..Filter::default() };
        for (qid, passes) in
            [("7", true), ("8", false), ("10", true), ("20", true), ("21", false), ("", false)]
        {
            assert_eq!(finding_passes(&filter, &[], qid), passes, "{qid:?}");
        }
    }

    #[test]
    fn finding_without_status_is_current() {
        for (selected, passing, stopped) in [
            (
                &["new", "ACTIVE"][..],
                &["New", "Active", "", "active"][..],
                &["Fixed", "Re-Opened", "Ignored"][..],
            ),
            (&["Fixed"], &["Fixed", "fixed"], &["", "New", "Active", "Re-Opened", "Disabled"]),
            (&["ignored", "Disabled"], &["Ignored", "Disabled"], &["", "Fixed", "New"]),
        ] {
            let mut statuses = Statuses::default();
            assert!(selected.iter().all(|word| statuses.insert(word)));
            let filter = Filter { statuses: Some(statuses), ..Filter::default() };
            for status in passing {
                assert!(finding_passes(&filter, &[("status", status)], "1"), "{selected:?} {status:?}");
            }
            for status in stopped {
                assert!(!finding_passes(&filter, &[("status", status)], "1"), "{selected:?} {status:?}");
            }
        }
        assert!(!Statuses::default().insert("open"));
    }

    #[test]
    fn asset_passes_by_ipv4_or_ipv6_address() {
        let spans = ["192.0.2.0/24", "2001:db8::/32"].map(|entry| entry.parse().unwrap());
        let filter = Filter { ip_ranges: Some(AddressRanges::of(&spans)), ..Filter::default() };
        for (address, ipv6, passes) in [
            ("192.0.2.0", "", true),
            ("192.0.2.255", "", true),
            ("192.0.3.0", "", false),
            ("198.51.100.1", "2001:db8::1", true),
            ("", "2001:db8::1", true),
            ("2001:db8:ffff::1", "", true),
            ("", "", false),
            ("not an address", "", false),
        ] {
            let asset = [(AssetField::Address, address), (AssetField::Ipv6, ipv6)];
            assert_eq!(evaluate(&filter, &asset, &[], "1"), [passes, true], "{address:?} {ipv6:?}");
        }
    }
}
