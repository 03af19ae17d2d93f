//! Files that are not reports are refused with one sentence.

use std::path::Path;

use scanbridge_fixtures::{Group, good, other};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::{read, read_with, refusal_of};

const REASONS: &[(&str, &str)] = &[
    ("archive.zip", "is a ZIP archive, not an XML report"),
    (
        "batch-return.xml",
        "is a Qualys API response (BATCH_RETURN), not a report: code 1905: parameter ips has invalid value (2026-04-01T00:00:00Z)",
    ),
    ("compliance.xml", "is an unsupported XML document (COMPLIANCE_POLICY_REPORT): a compliance report"),
    ("detections.json", "is JSON, not an XML report"),
    ("document.pdf", "is a PDF document, not an XML report"),
    ("empty.xml", "is empty"),
    (
        "generic-return-beside.xml",
        "is a Qualys API response (GENERIC_RETURN), not a report: code 2007: Your address is not allowed.",
    ),
    (
        "generic-return-message.xml",
        "is a Qualys API response (GENERIC_RETURN), not a report: code 5000: bad value",
    ),
    (
        "generic-return-nested.xml",
        "is a Qualys API response (GENERIC_RETURN), not a report: code 999: Internal error.",
    ),
    ("generic-return-text.xml", "is a Qualys API response (GENERIC_RETURN), not a report: account expired"),
    (
        "host-list.xml",
        "is an unsupported XML document (HOST_LIST_OUTPUT): a list of hosts without their detections",
    ),
    ("knowledge-base-numbers-only.xml", "is a knowledge base, which contains no findings"),
    ("login-page.html", "is an HTML page, not an XML report"),
    ("map.xml", "is an unsupported XML document (MAP): a network map, which contains no findings"),
    ("message.txt", "is plain text, not an XML report"),
    ("report.csv", "is comma-separated text (CSV), not an XML report"),
    ("scan-error-only.xml", "contains no assets but error 3510: No host alive was found."),
    ("scan-list.xml", "is an unsupported XML document (SCAN_LIST_OUTPUT): a list of scans, not a scan"),
    (
        "scan-report-list.xml",
        "is an unsupported XML document (SCAN_REPORT_LIST): a list of scans, not a scan",
    ),
    (
        "simple-return.xml",
        "is a Qualys API response (SIMPLE_RETURN), not a report: code 7001: Report cannot be fetched. (2026-04-01T00:00:00Z)",
    ),
    ("template-report-error-only.xml", "contains no assets but error 999: Internal error. Please try again."),
    ("utf-16.xml", "is text in UTF-16, not an XML report"),
    (
        "web-application-scan.xml",
        "is an unsupported XML document (WAS_SCAN_REPORT): a web application (WAS) report",
    ),
    ("white-space.xml", "is empty"),
];

#[test]
fn refusal_names_the_kind_of_file() {
    let files = Group::Other.files();
    assert_eq!(files.len(), REASONS.len());
    for (file, (name, reason)) in files.iter().zip(REASONS) {
        let refusal = refusal_of(file);
        let path = other(name).display().to_string();
        assert_eq!(refusal.error.message, format!("{path} {reason}"));
        let kind = if *reason == "is empty" { ErrorKind::NoInput } else { ErrorKind::BadData };
        assert_eq!(refusal.error.kind, kind);
        assert!(!refusal.incomplete, "{name}");
        assert_eq!(&refusal.path, &path);
        assert!(refusal.error.hint.is_some(), "{name}");
    }
}

#[test]
fn missing_file_does_not_stop_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.xml");
    let outcome = read(&json!({ "path": [none, good("scan-ipv6.xml"), folder.path()] })).unwrap();
    assert_eq!(outcome.reports.len(), 1);
    let refused: Vec<_> = outcome.refused.iter().map(|refusal| refusal.error.kind).collect();
    assert_eq!(refused, [ErrorKind::NoInput; 2]);
}

#[test]
fn unreadable_knowledge_base_is_an_error() {
    for (file, kind, part) in [
        (other("message.txt"), ErrorKind::BadData, "is plain text, not an XML report"),
        (Path::new("/none/kb.xml").to_owned(), ErrorKind::NoInput, "no such file"),
        (good("scan-ipv6.xml"), ErrorKind::BadData, "contains a scan (SCAN)"),
    ] {
        let error = read_with(&good("detections.xml"), &json!({ "knowledge_base": file })).unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(part), "{}", error.message);
    }
    // Scans do not need a knowledge base.
    let outcome =
        read_with(&good("scan-ipv6.xml"), &json!({ "knowledge_base": other("message.txt") })).unwrap();
    assert_eq!(outcome.reports.len(), 1);
}

#[test]
fn options_that_cannot_work_are_config_errors() {
    for options in
        [json!({ "path": [] }), json!({ "path": [""] }), json!({ "path": ["a"], "pattern": ["["] })]
    {
        assert_eq!(read(&options).unwrap_err().kind, ErrorKind::Config, "{options}");
    }
}
