//! Reports for tests, and functions that write them with the plugin.

use std::path::Path;

use scanbridge_csv::CsvOutput;
use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingKind, Hints, ReportEnd, ReportSource, ReportStart,
};
use scanbridge_plugin_api::{
    Begin, CommitPoint, Open, OpenFrame, Options, Output, PluginError, Receipt, Rejection, Services,
};

/// Opens the output with these options in JSON and this `path`.
pub(crate) fn open(path: &Path, options: &str) -> Result<CsvOutput, PluginError> {
    open_with(path, options, None)
}

/// As [`open`], with the receipt of an interrupted run.
pub(crate) fn open_with(
    path: &Path,
    options: &str,
    receipt: Option<&Receipt>,
) -> Result<CsvOutput, PluginError> {
    let comma = if options.is_empty() { "" } else { "," };
    let json = format!("{{\"path\": \"{}\"{comma} {options}}}", path.display());
    let options = Options::read(CsvOutput::OPTIONS, json.as_bytes())?;
    let services = Services::without_host(path.parent().unwrap());
    CsvOutput::open(&Open::new(&options, &services, &OpenFrame::default()), receipt)
        .map(|opened| opened.plugin)
}

pub(crate) fn start() -> ReportStart {
    ReportStart::default()
        .with_id("scan/1.1")
        .with_title("Weekly, DMZ")
        .with_source(ReportSource::new("Qualys", "QualysGuard", "qid"))
        .with_hints(Hints::default().with_flag("host-input.add_host", Some(true)))
}

pub(crate) fn complete(clean: &[&str]) -> ReportEnd {
    let clean_assets = clean.iter().map(|text| text.parse().unwrap()).collect();
    ReportEnd::default().with_complete(true).with_deliver(true).with_clean_assets(clean_assets)
}

/// Writes one report of these batches. Returns the rejections and the number of bytes that the plugin reports.
pub(crate) fn write(
    output: &mut CsvOutput,
    start: &ReportStart,
    batches: Vec<BatchBuilder>,
    end: &ReportEnd,
) -> (Vec<Rejection>, u64) {
    output.begin(start, Begin::NEW).unwrap();
    let (mut rejected, mut bytes) = (Vec::new(), 0);
    let columns = Columns::of_report(start);
    for batch in batches {
        let raw = batch.finish();
        let written = output.write(Batch::of(&raw, &columns).unwrap()).unwrap();
        assert!(written.retry.is_empty());
        rejected.extend(written.rejected);
        bytes += written.bytes;
    }
    let written = output.end(end).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    (rejected, bytes + written.bytes)
}

/// A batch of findings, each with all cells of its asset, its definition and the finding.
pub(crate) type Cells<'a> =
    (&'a [(AssetField, &'a str)], &'a [(DefinitionField, &'a str)], &'a [(&'a str, &'a str)]);

/// Findings of the same asset follow each other; those with the same address belong together.
pub(crate) fn batch(findings: &[Cells<'_>], first_continues: bool) -> BatchBuilder {
    let mut builder = BatchBuilder::default();
    let mut last = None;
    for (asset, definition, finding) in findings {
        let known = last.filter(|(cells, _)| cells == asset).map(|(_, index)| index);
        let index = known.unwrap_or_else(|| {
            let mut row = AssetRow::default();
            asset.iter().for_each(|(field, text)| row.set(*field, text));
            builder.push_asset(&row, first_continues && last.is_none())
        });
        last = Some((*asset, index));
        let mut row = DefinitionRow::default();
        definition.iter().for_each(|(field, text)| row.set(*field, text));
        let definition = builder.push_definition(&row);
        let mut row = FindingRow::default();
        row.set_kind(FindingKind::Information);
        assert!(finding.iter().all(|(name, text)| row.set_printed(name, text)), "{finding:?}");
        builder.push_finding(index, definition, &row);
    }
    builder
}

pub(crate) const WEB: &[(AssetField, &str)] = &[
    (AssetField::Address, "192.0.2.10"),
    (AssetField::Dns, "www.example.com"),
    (AssetField::Netbios, "=cmd|' /C calc'!A0"),
    (AssetField::Os, "Linux 5.x"),
];
pub(crate) const V6: &[(AssetField, &str)] = &[(AssetField::Ipv6, "2001:db8::1")];
pub(crate) const NAMELESS: &[(AssetField, &str)] = &[(AssetField::Dns, "laptop.example.com")];

pub(crate) const WEAK: &[(DefinitionField, &str)] = &[
    (DefinitionField::Id, "4242"),
    (DefinitionField::Title, "Weak \"RC4\" cipher, old"),
    (DefinitionField::Category, "General remote services"),
    (DefinitionField::Cves, "CVE-2013-2566\nCVE-2015-2808"),
    (DefinitionField::Bugtraqs, "58796"),
    (DefinitionField::CvssBase, "4.3"),
    (DefinitionField::Cvss3Base, "-"),
    (DefinitionField::Diagnosis, "The cipher is <B>weak</B>.<P>See – there."),
    (DefinitionField::Solution, "Switch it off.\nThen restart."),
];
pub(crate) const PATCH: &[(DefinitionField, &str)] =
    &[(DefinitionField::Id, "5150"), (DefinitionField::Title, "Missing patch")];

pub(crate) const ON_443: &[(&str, &str)] = &[
    ("kind", "vulnerability"),
    ("severity", "3"),
    ("port", "443"),
    ("protocol", "tcp"),
    ("service", "https"),
    ("status", "Active"),
    ("first_found", "2026-01-01T00:00:00Z"),
    ("last_found", "2026-01-31T12:00:00Z"),
    ("result", "+x\tRC4-MD5"),
];
pub(crate) const WHOLE: &[(&str, &str)] = &[("kind", "potential"), ("severity", "2"), ("result", "-1")];
pub(crate) const INFO: &[(&str, &str)] = &[("kind", "information"), ("severity", "1")];

/// Two batches. The second one continues the last asset of the first.
pub(crate) fn sample() -> Vec<BatchBuilder> {
    vec![
        batch(&[(WEB, WEAK, ON_443), (WEB, PATCH, WHOLE), (V6, WEAK, ON_443)], false),
        batch(&[(V6, PATCH, INFO), (V6, PATCH, WHOLE), (NAMELESS, PATCH, WHOLE)], true),
    ]
}
