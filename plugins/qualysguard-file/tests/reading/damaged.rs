//! Truncated and ill-formed reports. They are delivered only with `deliver_incomplete`, and never count as complete.

use std::fs;
use std::path::Path;

use scanbridge_fixtures::{Group, damaged, good};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::{Outcome, Report, read_with, report_of};

/// File, the message after its name, and the number of findings before the damage.
const DAMAGED: &[(&str, &str, usize)] = &[
    ("detections-cut.xml", " is truncated: </HOST_LIST_VM_DETECTION_OUTPUT> is missing", 5),
    ("scan-cut-between-assets.xml", " is truncated: </SCAN> is missing", 1),
    ("scan-cut-in-cdata.xml", " is truncated: </SCAN> is missing", 1),
    ("scan-cut-in-tag.xml", " is truncated: </SCAN> is missing", 2),
    ("scan-deep.xml", ", line 24: XML nested deeper than 64 levels", 0),
    (
        "scan-duplicate-attribute.xml",
        ", line 27: invalid attributes in element VULN: duplicate attribute severity",
        0,
    ),
    ("scan-entity-bomb.xml", ", line 24: undefined entity b", 0),
    ("scan-external-entity.xml", ", line 24: undefined entity xxe", 0),
    ("scan-html-after.xml", " has unexpected data after </SCAN>", 2),
    ("scan-junk-after.xml", " has unexpected data after </SCAN>", 2),
    ("scan-mismatched-tag-late.xml", ", line 39: expected `</TITLE>`, but `</TITEL>` was found", 1),
    ("scan-mismatched-tag.xml", ", line 28: expected `</TITLE>`, but `</TITEL>` was found", 0),
    ("scan-second-root.xml", ", line 46: a second root element, SCAN, after the end of the report", 2),
    ("scan-stray-ampersand.xml", ", line 24: invalid character reference after &", 0),
    ("scan-undefined-entity.xml", ", line 24: undefined entity undefined", 0),
    (
        "scan-with-error.xml",
        " contains an error next to its assets: error 3510: one target could not be reached",
        1,
    ),
    ("template-report-broken-glossary.xml", ", line 180: expected `</IMPACT>`, but `</IMPCT>` was found", 8),
    ("template-report-cut.xml", " is truncated: </ASSET_DATA_REPORT> is missing", 8),
];

/// Reports whose invalid bytes are replaced and counted; they are read to their end.
const REPAIRED: [&str; 2] = ["scan-control-characters.xml", "scan-invalid-utf8.xml"];

/// The message about the report, from its refusal or from its end.
fn message_about(outcome: &Outcome, path: &Path) -> String {
    let reason = match (&outcome.refused[..], &outcome.reports[..]) {
        ([refusal], []) => {
            assert!(refusal.incomplete);
            assert_eq!(refusal.error.kind, ErrorKind::BadData);
            &refusal.error.message
        }
        ([], [report]) => {
            assert!(!report.end.complete);
            &report.end.reason
        }
        other => panic!("{other:?}"),
    };
    reason.strip_prefix(&path.display().to_string()).unwrap().to_owned()
}

#[test]
fn damaged_report_is_not_delivered() {
    for (name, reason, _) in DAMAGED {
        let path = damaged(name);
        let outcome = read_with(&path, &json!({})).unwrap();
        assert_eq!(message_about(&outcome, &path), *reason, "{name}");
        assert!(outcome.reports.iter().all(|report| !report.end.deliver), "{name}");
        assert!(outcome.reports.iter().all(|report| report.findings.is_empty()), "{name}");
    }
    let tested = DAMAGED.len() + REPAIRED.len();
    assert_eq!(Group::Damaged.files().len(), tested, "a damaged report is not tested");
}

