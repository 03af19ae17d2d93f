//! Runs the plugin on hand-built batches.

use scanbridge_http::Http;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingKind, Protocol, ReportEnd, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{
    Begin, CommitPoint, Committed, Open, OpenFrame, Options, Output, Result, Services,
};
use serde_json::Value;

/// The time of all findings, and in milliseconds since 1970.
pub(crate) const FOUND: &str = "2026-01-31T12:00:00Z";
pub(crate) const FOUND_MS: i64 = 1_769_860_800_000;

pub(crate) fn scan() -> ReportStart {
    ReportStart::default()
        .with_id("scan/1")
        .with_kind("SCAN")
        .with_time("2026-01-30T00:00:00Z")
        .with_source(ReportSource::new("Qualys", "Qualys", "qid"))
}

/// A batch of one asset, with a vulnerability for each of these results.
pub(crate) fn batch(results: &[&str]) -> RawBatch2 {
    batch_from(0, results, |_| {})
}

/// The same with other numbers, and more about the asset.
pub(crate) fn batch_from(first: usize, results: &[&str], more: impl Fn(&mut AssetRow)) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let mut asset = AssetRow::default();
    asset.set(AssetField::Address, "192.0.2.1");
    asset.set(AssetField::Dns, "www.example.com");
    more(&mut asset);
    let asset = batch.push_asset(&asset, false);
    for (number, result) in (first..).zip(results) {
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, &(1000 + number).to_string());
        definition.set(DefinitionField::Title, &format!("title {number}"));
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        finding.set_severity(Severity::new(4));
        finding.set_port(443);
        finding.set_protocol(Protocol::Tcp);
        finding.set_printed("last_found", FOUND);
        finding.set_printed("result", result);
        batch.push_finding(asset, definition, &finding);
    }
    batch.finish()
}

pub(crate) fn open_with(options: &Value, services: &Services) -> Result<Http> {
    let options = Options::read(Http::OPTIONS, options.to_string().as_bytes())?;
    Http::open(&Open::new(&options, services, &OpenFrame::default()), None).map(|opened| opened.plugin)
}

pub(crate) fn open(options: &Value) -> Result<Http> {
    let folder = tempfile::tempdir().unwrap();
    open_with(options, &Services::without_host(folder.path()))
}

/// Delivers a report with these batches.
pub(crate) fn deliver(output: &mut Http, batches: &[RawBatch2]) -> Result<Committed> {
    let report = scan();
    let columns = Columns::of_report(&report);
    output.begin(&report, Begin::NEW)?;
    for batch in batches {
        output.write(Batch::of(batch, &columns).unwrap())?;
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    output.commit(CommitPoint::BetweenReports)
}

/// Delivers a report with one batch by a new instance.
pub(crate) fn send(options: &Value, results: &[&str]) -> Result<Committed> {
    deliver(&mut open(options)?, &[batch(results)])
}

/// The rows that a commit rejects, with reasons.
pub(crate) fn rejected(committed: &Committed) -> Vec<(u32, String)> {
    committed.late_rejected.iter().map(|(row, reason)| (row.row, reason.clone())).collect()
}
