//! Tests the plugin through its public trait.

use std::fs;
use std::path::Path;

use scanbridge_json::Json;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, ReportEnd, ReportSource, ReportStart};
use scanbridge_plugin_api::{Begin, CommitPoint, Open, OpenFrame, Options, Output, Services, Written};
use serde_json::{Value, json};

/// One asset with two findings of one definition, and one asset without findings.
fn batch() -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let mut asset = AssetRow::default();
    asset.set(AssetField::Address, "192.0.2.10");
    asset.set(AssetField::Groups, "web\ndmz");
    let first = batch.push_asset(&asset, false);
    let mut definition = DefinitionRow::default();
    definition.set(DefinitionField::Id, "38170");
    definition.set(DefinitionField::Title, "Zertifikat – \"alt\"\u{1}");
    let definition = batch.push_definition(&definition);
    for port in ["443", "8443"] {
        let mut finding = FindingRow::default();
        assert!(finding.set_printed("kind", "vulnerability") && finding.set_printed("port", port));
        batch.push_finding(first, definition, &finding);
    }
    asset.clear();
    asset.set(AssetField::Ipv6, "2001:db8::1");
    batch.push_asset(&asset, false);
    batch.finish()
}

fn run(path: &Path, assets: bool, deliver: bool) -> Written {
    run_from(ReportSource::new("Qualys", "Qualys", "qid"), path, assets, deliver)
}

fn run_from(source: ReportSource, path: &Path, assets: bool, deliver: bool) -> Written {
    let options = json!({ "path": path, "assets": assets }).to_string();
    let options = Options::read(Json::OPTIONS, options.as_bytes()).expect("valid options");
    let services = Services::without_host(path.parent().expect("a parent directory"));
    let mut output = Json::open(&Open::new(&options, &services, &OpenFrame::default()), None)
        .map(|opened| opened.plugin)
        .expect("the output opens");
    let report = ReportStart::default().with_title("Weekly").with_source(source);
    output.begin(&report, Begin::NEW).expect("the report begins");
    let (raw, columns) = (batch(), Columns::of_report(&report));
    let written = output.write(Batch::of(&raw, &columns).expect("a valid batch")).expect("it is written");
    output.end(&ReportEnd::default().with_complete(deliver).with_deliver(deliver)).expect("the report ends");
    output.commit(CommitPoint::BetweenReports).expect("the report is committed");
    output.stored().expect("the report is published");
    written
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file exists");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn each_finding_is_a_line_with_definition_asset_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("findings.ndjson");
    let written = run(&path, false, true);
    let asset = json!({ "address": "192.0.2.10", "groups": ["web", "dmz"] });
    let definition = json!({ "qid": "38170", "title": "Zertifikat – \"alt\"\u{1}" });
    let expected = [443, 8443].map(|port| {
        json!({
            "finding": { "kind": "vulnerability", "port": port },
            "definition": definition,
            "asset": asset,
            "report": { "title": "Weekly" },
        })
    });
    assert_eq!(lines(&path), expected);
    assert_eq!((written.bytes, written.derived), (fs::metadata(&path).unwrap().len(), 0));
}

#[test]
fn report_of_another_scanner_names_vendor_and_scheme() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("findings.ndjson");
    run_from(ReportSource::new("Acme", "Scanner", "acme"), &path, false, true);
    let lines = lines(&path);
    let definition = json!({ "id": "38170", "scheme": "acme", "title": "Zertifikat – \"alt\"\u{1}" });
    assert_eq!(lines[0]["definition"], definition);
    assert_eq!(lines[0]["report"], json!({ "title": "Weekly", "vendor": "Acme", "product": "Scanner" }));
}

#[test]
fn assets_option_adds_a_line_per_asset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("findings.ndjson");
    let written = run(&path, true, true);
    let lines = lines(&path);
    assert_eq!((lines.len(), written.derived), (4, 2));
    assert_eq!(lines[1]["asset"], json!({ "ipv6": "2001:db8::1" }));
    assert!(lines[1]["finding"].is_null() && lines[2]["finding"]["port"] == 443);
}

#[test]
fn undelivered_report_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    run(&folder.path().join("findings.ndjson"), false, false);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn wrong_values_are_found_without_opening_the_plugin() {
    scanbridge_plugin_contract::wrong_option_values_of_output::<scanbridge_json::Json>(
        &[serde_json::json!({ "path": "/nonexistent/a.ndjson" })],
        &[("path", "placeholders in a file name"), ("mode", "octal numbers are not an option kind")],
    );
}
