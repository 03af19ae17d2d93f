//! The reports that the exam sends to outputs. Each finding is unique by the address of its asset, the ID of its
//! definition and its port, so that records can be compared.

use std::sync::Arc;

use scanbridge_plugin_api::batch::{
    AssetRow, BatchBuilder, ColumnType, Columns, DefinitionRow, FindingRow, Row, Schema, ValidBatch,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, Protocol, ReportSource, ReportStart,
    Severity,
};

/// The report whose texts are hostile.
pub(super) const HOSTILE: u32 = 100;
/// The hostile report from an input with columns of its own, whose texts are hostile too.
pub(super) const OWN_COLUMNS: u32 = 102;
/// A second report on the assets of report 0, with fewer findings.
pub(super) const AGAIN: u32 = 101;
/// Findings of the assets of an ordinary report; one asset is larger than most batches.
const FINDINGS: [u32; 7] = [3, 1, 4, 17, 2, 5, 3];

/// The number, on its asset, of the finding without a port, and of the one with a long title.
const NO_PORT: u32 = 4;
const LONG_TITLE: u32 = 5;
/// The number, on its asset, of the finding with the definition of the finding before, at another port.
const SECOND_PORT: u32 = 9;

/// Numbers of findings of the assets of a report.
fn assets(report: u32) -> &'static [u32] {
    match report {
        HOSTILE | OWN_COLUMNS => &[4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2],
        AGAIN => &[1, 1],
        _ => &FINDINGS,
    }
}

/// Number of findings of a report.
pub(super) fn findings(report: u32) -> u32 {
    assets(report).iter().sum()
}

/// Whether a report can be continued before this finding: an asset begins there.
pub(super) fn is_between_assets(report: u32, finding: u32) -> bool {
    position(report, finding).is_none_or(|(_, within)| within == 0)
}

/// The asset of a finding, and the number of the finding on it.
fn position(report: u32, finding: u32) -> Option<(u32, u32)> {
    let mut first = 0;
    for (asset, count) in (0..).zip(assets(report)) {
        if finding < first + count {
            return Some((asset, finding - first));
        }
        first += count;
    }
    None
}

/// The start of a report.
pub(super) fn start(report: u32) -> ReportStart {
    match report {
        AGAIN => return start(0).with_revision("again"),
        OWN_COLUMNS => return start(HOSTILE).with_schema(own_columns()),
        _ => {}
    }
    let title = if report == HOSTILE { hostile(report).to_owned() } else { format!("Exam report {report}") };
    ReportStart::default()
        .with_id(format!("exam/{report}"))
        .with_kind("EXAM")
        .with_title(title)
        .with_time(format!("2026-01-31T12:{:02}:00Z", report % 60))
        .with_path(format!("exam-{report}.xml"))
        .with_revision(format!("{report}"))
        .with_source(ReportSource::new(
            if report == HOSTILE { "Un|=,\"known" } else { "Example" },
            "Exam Scanner",
            "exam",
        ))
}

/// The columns of the model, and at least one of the input's own in each table.
fn own_columns() -> Schema {
    let mut schema = Schema::default();
    let added = [
        schema.add_column::<AssetField>("exam:owner", ColumnType::Text, "Owner").map(drop),
        schema.add_column::<DefinitionField>("exam:advice", ColumnType::List, "Advice").map(drop),
        schema.add_column::<FindingField>("exam:epss", ColumnType::Decimal, "EPSS score").map(drop),
        schema.add_column::<FindingField>("exam:note", ColumnType::Text, "Note").map(drop),
    ];
    assert!(added.iter().all(Result::is_ok), "the columns are valid");
    schema
}

/// Sets the cells of the own columns of a table, if the report has some.
fn set_own_cells<F: Field>(row: &mut Row<F>, schema: &Schema, asset: u32) {
    for (number, name) in (asset..).zip(["exam:owner", "exam:advice", "exam:epss", "exam:note"]) {
        if let Some(column) = schema.own_column::<F>(name) {
            row.set_own(column, hostile(number));
        }
    }
}

/// A valid batch with findings `from` to `to`. An asset that began before `from` is continued.
pub(super) fn batch(report: u32, from: u32, to: u32) -> ValidBatch {
    let start = start(report);
    let mut batch = BatchBuilder::new(&start.schema);
    let mut current = None;
    for finding in from..to.min(findings(report)) {
        let Some((number, within)) = position(report, finding) else { break };
        let asset = match current {
            Some((known, row)) if known == number => row,
            _ => {
                let mut row = asset_row(report, number);
                set_own_cells(&mut row, &start.schema, number);
                batch.push_asset(&row, within > 0)
            }
        };
        current = Some((number, asset));
        let mut definition = definition_row(report, number, within);
        set_own_cells(&mut definition, &start.schema, number);
        let definition = batch.push_definition(&definition);
        let mut finding = finding_row(report, number, within);
        set_own_cells(&mut finding, &start.schema, number);
        batch.push_finding(asset, definition, &finding);
    }
    let columns = Arc::new(Columns::of_report(&start));
    ValidBatch::alone(batch.finish(), columns).expect("the builder builds valid batches")
}

