//! Where reports come from: files, patterns, folders, standard input; plain and packed.

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

fn packed(content: &[u8]) -> Vec<u8> {
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
fn standard_input_is_read_once_or_spooled_where_two_passes_are_needed() {
    for (name, findings) in [("scan", 16), ("template", 7)] {
        let (sandbox, outcome) = run_from_standard_input(&example(name));
        outcome.expect_code(0);
        assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), findings, "{name}");
    }
}

#[test]
fn a_template_report_from_standard_input_gets_its_titles_from_the_glossary_behind() {
    let (sandbox, outcome) = run_from_standard_input(&packed(&example("template")));
    outcome.expect_code(0);
    let table = Table::parse(&sandbox.read("findings.csv"));
    assert_eq!(table.count("definition.title", "Example DB older than 14.2"), 2);
    assert_eq!(table.count("definition.title", "Example Cache without password"), 1);
    let unknown = table.column("definition.qid").iter().position(|qid| *qid == "900399").unwrap();
    assert_eq!(table.column("finding.severity")[unknown], "", "a definition that is missing invents nothing");
}

#[test]
fn a_packed_file_is_read_like_a_plain_one() {
    let sandbox = Sandbox::new();
    let report = sandbox.write("scan.xml.gz", packed(&example("scan")));
    sandbox.run_report(&report).expect_code(0);
    assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16);
}

#[test]
fn two_packed_pieces_in_one_file_are_one_report() {
    let sandbox = Sandbox::new();
    let report = example("scan");
    let (first, second) = report.split_at(report.len() / 2);
    let file = sandbox.write("scan.xml.gz", [packed(first), packed(second)].concat());
    sandbox.run_report(&file).expect_code(0);
    assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16);
}

#[test]
fn a_pattern_and_a_folder_give_all_their_reports() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("reports")).unwrap();
    sandbox.write("reports/a.xml", example("scan"));
    sandbox.write("reports/b.xml", example("template"));
    for path in ["reports/*.xml", "reports"] {
        let summary = sandbox.run(&pipeline(&format!("path: {path}"), &[CSV])).expect_code(0).summary();
        assert_eq!(summary["inputs"][0]["reports"], 2, "{summary:#}");
        // Both reports go into the same file, so it holds the findings of both.
        assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16 + 7, "{path}");
    }
}

#[test]
fn a_file_name_per_report_keeps_reports_apart() {
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
fn detections_get_their_titles_from_the_knowledge_base() {
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
