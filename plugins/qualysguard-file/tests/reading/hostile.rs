//! Reports that a scanner would hardly write: memory is limited, and no report counts as complete by mistake.

use std::fs;

use scanbridge_plugin_api::Result;
use serde_json::json;

use crate::drive::{Outcome, Report, read_with};

fn read_text(xml: &str, more: &serde_json::Value) -> Result<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.xml");
    fs::write(&path, xml).unwrap();
    read_with(&path, more)
}

fn report_of(xml: &str) -> Report {
    let mut outcome = read_text(xml, &json!({ "max_text_bytes": 65_536 })).unwrap();
    assert_eq!((outcome.reports.len(), &outcome.refused[..]), (1, &[][..]), "{xml:.200}");
    outcome.reports.remove(0)
}

fn detections(hosts: &str) -> String {
    format!(
        "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:01Z</DATETIME><HOST_LIST>{hosts}\
         </HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"
    )
}

fn template_report(hosts: &str, after: &str) -> String {
    format!("<ASSET_DATA_REPORT><HEADER/><HOST_LIST>{hosts}</HOST_LIST>{after}</ASSET_DATA_REPORT>")
}

const TOO_MUCH: &str = "text of one asset, definition or finding exceeds the limit of 65536 bytes";

#[test]
fn texts_of_an_asset_between_its_findings_are_limited() {
    let finding = "<VULN_INFO_LIST><VULN_INFO><QID>1</QID><TYPE>Vuln</TYPE></VULN_INFO></VULN_INFO_LIST>";
    let long = "x".repeat(10_000);
    for text in [
        format!("<OPERATING_SYSTEM>{long}</OPERATING_SYSTEM>"),
        format!("<ASSET_TAGS><ASSET_TAG>{long}</ASSET_TAG></ASSET_TAGS>"),
        format!("<IP network_id=\"{long}\"/>"),
    ] {
        let host = |count: usize| {
            format!("<HOST><IP>192.0.2.1</IP>{}</HOST>", format!("{text}{finding}").repeat(count))
        };
        let end = report_of(&template_report(&host(20), "")).end;
        assert!(end.reason.ends_with(TOO_MUCH) && !end.complete, "{:?}", end.reason);
        // The limit applies to each asset separately.
        let many = report_of(&template_report(&host(1).repeat(20), ""));
        assert!(many.end.complete, "{}", many.end.reason);
        assert_eq!((many.assets.len(), many.findings.len()), (20, 20));
    }
}

#[test]
fn error_instead_of_all_assets_is_not_a_complete_report() {
    const HEADER: &str = "<HEADER><KEY value=\"TITLE\">Night</KEY></HEADER>";
    const ERROR: &str = "<ERROR number=\"3510\">no host reached</ERROR>";
    for xml in [
        format!("<SCAN value=\"scan/1.2\">{HEADER}{ERROR}</SCAN>"),
        format!("<SCAN value=\"scan/1.2\">{ERROR}{HEADER}</SCAN>"),
        template_report("", ERROR),
    ] {
        let end = report_of(&xml).end;
        assert!(!end.complete && !end.deliver, "{xml}");
        assert!(
            end.reason.ends_with("report.xml contains no assets but error 3510: no host reached"),
            "{end:?}"
        );
    }
    for xml in [format!("<SCAN>{HEADER}<ERROR/></SCAN>"), template_report("", "<ERROR/>")] {
        let end = report_of(&xml).end;
        assert!(end.reason.ends_with("contains no assets but an error without code and text"), "{end:?}");
    }
    let with_asset = report_of(&format!("<SCAN>{HEADER}{ERROR}<IP value=\"192.0.2.1\"/></SCAN>"));
    assert!(!with_asset.end.complete && !with_asset.end.deliver, "{:?}", with_asset.end);
}

#[test]
fn scan_without_any_asset_alive_is_complete() {
    let scan = |content: &str| {
        format!("<SCAN><HEADER/>{content}<ERROR number=\"3509\">no host alive</ERROR></SCAN>")
    };
    for (content, is_complete) in [
        ("", true),
        ("<IP value=\"192.0.2.1\" status=\"down\"/>", true),
        ("<IP value=\"192.0.2.1\" status=\"Finish\"/>", false),
        ("<IP value=\"192.0.2.1\"/>", false),
    ] {
        let report = report_of(&scan(content));
        assert_eq!(report.end.complete, is_complete, "{content}");
        assert!(report.end.clean_assets.is_empty());
        let is_noted = report.notes().iter().any(|note| note.contains("error 3509: no host alive"));
        assert_eq!(is_noted, is_complete, "{:?}", report.notes());
    }
}

