//! Findings as a scanner has them: 50 for each asset, of 3,000 vulnerabilities with texts of 2 kB.

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow, RawBatch2};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, ReportSource, ReportStart, Severity,
};

const ASSETS: u64 = 1_000;
const FINDINGS: u64 = 50;
const DEFINITIONS: u64 = 3_000;
pub(crate) const FINDINGS_PER_ROUND: u64 = ASSETS * FINDINGS;

/// The batches of one report.
pub(crate) struct Round {
    pub(crate) report: ReportStart,
    pub(crate) batches: Vec<RawBatch2>,
}

impl Round {
    pub(crate) fn new() -> Self {
        let report = ReportStart::default()
            .with_id("scan/1767225600.12345")
            .with_kind("SCAN")
            .with_time("2026-01-30T00:00:00Z")
            .with_source(ReportSource::new("Qualys", "Qualys", "qid"));
        let definitions: Vec<DefinitionRow> = (0..DEFINITIONS).map(definition).collect();
        let (mut batches, mut builder) = (Vec::new(), BatchBuilder::default());
        for number in 0..ASSETS {
            let mut asset = AssetRow::default();
            asset.set(AssetField::Address, &format!("10.20.{}.{}", number / 250, number % 250));
            asset.set(AssetField::Dns, &format!("srv{number}.example.com"));
            asset.set(AssetField::Os, "Red Hat Enterprise Linux 9.4");
            let asset = builder.push_asset(&asset, false);
            let mut random = Random(number + 1);
            for index in 0..FINDINGS {
                let definition =
                    builder.push_definition(&definitions[(random.next() % DEFINITIONS) as usize]);
                builder.push_finding(asset, definition, &finding(index, &mut random));
            }
            if builder.is_full() {
                batches.push(std::mem::take(&mut builder).finish());
            }
        }
        batches.push(builder.finish());
        Self { report, batches }
    }
}

fn definition(number: u64) -> DefinitionRow {
    let (mut row, mut random) = (DefinitionRow::default(), Random(number + 7_919));
    row.set(DefinitionField::Id, &(38_000 + number).to_string());
    row.set(DefinitionField::Scheme, "qid");
    row.set(DefinitionField::Title, &random.text(70));
    row.set(DefinitionField::Diagnosis, &random.text(900));
    row.set(DefinitionField::Consequence, &random.text(300));
    row.set(DefinitionField::Solution, &random.text(800));
    row
}

fn finding(index: u64, random: &mut Random) -> FindingRow {
    let mut row = FindingRow::default();
    row.set_kind(FindingKind::Vulnerability);
    row.set_severity(Severity::new(1 + (index % 5) as u8));
    row.set_port(1_000 + index as u16);
    row.set(FindingField::FirstFound, "2025-11-02T03:04:05Z");
    row.set(FindingField::LastFound, "2026-01-29T22:10:00Z");
    row.set(FindingField::Result, &random.text(300));
    row
}

/// The same numbers in each run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Words of a vocabulary of 2,000.
    fn text(&mut self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            let mut letters = Random(self.next() % 2_000 + 1);
            for _ in 0..3 + letters.next() % 8 {
                text.push(char::from(b'a' + (letters.next() % 26) as u8));
            }
            text.push(' ');
        }
        text.truncate(length);
        text
    }
}
