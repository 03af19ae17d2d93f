//! Complete reports; the numbers were counted by hand in the files.

use scanbridge_fixtures::{Group, good};
use scanbridge_plugin_api::model::FindingKind;
use serde_json::json;

use crate::drive::{read_with, report_of};

/// File, assets, then findings: vulnerability, potential, information, service.
const COUNTS: &[(&str, usize, [usize; 4])] = &[
    ("detections-first-page.xml", 3, [4, 1, 1, 0]),
    ("detections-no-assets.xml", 0, [0, 0, 0, 0]),
    ("detections.xml", 3, [4, 1, 1, 0]),
    ("scan-all-kinds.xml", 3, [3, 2, 4, 4]),
    ("scan-byte-order-mark.xml", 1, [1, 0, 0, 0]),
    ("scan-crlf.xml", 1, [1, 0, 0, 0]),
    ("scan-doctype-on-own-line.xml", 1, [1, 0, 0, 0]),
    ("scan-header-after-hosts.xml", 3, [1, 1, 0, 0]),
    ("scan-ipv6.xml", 2, [2, 0, 0, 0]),
    ("scan-leading-white-space.xml", 1, [1, 0, 0, 0]),
    ("scan-no-assets.xml", 0, [0, 0, 0, 0]),
    ("scan-no-header.xml", 1, [1, 0, 0, 0]),
    ("scan-text-variants.xml", 1, [2, 0, 0, 0]),
    ("scan-unknown-elements.xml", 1, [1, 0, 0, 0]),
    ("template-report-no-assets.xml", 0, [0, 0, 0, 0]),
    ("template-report-wrong-total.xml", 3, [4, 1, 3, 0]),
    ("template-report.xml", 3, [4, 1, 3, 0]),
];

#[test]
fn all_assets_and_findings_are_delivered() {
    for (name, assets, findings) in COUNTS {
        let report = report_of(&good(name));
        let counted = FindingKind::ALL.map(|kind| report.count(kind));
        assert_eq!((report.assets.len(), counted), (*assets, *findings), "{name}");
        assert!(report.end.complete && report.end.deliver && report.end.reason.is_empty(), "{name}");
        assert_eq!(report.start.path, good(name).display().to_string());
    }
    let untested: Vec<_> = Group::Good
        .files()
        .into_iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| name != "knowledge-base.xml" && !COUNTS.iter().any(|(tested, ..)| tested == name))
        .collect();
    assert_eq!(untested, [] as [&str; 0]);
}

#[test]
fn unusual_content_is_noted() {
    for (name, notes) in [
        ("scan-all-kinds.xml", vec![]),
        ("scan-crlf.xml", vec![]),
        ("scan-no-assets.xml", vec!["the report contains no assets x 1"]),
        (
            "scan-unknown-elements.xml",
            vec![
                "unknown elements skipped: NOVELTY x 1",
                "unknown elements passed on as `other`: QUANTUM_RISK x 1",
            ],
        ),
        (
            "template-report.xml",
            vec![
                "asset reported with error 3001: no data for this host x 1",
                "findings without title and texts: their definition is missing x 1",
                "assets reported with an error instead of findings x 1",
            ],
        ),
        ("detections.xml", vec!["findings without title and texts: `knowledge_base` is not set x 6"]),
    ] {
        assert_eq!(report_of(&good(name)).notes(), notes, "{name}");
    }
    let wrong_total = report_of(&good("template-report-wrong-total.xml")).notes();
    assert!(
        wrong_total.contains(
            &"finding count mismatch: the report declares 9 findings, but contains 8 x 1".to_owned()
        )
    );
    let page = report_of(&good("detections-first-page.xml"));
    let more = "this file is one page of several; the other pages contain more assets x 1";
    assert!(page.end.complete && page.notes().contains(&more.to_owned()));
}

#[test]
fn report_start_has_kind_id_title_and_time() {
    let start = report_of(&good("scan-header-after-hosts.xml")).start;
    assert_eq!(start.kind.as_str(), "SCAN");
    assert_eq!(start.id.as_str(), "scan/1772424306.10002");
    assert_eq!(start.title.as_str(), "Streamed scan");
    assert_eq!(start.time.as_str(), "2026-03-02T04:05:06Z");
    assert_eq!(start.hints.flag("host-input.add_host"), None);
    let start = report_of(&good("template-report.xml")).start;
    assert_eq!(start.kind.as_str(), "ASSET_DATA_REPORT");
    assert_eq!(start.title.as_str(), "All findings of the front row");
    assert_eq!(start.time.as_str(), "2026-02-03T04:05:06Z");
    let start = report_of(&good("detections.xml")).start;
    assert_eq!(
        (start.kind.as_str(), start.time.as_str()),
        ("HOST_LIST_VM_DETECTION_OUTPUT", "2026-04-01T00:00:01Z")
    );
    let start = report_of(&good("scan-no-header.xml")).start;
    assert_eq!(start.id.as_str(), "");
    assert_eq!(start.title.as_str(), "");
    assert_eq!(start.time.as_str(), "");

    let hinted = read_with(&good("scan-ipv6.xml"), &json!({ "add_host": true })).unwrap();
    assert_eq!(hinted.reports[0].start.hints.flag("host-input.add_host"), Some(true));
}

#[test]
fn echo_of_a_request_is_not_delivered() {
    for path in [good("detections-first-page.xml"), scanbridge_fixtures::other("simple-return.xml")] {
        let outcome = read_with(&path, &json!({})).unwrap();
        assert!(!format!("{outcome:?}").contains("not-to-be-logged"), "{}", path.display());
    }
}

#[test]
fn ranges_without_findings_are_passed_on() {
    assert_eq!(
        report_of(&good("template-report.xml")).end.clean_assets,
        ["192.0.2.40", "192.0.2.50-192.0.2.59"].map(|range| range.parse().unwrap())
    );
    assert_eq!(
        report_of(&good("template-report-no-assets.xml")).end.clean_assets,
        ["2001:db8::1".parse().unwrap()]
    );
}
