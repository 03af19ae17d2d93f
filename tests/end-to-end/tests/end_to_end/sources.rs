//! The sources of reports: files, patterns, directories and standard input, plain and compressed.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::csv::Table;
use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

fn example(name: &str) -> Vec<u8> {
    fs::read(project_file(&format!("examples/reports/{name}.xml"))).unwrap()
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn run_from_standard_input(content: &[u8]) -> (Sandbox, Outcome) {
    let sandbox = Sandbox::new();
    let mut host = sandbox
        .host_running(&pipeline("path: '-'", &[CSV, CEF]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    host.stdin.take().unwrap().write_all(content).unwrap();
    let outcome = Outcome::of(host.wait_with_output().unwrap());
    (sandbox, outcome)
}

#[test]
fn standard_input_is_spooled_if_two_passes_are_needed() {
    for (name, findings) in [("scan", 16), ("template", 7)] {
        let (sandbox, outcome) = run_from_standard_input(&example(name));
        outcome.expect_code(0);
        assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), findings, "{name}");
    }
}

#[test]
fn template_report_from_standard_input_has_titles() {
    let (sandbox, outcome) = run_from_standard_input(&compressed(&example("template")));
    outcome.expect_code(0);
    let table = Table::parse(&sandbox.read("findings.csv"));
    assert_eq!(table.count("definition.title", "Example DB older than 14.2"), 2);
    assert_eq!(table.count("definition.title", "Example Cache without password"), 1);
    let unknown = table.column("definition.qid").iter().position(|qid| *qid == "900399").unwrap();
    assert_eq!(
        table.column("finding.severity")[unknown],
        "",
        "a missing definition leaves the severity empty"
    );
}

#[test]
fn compressed_file_is_read() {
    let sandbox = Sandbox::new();
    let report = sandbox.write("scan.xml.gz", compressed(&example("scan")));
    sandbox.run_report(&report).expect_code(0);
    assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16);
}

#[test]
fn two_gzip_members_are_one_report() {
    let sandbox = Sandbox::new();
    let report = example("scan");
    let (first, second) = report.split_at(report.len() / 2);
    let file = sandbox.write("scan.xml.gz", [compressed(first), compressed(second)].concat());
    sandbox.run_report(&file).expect_code(0);
    assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16);
}

#[test]
fn pattern_and_directory_provide_all_their_reports() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("reports")).unwrap();
    sandbox.write("reports/a.xml", example("scan"));
    sandbox.write("reports/b.xml", example("template"));
    for path in ["reports/*.xml", "reports"] {
        let summary = sandbox.run(&pipeline(&format!("path: {path}"), &[CSV])).expect_code(0).summary();
        assert_eq!(summary["inputs"][0]["reports"], 2, "{summary:#}");
        // Both reports are written to the same file, so it contains the findings of both.
        assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16 + 7, "{path}");
    }
}

#[test]
fn report_placeholder_writes_one_file_per_report() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("reports")).unwrap();
    sandbox.write("reports/a.xml", example("scan"));
    sandbox.write("reports/b.xml", example("template"));
    let sheet = "{ id: sheet, plugin: CSV, with: { path: 'out-{report}.csv' } }";
    sandbox.run(&pipeline("path: reports", &[sheet])).expect_code(0);
    let names: Vec<String> = sandbox.names().into_iter().filter(|name| name.starts_with("out-")).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn detections_get_titles_from_the_knowledge_base() {
    let sandbox = Sandbox::new();
    let detections = project_file("examples/reports/detections.xml");
    let knowledge_base = project_file("examples/reports/knowledge-base.xml");
    let settings = format!("path: {detections:?}, knowledge_base: {knowledge_base:?}");
    let summary = sandbox.run(&pipeline(&settings, &[CSV, CEF])).expect_code(0).summary();
    let expected = json!({ "vulnerability": 3, "potential": 1, "information": 1, "service": 0 });
    assert_eq!(summary["inputs"][0]["findings"], expected);
    let table = Table::parse(&sandbox.read("findings.csv"));
    assert_eq!(table.count("definition.title", "File server does not ask for signatures"), 2);
}