#[test]
fn scan_that_was_not_finished_is_delivered_only_as_incomplete() {
    let header = |status: &str| format!("<HEADER><KEY value=\"STATUS\">{status}</KEY></HEADER>");
    let asset = "<IP value=\"192.0.2.1\"/>";
    for status in ["CANCELED", "PAUSED", "INTERRUPTED", "ERROR", "RUNNING", "Mystery"] {
        for xml in [
            format!("<SCAN>{}{asset}</SCAN>", header(status)),
            format!("<SCAN>{asset}{}</SCAN>", header(status)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("scan.xml");
            fs::write(&path, &xml).unwrap();
            let refused = read_with(&path, &json!({})).unwrap();
            assert_eq!((refused.reports.len(), refused.refused.len()), (0, 1), "{xml}");
            let refusal = &refused.refused[0];
            assert!(refusal.incomplete && refusal.error.message.contains(status), "{refusal:?}");
            let delivered = read_with(&path, &json!({ "deliver_incomplete": true })).unwrap();
            let report = &delivered.reports[0];
            assert!(!report.end.complete && report.end.deliver && report.assets.len() == 1, "{xml}");
            assert_eq!(report.start.status, status);
        }
    }
    for status in ["FINISHED", "finished", "NOVULNSFOUND", "", "N/A"] {
        let report = report_of(&format!("<SCAN>{}{asset}</SCAN>", header(status)));
        assert!(report.end.complete, "{status}");
    }
}

#[test]
fn finding_of_unknown_type_is_counted() {
    for types in ["", "<TYPE/>", "<TYPE>Novelty</TYPE>", "<TYPE>Vuln</TYPE><TYPE>Vuln</TYPE>"] {
        let finding = format!("<QID>1</QID>{types}");
        let detection = format!("<DETECTION_LIST><DETECTION>{finding}</DETECTION></DETECTION_LIST>");
        let info = format!("<VULN_INFO_LIST><VULN_INFO>{finding}</VULN_INFO></VULN_INFO_LIST>");
        let host = |findings| format!("<HOST><IP>192.0.2.1</IP>{findings}</HOST>");
        for xml in [detections(&host(detection)), template_report(&host(info), "")] {
            let report = report_of(&xml);
            assert_eq!(report.findings[0]["kind"], "information", "{xml}");
            let note = "findings of an unknown type delivered as information x 1".to_owned();
            assert!(report.notes().contains(&note), "{xml}: {:?}", report.notes());
        }
    }
}

#[test]
fn asset_with_an_error_instead_of_findings_is_not_delivered() {
    let finding = "<VULN_INFO_LIST><VULN_INFO><QID>1</QID><TYPE>Vuln</TYPE></VULN_INFO></VULN_INFO_LIST>";
    let hosts = format!(
        "<HOST><IP>192.0.2.1</IP><ERROR number=\"3001\">no data</ERROR></HOST>\
         <HOST><ERROR/><IP>192.0.2.2</IP></HOST>\
         <HOST><IP>192.0.2.3</IP>{finding}<ERROR/></HOST>\
         <HOST><IP>192.0.2.4</IP></HOST>"
    );
    let report = report_of(&template_report(&hosts, ""));
    let addresses: Vec<&str> = report.assets.iter().map(|asset| asset["address"].as_str()).collect();
    assert_eq!(addresses, ["192.0.2.3", "192.0.2.4"]);
    assert!(report.end.complete);
    let failed = "assets reported with an error instead of findings x 3";
    assert!(report.notes().contains(&failed.to_owned()), "{:?}", report.notes());
}

#[test]
fn small_texts_outside_the_assets_do_not_add_up() {
    let ranges = "<RANGE><START>192.0.2.1</START><END>192.0.2.9</END></RANGE>".repeat(10_000);
    let long = format!("<RANGE><START>{}</START></RANGE>", "x".repeat(129));
    let appendices =
        format!("<APPENDICES><NO_VULNS><IP_LIST>{ranges}{long}</IP_LIST></NO_VULNS></APPENDICES>");
    let report = report_of(&template_report("", &appendices));
    assert_eq!(report.end.clean_assets, vec!["192.0.2.1-192.0.2.9".parse().unwrap(); 10_000]);
    assert!(report.notes()[0].starts_with("an address range without findings is invalid and was ignored"));

    let keys = format!("<KEY value=\"TARGET\">{}</KEY>", "192.0.2.1 ".repeat(1_000)).repeat(20);
    let header = format!("<HEADER>{keys}<KEY value=\"TITLE\">Night</KEY></HEADER>");
    let report = report_of(&format!("<SCAN>{header}<IP value=\"192.0.2.1\"/></SCAN>"));
    assert_eq!((report.start.title.as_str(), report.end.complete), ("Night", true));
}

#[test]
fn forbidden_characters_in_attributes_are_replaced_and_counted() {
    let report =
        report_of("<SCAN value=\"scan/&#2;1\"><IP value=\"192.0.2.1\" name=\"a&#1;b&amp;&#x41;\"/></SCAN>");
    assert_eq!(report.start.id, "scan/\u{FFFD}1");
    assert_eq!(report.assets[0]["dns"], "a\u{FFFD}b&A");
    assert_eq!(report.notes(), ["invalid bytes replaced (not UTF-8, or not allowed in XML) x 2"]);
}
