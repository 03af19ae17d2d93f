//! No finding is lost: summary, table, events and an independent XML reader (xmllint) have the same counts.

use std::fs;
use std::path::Path;

use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_fixtures::Group;
use serde_json::{Value, json};

use crate::cef;
use crate::csv::Table;
use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};
use crate::xpath;

const SCAN: [(&str, &str); 4] = [
    ("vulnerability", "/SCAN/*[self::IP or self::IPV6]/VULNS/CAT/VULN"),
    ("potential", "/SCAN/*[self::IP or self::IPV6]/PRACTICES/CAT/PRACTICE"),
    ("information", "/SCAN/*[self::IP or self::IPV6]/INFOS/CAT/INFO"),
    ("service", "/SCAN/*[self::IP or self::IPV6]/SERVICES/CAT/SERVICE"),
];
const TEMPLATE: [(&str, &str); 4] = [
    ("vulnerability", "//VULN_INFO[normalize-space(TYPE)='Vuln']"),
    ("potential", "//VULN_INFO[normalize-space(TYPE)='Practice']"),
    ("information", "//VULN_INFO[normalize-space(TYPE)='Ig']"),
    ("service", "//VULN_INFO[normalize-space(TYPE)='no such type']"),
];
const DETECTIONS: [(&str, &str); 4] = [
    ("vulnerability", "//DETECTION[normalize-space(TYPE)='Confirmed']"),
    ("potential", "//DETECTION[normalize-space(TYPE)='Potential']"),
    ("information", "//DETECTION[normalize-space(TYPE)='Info']"),
    ("service", "//DETECTION[normalize-space(TYPE)='no such type']"),
];
/// The class IDs of the events for findings of a kind.
const CLASSES: [(&str, &str); 4] = [
    ("vulnerability", "Qualys|VULN|"),
    ("potential", "Qualys|PRACTICES|"),
    ("information", "Qualys|INFOS|"),
    ("service", "Qualys|Services|"),
];

/// The numbers of assets and of findings by kind, counted by xmllint.
fn counted_by_xmllint(document: &[u8]) -> Option<(u64, Value)> {
    let is = |root: &str| xpath::count(document, root).map(|count| count == 1);
    let (assets, kinds) = match (is("/SCAN")?, is("/ASSET_DATA_REPORT")?) {
        (true, _) => ("/SCAN/*[self::IP or self::IPV6]", SCAN),
        (_, true) => ("/ASSET_DATA_REPORT/HOST_LIST/HOST[IP]", TEMPLATE),
        _ => ("/HOST_LIST_VM_DETECTION_OUTPUT/RESPONSE/HOST_LIST/HOST", DETECTIONS),
    };
    let mut findings = json!({});
    for (kind, path) in kinds {
        findings[kind] = json!(xpath::count(document, path)?);
    }
    Some((xpath::count(document, assets)?, findings))
}

/// Checks that summary, table and events have the same counts. Returns the numbers of assets and of findings by kind.
#[track_caller]
fn agreed_counts(sandbox: &Sandbox, outcome: &Outcome) -> (u64, Value) {
    let summary = outcome.summary();
    assert_eq!(summary["status"], "ok", "{summary:#}");
    let findings = summary["inputs"][0]["findings"].clone();
    let total: u64 = findings.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    for output in summary["outputs"].as_array().unwrap() {
        assert_eq!(output["records"], total, "{summary:#}");
        assert_eq!((&output["rejected"], &output["filtered"]), (&json!(0), &json!(0)), "{summary:#}");
    }

    let table = Table::parse(&sandbox.read("findings.csv"));
    assert_eq!(table.len() as u64, total);
    let events = cef::events(&sandbox.read("findings.cef"));
    assert_eq!(summary["outputs"][1]["derived"], events.len() as u64 - total, "{summary:#}");
    for (kind, class) in CLASSES {
        assert_eq!(
            table.count("finding.kind", kind),
            findings[kind].as_u64().unwrap(),
            "{kind} in the table"
        );
        assert_eq!(cef::count(&events, class), findings[kind].as_u64().unwrap(), "{kind} in the events");
    }
    (summary["inputs"][0]["assets"].as_u64().unwrap(), findings)
}

#[track_caller]
fn check_report(report: &Path) {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run_report(report).expect_code(0);
    let counts = agreed_counts(&sandbox, &outcome);
    if let Some(expected) = counted_by_xmllint(&fs::read(report).unwrap()) {
        assert_eq!(counts, expected, "{}", report.display());
    }
}

#[test]
fn counts_of_the_examples_agree_with_xmllint() {
    for report in ["scan", "template", "detections"] {
        check_report(&project_file(&format!("examples/reports/{report}.xml")));
    }
}

#[test]
fn example_scan_becomes_events_of_all_seven_tables() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, with: { path: findings.cef, asset_events: yes } }";
    let report = project_file("examples/reports/scan.xml");
    let outcome = sandbox.run(&pipeline(&format!("path: {report:?}"), &[CSV, siem])).expect_code(0);
    agreed_counts(&sandbox, &outcome);

    let events = cef::events(&sandbox.read("findings.cef"));
    let counted = |class: &str| cef::count(&events, class);
    // Counted manually in the report.
    assert_eq!(counted("Qualys|INFOS|"), 4);
    assert_eq!(counted("Qualys|PRACTICES|"), 2);
    assert_eq!(counted("Qualys|Services|"), 5);
    assert_eq!(counted("Qualys|VULN|"), 5);
    assert_eq!(counted("Qualys|Open Port|"), 6);
    assert_eq!(counted("Qualys|URI|"), 3);
    assert_eq!(counted("Qualys|SCANNER"), 3);
    assert_eq!(events.len(), 28);
}

