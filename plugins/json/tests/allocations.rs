//! The native format allocates nothing per finding.

use scanbridge_fixtures::allocations::{self, CountingAllocator};
use scanbridge_json::Json;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{Begin, Open, OpenFrame, Options, Output, Services};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Findings with all columns.
fn batch(findings: u16) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let mut asset = AssetRow::default();
    AssetField::ALL.iter().for_each(|field| asset.set(*field, "1\ta\n2\tb"));
    let mut definition = DefinitionRow::default();
    DefinitionField::ALL.iter().for_each(|field| definition.set(*field, "1\ta\n2\tb"));
    let asset = batch.push_asset(&asset, false);
    let definition = batch.push_definition(&definition);
    for port in 1..=findings {
        let mut finding = FindingRow::default();
        FindingField::ALL.iter().for_each(|field| finding.set(*field, "1\ta\u{85}\n2\tb"));
        finding.set(FindingField::Facts, "port\t22\ttcp\tssh\tssh\nos\tLinux\tIP");
        finding.set(FindingField::CvssFinal, "9.3 (AV:N)");
        finding.set_kind(FindingKind::Vulnerability);
        finding.set_severity(Severity::new(5));
        finding.set_port(port);
        batch.push_finding(asset, definition, &finding);
    }
    batch.finish()
}

#[test]
fn nothing_is_allocated_per_finding() {
    let folder = tempfile::tempdir().unwrap();
    let options = format!(r#"{{"path": "{}"}}"#, folder.path().join("out.ndjson").display());
    let options = Options::read(Json::OPTIONS, options.as_bytes()).unwrap();
    let services = Services::without_host(folder.path());
    let opened = Json::open(&Open::new(&options, &services, &OpenFrame::default()), None);
    let mut output = opened.unwrap().plugin;
    let report = ReportStart::default().with_source(ReportSource::new("Qualys", "Qualys", "qid"));
    output.begin(&report, Begin::NEW).unwrap();
    let columns = Columns::of_report(&report);
    let mut calls = |findings: u16| {
        let raw = batch(findings);
        let batch = Batch::of(&raw, &columns).unwrap();
        let before = allocations::count();
        output.write(batch).unwrap();
        allocations::count() - before
    };
    calls(10);
    let (few, many) = (calls(10), calls(2_000));
    assert_eq!(few, many, "calls for 10 and for 2000 findings");
}
