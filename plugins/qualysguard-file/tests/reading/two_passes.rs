//! Template reports: the first pass skips the assets, the second reads only them. A report is complete only if both
//! passes together have read all of it.

use std::fs;

use scanbridge_fixtures::good;
use serde_json::{Value, json};

use crate::drive::{Outcome, read_with};

/// Reads `template-report.xml` after these replacements, each of the first occurrence only.
fn read_changed(changes: &[(&str, &str)], options: &Value) -> Outcome {
    let mut xml = fs::read_to_string(good("template-report.xml")).unwrap();
    for (from, to) in changes {
        assert!(xml.contains(from), "{from}");
        xml = xml.replacen(from, to, 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.xml");
    fs::write(&path, xml).unwrap();
    read_with(&path, options).unwrap()
}

/// A forged end tag that a search for tags alone would accept as the end of the assets.
const FORGED: &str = "</HOST_LIST></ASSET_DATA_REPORT><!--";

#[test]
fn damaged_assets_are_not_delivered() {
    for (changes, reason) in [
        (&[("</HOST>", "</HOTS>")][..], "line 135: expected `</HOST>`, but `</HOTS>` was found"),
        (&[("<HOST_ID>", "<HOST_ID>&evil;")], "line 39: undefined entity evil"),
        (
            &[("<DNS>", "<DNS a='1' a='2'>")],
            "line 40: invalid attributes in element DNS: duplicate attribute a",
        ),
        (
            &[
                ("<DNS>", &format!("<DNS a='{FORGED}'>")),
                ("</ASSET_DATA_REPORT>\n", "</ASSET_DATA_REPORT> -->"),
            ],
            "line 40: invalid attributes in element DNS: `<` in the value of attribute a",
        ),
        // The parser accepts this as an element name.
        (
            &[
                ("<DNS>", &format!("<X\"{FORGED}\"/><DNS>")),
                ("</ASSET_DATA_REPORT>\n", "</ASSET_DATA_REPORT> -->"),
            ],
            "line 170: plugin bug: the list of assets ended twice",
        ),
    ] {
        for deliver in [false, true] {
            let outcome = read_changed(changes, &json!({ "deliver_incomplete": deliver }));
            assert_eq!((outcome.reports.len(), outcome.refused.len()), (1, 0), "{reason}");
            let end = &outcome.reports[0].end;
            assert_eq!((end.complete, end.deliver), (false, deliver), "{reason}");
            assert!(end.reason.ends_with(reason), "{}", end.reason);
            assert!(end.clean_assets.is_empty());
        }
    }
}

#[test]
fn assets_without_an_end_are_refused() {
    for changes in [
        &[("</HOST_LIST>", "")][..],
        &[("</HOST_LIST>", "<HOST_LIST>")],
        &[("</HOST_LIST>", "<![CDATA[</HOST_LIST>")],
        &[("</HOST_LIST>", "<!-- </HOST_LIST>")],
    ] {
        let outcome = read_changed(changes, &json!({}));
        assert_eq!((outcome.reports.len(), outcome.refused.len()), (0, 1), "{changes:?}");
        assert!(outcome.refused[0].incomplete);
        let problem = "unexpected end of file: ASSET_DATA_REPORT is not closed";
        assert!(outcome.refused[0].error.message.ends_with(problem), "{}", outcome.refused[0].error.message);
    }
}

#[test]
fn lists_of_assets_may_be_empty_nested_or_several() {
    let second = "</HOST_LIST><HOST_LIST><HOST><IP>192.0.2.99</IP></HOST></HOST_LIST>";
    let after = "</GLOSSARY><HOST_LIST a='>'><HOST><IP>192.0.2.99</IP></HOST></HOST_LIST >";
    for (changes, assets) in [
        (&[("</HOST_LIST>", second)][..], 4),
        (&[("</GLOSSARY>", after)], 4),
        (&[("<HOST_LIST>", "<HOST_LIST/><HOST_LIST >"), ("</HOST_LIST>", "</HOST_LIST >")], 3),
        (&[("<HOST_LIST>", "<HOST_LIST><HOST_LIST><HOST/></HOST_LIST>")], 3),
        (&[("</DNS>", "</DNS><!-- </HOST_LIST> --><?x </HOST_LIST> ?>")], 3),
        (&[("TLSv1.0 is", "</HOST_LIST>")], 3),
    ] {
        let outcome = read_changed(changes, &json!({}));
        let report = &outcome.reports[0];
        assert!(report.end.complete, "{changes:?}: {}", report.end.reason);
        assert_eq!((report.assets.len(), report.findings.len()), (assets, 8), "{changes:?}");
        assert_eq!(report.finding("38628")["definition.title"], "TLS 1.0 and weaker is spoken");
        assert_eq!(report.end.clean_assets.len(), 2);
    }
}

/// The second pass does not read the glossary, so an error in it must be stored.
#[test]
fn report_with_a_glossary_above_the_limit_is_not_complete() {
    let threat = format!("<THREAT>{}", "x".repeat(70_000));
    let outcome = read_changed(
        &[("<THREAT>", &threat)],
        &json!({ "max_text_bytes": 65_536, "deliver_incomplete": true }),
    );
    let end = &outcome.reports[0].end;
    assert!(end.deliver && !end.complete);
    assert!(end.reason.ends_with("exceeds the limit of 65536 bytes"), "{}", end.reason);
}

#[test]
fn replaced_bytes_are_counted_once() {
    let report = read_changed(
        &[
            ("All findings", "]]>&#1;<![CDATA[\u{1}"),
            ("web.example.com", "]]>&#1;<![CDATA[\u{1}"),
            ("TLS 1.0 and", "]]>&#1;<![CDATA[\u{1}"),
        ],
        &json!({}),
    )
    .reports
    .remove(0);
    assert_eq!(report.start.title, "\u{FFFD}\u{FFFD} of the front row");
    assert_eq!(report.assets[0]["dns"], "\u{FFFD}\u{FFFD}");
    let note = "invalid bytes replaced (not UTF-8, or not allowed in XML) x 6".to_owned();
    assert!(report.notes().contains(&note), "{:?}", report.notes());
}