fn asset_row(report: u32, asset: u32) -> AssetRow {
    let mut row = AssetRow::default();
    let network = match report {
        AGAIN => 0,
        OWN_COLUMNS => HOSTILE,
        _ => report,
    };
    match asset % 4 {
        1 if is_hostile(report) => row.set(AssetField::Address, &format!("2001:db8::{}", asset + 1)),
        // Known by name only.
        2 if is_hostile(report) => {}
        _ => row.set(AssetField::Address, &format!("10.{network}.0.{}", asset + 1)),
    }
    let name = format!("host-{network}-{asset}.example.com");
    row.set(AssetField::Dns, text(report, asset, &name));
    row.set(AssetField::Os, text(report, asset, "Linux"));
    row.set(AssetField::Netbios, text(report, asset, ""));
    row.set(AssetField::Groups, text(report, asset, ""));
    row.set(AssetField::LastScan, "2026-01-31T12:00:00Z");
    row
}

fn is_hostile(report: u32) -> bool {
    matches!(report, HOSTILE | OWN_COLUMNS)
}

/// The text of a cell: a hostile one in the report for that.
fn text(report: u32, asset: u32, usual: &str) -> &str {
    if is_hostile(report) { hostile(asset) } else { usual }
}

fn definition_row(report: u32, asset: u32, within: u32) -> DefinitionRow {
    let within = if within == SECOND_PORT { within - 1 } else { within };
    let mut row = DefinitionRow::default();
    row.set(DefinitionField::Id, &format!("{}", 1000 + report * 1000 + asset * 50 + within));
    let mut title = format!("Finding {within} of asset {asset}");
    if within == LONG_TITLE {
        title += &" and more".repeat(200);
    }
    row.set(DefinitionField::Title, text(report, asset, &title));
    row.set(DefinitionField::Solution, text(report, asset, "Update."));
    row.set(DefinitionField::Cves, text(report, asset, "CVE-2014-0160"));
    row
}

fn finding_row(report: u32, asset: u32, within: u32) -> FindingRow {
    let mut row = FindingRow::default();
    // Most are vulnerabilities; the others come once on each larger asset.
    row.set_kind(match within {
        1 => FindingKind::Information,
        2 => FindingKind::Potential,
        3 => FindingKind::Service,
        _ => FindingKind::Vulnerability,
    });
    row.set_severity(Severity::new((within % 5 + 1) as u8));
    // A finding of an asset as a whole has no port.
    if within != NO_PORT {
        row.set_port(8000 + within as u16);
    }
    row.set_protocol(Protocol::of(text(report, asset, "tcp")));
    row.set(FindingField::Service, text(report, asset, ""));
    row.set(FindingField::Facts, text(report, asset, ""));
    row.set(FindingField::FirstFound, "2026-01-30T12:00:00Z");
    row.set(FindingField::LastFound, "2026-01-31T12:00:00Z");
    let long;
    let result = match (is_hostile(report), asset) {
        (true, 0) => {
            long = "x".repeat(1 << 20);
            long.as_str()
        }
        (true, _) => hostile(asset),
        _ => {
            long = format!("answer {report}.{asset}.{within} {}", "abcdefgh".repeat(12));
            long.as_str()
        }
    };
    row.set(FindingField::Result, result);
    row
}

fn hostile(number: u32) -> &'static str {
    const TEXTS: [&str; 10] = [
        "a=b|c\\d\"e'f,g;h\ti\r\nj",
        "=cmd|' /C calc'!A0",
        "\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{2029}\u{feff}",
        "abc\u{202e}cba\u{2066}",
        "äöü 漢字 🦀",
        "<p>&lt;b&gt; CEF:0|x|y|z|1|n|10| dst=203.0.113.9 %41",
        "null",
        "-1",
        "../../etc/passwd",
        "{dir} ${HOME} $(id) `id`",
    ];
    TEXTS[number as usize % TEXTS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_that_is_split_is_continued() {
        let split = (0..findings(0)).find(|finding| !is_between_assets(0, *finding)).unwrap();
        batch(0, split, findings(0)).read(|batch| {
            assert_eq!(
                batch.assets().map(|asset| asset.is_continued()).take(2).collect::<Vec<_>>(),
                [true, false]
            );
            assert_eq!(batch.finding_count(), (findings(0) - split) as usize);
        });
        assert!(is_between_assets(0, findings(0)), "a report can be continued at its end");
    }
}
