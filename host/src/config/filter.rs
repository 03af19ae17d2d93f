//! Filters: the assets and findings that reach an output.

use std::fmt;

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AddressRange, AssetField, FindingKind, Severity};

use super::conditions::{Statuses, qid};
use super::exclude::Exclude;
use super::ranges::{AddressRanges, Ranges};

/// One `filter:` of a pipeline. A finding passes when it matches every condition that is set. Evaluated for
/// every finding, so it does not allocate.
#[derive(Clone, Default, PartialEq, Eq)]
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
    /// What does not pass although it matches the conditions above.
    pub exclude: Option<Exclude>,
}

/// As derived, without an `exclude` that is not set: the text identifies the filter of an interrupted run.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Filter");
        text.field("min_severity", &self.min_severity)
            .field("kinds", &self.kinds)
            .field("qids", &self.qids)
            .field("statuses", &self.statuses)
            .field("ip_ranges", &self.ip_ranges);
        if let Some(exclude) = &self.exclude {
            text.field("exclude", exclude);
        }
        text.finish()
    }
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
        let is_included = self.ip_ranges.as_ref().is_none_or(|ranges| {
            ranges.contains_text(asset.get(AssetField::Address))
                || ranges.contains_text(asset.get(AssetField::Ipv6))
        });
        is_included && self.exclude.as_ref().is_none_or(|exclude| exclude.admits_asset(asset))
    }

    /// The parts of a range of addresses whose assets pass.
    #[must_use]
    pub fn admitted_addresses(&self, range: AddressRange) -> Vec<AddressRange> {
        let included = match &self.ip_ranges {
            Some(ranges) => ranges.common_with(&range).collect(),
            None => vec![range],
        };
        match &self.exclude {
            Some(exclude) => {
                let others = exclude.ip_ranges.complement();
                included.iter().flat_map(|range| others.common_with(range)).collect()
            }
            None => included,
        }
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
            && self.qids.as_ref().is_none_or(|qids| qid(finding).is_some_and(|qid| qids.contains(qid)))
            && self.exclude.as_ref().is_none_or(|exclude| exclude.admits_finding(finding))
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
    fn excluded_findings_and_assets_do_not_pass() {
        let mut statuses = Statuses::default();
        assert!(statuses.insert("Fixed"));
        let spans = ["192.0.2.8/30", "2001:db8::/64"].map(|entry| entry.parse().unwrap());
        let exclude = Exclude {
            kinds: vec![FindingKind::Service],
            qids: Ranges::of(vec![(10, 20)]),
            statuses,
            ip_ranges: AddressRanges::of(&spans),
        };
        let filter = Filter { min_severity: Severity::new(2), exclude: Some(exclude), ..Filter::default() };
        assert!(!filter.is_open());
        for (finding, qid, passes) in [
            (&[][..], "9", true),
            (&[], "10", false),
            (&[], "20", false),
            (&[], "CVE-2014-0160", true),
            (&[("kind", "service")], "1", false),
            (&[("status", "Fixed")], "1", false),
            (&[("status", "New")], "1", true),
            (&[("severity", "1")], "1", false),
        ] {
            assert_eq!(finding_passes(&filter, finding, qid), passes, "{finding:?} {qid}");
        }
        for (address, ipv6, passes) in [
            ("192.0.2.7", "", true),
            ("192.0.2.8", "", false),
            ("192.0.2.11", "", false),
            ("192.0.2.1", "2001:db8::7", false),
            ("", "", true),
        ] {
            let asset = [(AssetField::Address, address), (AssetField::Ipv6, ipv6)];
            assert_eq!(evaluate(&filter, &asset, &[], "1")[0], passes, "{address} {ipv6}");
        }
        let shown = |range: &str| {
            let parts = filter.admitted_addresses(range.parse().unwrap());
            parts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown("192.0.2.0/24"), ["192.0.2.0-192.0.2.7", "192.0.2.12-192.0.2.255"]);
        assert_eq!(shown("192.0.2.9"), [""; 0]);
        assert_eq!(shown("::-2001:db8::1"), ["::-2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"]);
        // An interrupted run of an earlier version, which had no `exclude`, can be resumed.
        assert_eq!(
            format!("{:?}", Filter::default()),
            "Filter { min_severity: None, kinds: None, qids: None, statuses: None, ip_ranges: None }"
        );
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