#[test]
fn values_in_table_and_events_are_unchanged() {
    let sandbox = Sandbox::new();
    sandbox.run_report(&project_file("examples/reports/scan.xml")).expect_code(0);

    let table = Table::parse(&sandbox.read("findings.csv"));
    let row = table.column("definition.qid").iter().position(|qid| *qid == "900104").unwrap();
    let cell = |column| table.column(column)[row];
    assert_eq!(cell("asset.address"), "2001:db8::30");
    assert_eq!(cell("finding.port"), "161");
    assert_eq!(cell("finding.protocol"), "udp");
    assert_eq!(cell("finding.result"), "community <public> answered; raw end mark: ]]>");

    let events = cef::events(&sandbox.read("findings.cef"));
    let overflow = events.iter().find(|event| event.class_id() == "Qualys|VULN|900101").unwrap();
    assert_eq!(overflow.name(), "Vulnerability:900101");
    assert_eq!(overflow.get("dst"), Some("192.0.2.10"));
    assert_eq!(overflow.get("dhost"), Some("shop.example.com"));
    assert_eq!(overflow.get("dpt"), Some("443"));
    assert_eq!(overflow.get("rt"), Some("1772619293000"));
    assert_eq!(overflow.get("cs1Label"), Some("Result"));
    let result =
        "GET / HTTP/1.1\nRange: bytes=0-,5-0\n\nServer: ExampleHTTP/2.4 (Ubuntu) | uptime=42 | path=C:\\srv";
    assert_eq!(overflow.get("cs1"), Some(result));
}

#[test]
fn counts_of_generated_reports_agree_with_the_generator() {
    for format in [Format::Scan, Format::Template, Format::Detections] {
        let shape = Shape {
            format,
            extent: Extent::Bytes(3_000_000),
            findings_per_asset: 30,
            qids: 300,
            own_texts: false,
            seed: 5,
        };
        let sandbox = Sandbox::new();
        let report = sandbox.path("report.xml");
        let written = shape.write(fs::File::create(&report).unwrap()).unwrap();
        let outcome = sandbox.run_report(&report).expect_code(0);
        let (assets, findings) = agreed_counts(&sandbox, &outcome);
        assert_eq!(assets, written.assets, "{format:?}");
        assert_eq!(findings, serde_json::to_value(&written.findings).unwrap(), "{format:?}");
        let events = cef::events(&sandbox.read("findings.cef"));
        assert_eq!(cef::count(&events, "Qualys|Open Port|"), written.open_ports, "{format:?}");
        assert_eq!(cef::count(&events, "Qualys|URI|"), written.assets, "{format:?}");
    }
}

#[test]
fn counts_of_complete_fixtures_agree_with_xmllint() {
    let reports = Group::Good
        .files()
        .into_iter()
        .filter(|path| path.file_name() != Some("knowledge-base.xml".as_ref()));
    let mut checked = 0;
    for fixture in reports {
        check_report(&fixture);
        checked += 1;
    }
    assert!(checked > 10, "only {checked} fixtures");
}

/// A finding must pass the filter of the pipeline and that of the output.
#[test]
fn finding_must_pass_all_filters() {
    for (pipeline_filter, output_filter, delivered) in [
        ("[vulnerability, potential]", "[potential, information]", 2),
        ("[vulnerability]", "[potential]", 0),
        ("[service, vulnerability]", "[vulnerability]", 5),
    ] {
        let sandbox = Sandbox::new();
        let report = project_file("examples/reports/scan.xml");
        let output = format!(
            "{{ id: sheet, plugin: CSV, filter: {{ kinds: {output_filter} }}, with: {{ path: a.csv }} }}"
        );
        let text = pipeline(&format!("path: {report:?}"), &[&output])
            .replace("outputs:", &format!("filter: {{ kinds: {pipeline_filter} }}\noutputs:"));
        let summary = sandbox.run(&text).summary();
        let output = &summary["outputs"][0];
        assert_eq!((&output["records"], &output["filtered"]), (&json!(delivered), &json!(16 - delivered)));
    }
}

/// Findings that the filter of a pipeline removes are counted as `filtered`.
#[test]
fn filtered_findings_are_counted() {
    let sandbox = Sandbox::new();
    let report = project_file("examples/reports/scan.xml");
    let filter = "filter: { min_severity: 3, kinds: [vulnerability, potential] }\n";
    let text =
        pipeline(&format!("path: {report:?}"), &[CSV, CEF]).replace("outputs:", &format!("{filter}outputs:"));
    let summary = sandbox.run(&text).expect_code(0).summary();
    // Of 16 findings, three vulnerabilities have a severity of 3 or more, and no potential one has.
    assert_eq!(summary["outputs"][0]["records"], 3, "{summary:#}");
    assert_eq!(summary["outputs"][0]["filtered"], 13, "{summary:#}");
    let mut severities =
        Table::parse(&sandbox.read("findings.csv")).column("finding.severity").concat().into_bytes();
    severities.sort_unstable();
    assert_eq!(severities, *b"345");
}