#[test]
fn deliver_incomplete_delivers_findings_before_the_damage() {
    for (name, _, findings) in DAMAGED {
        let outcome = read_with(&damaged(name), &json!({ "deliver_incomplete": true })).unwrap();
        assert_eq!((outcome.reports.len(), outcome.refused.len()), (1, 0), "{name}");
        let report = &outcome.reports[0];
        assert_eq!(report.findings.len(), *findings, "{name}");
        assert!(report.end.deliver && !report.end.complete && !report.end.reason.is_empty(), "{name}");
        assert!(report.end.clean_assets.is_empty(), "{name}");
        assert!(is_known_as_incomplete(report), "{name}");
    }
}

/// Outputs that replace what they have must know it before the first asset.
fn is_known_as_incomplete(report: &Report) -> bool {
    report.start.hints.flag("host-input.incomplete") == Some(true)
}

#[test]
fn complete_report_is_not_called_incomplete() {
    for path in Group::Good.files() {
        for deliver in [false, true] {
            let outcome = read_with(&path, &json!({ "deliver_incomplete": deliver })).unwrap();
            for report in outcome.reports {
                let is_known = is_known_as_incomplete(&report);
                assert!(!is_known || !report.end.complete, "{}", path.display());
                // Only what is delivered although it is incomplete must be known.
                assert!(is_known || report.end.complete || !deliver, "{}", path.display());
            }
        }
    }
}

#[test]
fn invalid_bytes_are_replaced_counted_and_reported() {
    for (name, title, replaced) in [
        ("scan-invalid-utf8.xml", "Caf\u{FFFD} \u{FFFD}\u{FFFD} finding", 3),
        ("scan-control-characters.xml", "NUL \u{FFFD} and ESC \u{FFFD} finding", 2),
    ] {
        let report = report_of(&damaged(name));
        assert!(report.end.complete);
        assert_eq!(report.findings[0]["definition.title"], title);
        let note = "invalid bytes replaced (not UTF-8, or not allowed in XML)";
        assert_eq!(report.notes(), [format!("{note} x {replaced}")], "{name}");
    }
}

/// A report that is truncated anywhere before the end of its root is refused; with `deliver_incomplete` it is
/// delivered as incomplete.
#[test]
fn truncated_report_is_never_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truncated.xml");
    for (name, step) in [
        ("scan-no-header.xml", 1),
        ("template-report-no-assets.xml", 7),
        ("template-report.xml", 97),
        ("detections.xml", 97),
    ] {
        let complete = fs::read(good(name)).unwrap();
        let root_end = complete.windows(2).rposition(|pair| pair == b"</").unwrap();
        let root_end = root_end + complete[root_end..].iter().position(|byte| *byte == b'>').unwrap();
        for length in (0..=root_end).step_by(step) {
            fs::write(&path, &complete[..length]).unwrap();
            let outcome = read_with(&path, &json!({})).unwrap();
            assert_eq!(
                (outcome.reports.len(), outcome.refused.len()),
                (0, 1),
                "{name} truncated to {length}"
            );
            let outcome = read_with(&path, &json!({ "deliver_incomplete": true })).unwrap();
            for report in &outcome.reports {
                assert!(!report.end.complete, "{name} truncated to {length}");
                assert!(is_known_as_incomplete(report), "{name} truncated to {length}");
            }
        }
    }
}

#[test]
fn text_above_the_limit_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.xml");
    let text = "<![CDATA[0123456789abcdef]]>".repeat(5_000);
    let xml = fs::read_to_string(good("scan-ipv6.xml")).unwrap().replacen(
        "<RESULT>",
        &format!("<RESULT>{text}"),
        1,
    );
    fs::write(&path, xml).unwrap();
    assert_eq!(report_of(&path).findings[0]["result"].len(), 16 * 5_000 + 1);
    let outcome = read_with(&path, &json!({ "max_text_bytes": 65_536 })).unwrap();
    let problem = "text of one asset, definition or finding exceeds the limit of 65536 bytes";
    assert!(outcome.reports[0].end.reason.ends_with(problem), "{}", outcome.reports[0].end.reason);
    assert!(!outcome.reports[0].end.deliver);
}
