//! Which assets and findings reach an output.

use scanbridge_plugin_api::batch::{AssetView, FindingView};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField, FindingKind, Severity};

use super::ranges::{AddressRanges, Ranges};

/// One `filter:` of a pipeline. Every part that is set must let a finding through; a part that is not set lets
/// everything through. It is asked once a finding, so it allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The least severity. A finding without one passes: better one too many than one lost for a gap in the
    /// scanner's glossary.
    pub min_severity: Option<Severity>,
    /// The kinds that pass.
    pub kinds: Option<Vec<FindingKind>>,
    /// The QIDs that pass.
    pub qids: Option<Ranges<u32>>,
    /// The statuses that pass.
    pub statuses: Option<Statuses>,
    /// The addresses whose assets pass. An asset without an address does not.
    pub ip_ranges: Option<AddressRanges>,
}

impl Filter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the asset passes: its IPv4 or its IPv6 address lies in `ip_ranges`. To be asked once an asset;
    /// the findings of an asset that is out are out with it.
    #[must_use]
    pub fn admits_asset(&self, asset: &AssetView<'_>) -> bool {
        self.ip_ranges.as_ref().is_none_or(|ranges| {
            ranges.contains_text(asset.get(AssetField::Address))
                || ranges.contains_text(asset.get(AssetField::Ipv6))
        })
    }

    /// Whether the finding passes by itself; its asset is asked separately.
    #[must_use]
    pub fn admits_finding(&self, finding: &FindingView<'_>) -> bool {
        let severe =
            self.min_severity.is_none_or(|least| finding.severity().is_none_or(|severity| severity >= least));
        severe
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&finding.kind()))
            && self.statuses.is_none_or(|statuses| statuses.admit(finding.get(FindingField::Status)))
            && self.qids.as_ref().is_none_or(|qids| {
                let qid = finding.definition().get(DefinitionField::Qid);
                qid.parse().is_ok_and(|qid| qids.contains(qid))
            })
    }
}

/// A set of finding statuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statuses(u8);

impl Statuses {
    /// The words, as scanners write them.
    pub const WORDS: [&'static str; 4] = ["New", "Active", "Re-Opened", "Fixed"];
    const FIXED: u8 = 1 << 3;

    /// Adds a status, in any case; false when there is no such status.
    pub fn insert(&mut self, word: &str) -> bool {
        let bit = Self::bit(word);
        self.0 |= bit;
        bit != 0
    }

    /// Whether a finding with this status passes. A finding without one (information, reports of single scans)
    /// is current, so it passes unless only `Fixed` is asked for; absence never means fixed. A status that this
    /// version does not know is current for the same reason.
    #[must_use]
    pub fn admit(self, status: &str) -> bool {
        match Self::bit(status) {
            0 => self.0 & !Self::FIXED != 0,
            bit => self.0 & bit != 0,
        }
    }

    /// The words of the statuses in the set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        (0..).zip(Self::WORDS).filter(move |(index, _)| self.0 & (1 << index) != 0).map(|(_, word)| word)
    }

    fn bit(word: &str) -> u8 {
        let index = Self::WORDS.iter().position(|known| known.eq_ignore_ascii_case(word));
        index.map_or(0, |index| 1 << index)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranges::AddressSpan;
    use super::*;
    use scanbridge_plugin_api::batch::{
        AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
    };

    /// A batch with one asset and one finding, and what the filter says to the two.
    fn ask(
        filter: &Filter,
        asset: &[(AssetField, &str)],
        finding: &[(FindingField, &str)],
        qid: &str,
    ) -> [bool; 2] {
        let mut builder = BatchBuilder::default();
        let mut asset_row = AssetRow::default();
        asset.iter().for_each(|(field, text)| asset_row.set(*field, text));
        let mut definition_row = DefinitionRow::default();
        definition_row.set(DefinitionField::Qid, qid);
        let mut finding_row = FindingRow::default();
        finding.iter().for_each(|(field, text)| finding_row.set(*field, text));
        let asset = builder.push_asset(&asset_row, false);
        let definition = builder.push_definition(&definition_row);
        builder.push_finding(asset, definition, &finding_row);
        let (raw, columns) = (builder.finish(), Columns::of(Schema::default()));
        let batch = Batch::of(&raw, &columns).unwrap();
        let (asset, finding) = (batch.assets().next().unwrap(), batch.findings().next().unwrap());
        [filter.admits_asset(&asset), filter.admits_finding(&finding)]
    }

    fn finding_passes(filter: &Filter, finding: &[(FindingField, &str)], qid: &str) -> bool {
        ask(filter, &[], finding, qid)[1]
    }

    #[test]
    fn an_open_filter_lets_everything_through() {
        assert!(Filter::default().is_open());
        assert_eq!(ask(&Filter::default(), &[], &[], ""), [true, true]);
    }

    #[test]
    fn severity_counts_from_the_least_and_a_missing_one_passes() {
        let filter = Filter { min_severity: Severity::new(3), ..Filter::default() };
        for (severity, passes) in [("1", false), ("2", false), ("3", true), ("5", true), ("", true)] {
            let finding = [(FindingField::Severity, severity)];
            assert_eq!(finding_passes(&filter, &finding, "1"), passes, "{severity:?}");
        }
    }

    #[test]
    fn kinds_and_qids_are_sets() {
        let kinds = Some(vec![FindingKind::Vulnerability, FindingKind::Potential]);
        let filter = Filter { kinds, ..Filter::default() };
        for (kind, passes) in
            [("vulnerability", true), ("potential", true), ("information", false), ("service", false)]
        {
            assert_eq!(finding_passes(&filter, &[(FindingField::Kind, kind)], "1"), passes, "{kind}");
        }
        let filter = Filter { qids: Some(Ranges::of(vec![(10, 20), (7, 7)])), ..Filter::default() };
        for (qid, passes) in
            [("7", true), ("8", false), ("10", true), ("20", true), ("21", false), ("", false)]
        {
            assert_eq!(finding_passes(&filter, &[], qid), passes, "{qid:?}");
        }
    }

    #[test]
    fn a_finding_without_status_is_current() {
        for (wanted, passing, stopped) in [
            (&["new", "ACTIVE"][..], &["New", "Active", "", "active"][..], &["Fixed", "Re-Opened"][..]),
            (&["Fixed"], &["Fixed", "fixed"], &["", "New", "Active", "Re-Opened", "Odd"]),
        ] {
            let mut statuses = Statuses::default();
            assert!(wanted.iter().all(|word| statuses.insert(word)));
            let filter = Filter { statuses: Some(statuses), ..Filter::default() };
            for status in passing {
                assert!(
                    finding_passes(&filter, &[(FindingField::Status, status)], "1"),
                    "{wanted:?} {status:?}"
                );
            }
            for status in stopped {
                assert!(
                    !finding_passes(&filter, &[(FindingField::Status, status)], "1"),
                    "{wanted:?} {status:?}"
                );
            }
        }
        assert!(!Statuses::default().insert("open"));
    }

    #[test]
    fn an_asset_passes_by_either_address_and_not_without_one() {
        let spans = ["192.0.2.0/24", "2001:db8::/32"].map(|entry| AddressSpan::read(entry).unwrap());
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
            assert_eq!(ask(&filter, &asset, &[], "1"), [passes, true], "{address:?} {ipv6:?}");
        }
    }
}
