//! The counts of the generator equal the content of the report, read by an XML parser and without the generator's
//! code.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use quick_xml::Reader;
use quick_xml::events::Event;
use scanbridge_bench::generator::{Counts, Extent, Format, Shape};

fn shape(format: Format, extent: Extent) -> Shape {
    Shape { format, extent, findings_per_asset: 30, qids: 100, own_texts: false, seed: 7 }
}

fn written(shape: Shape) -> (String, Counts) {
    let mut report = Vec::new();
    let counts = shape.write(&mut report).unwrap();
    assert_eq!(report.len() as u64, counts.bytes);
    (String::from_utf8(report).unwrap(), counts)
}

/// The number of elements with this name.
fn elements(report: &str, name: &str) -> u64 {
    let mut reader = Reader::from_str(report);
    let mut count = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) if start.name().as_ref() == name => count += 1,
            Event::Eof => return count,
            _ => {}
        }
    }
}

#[test]
fn scan_content_equals_its_counts() {
    let (report, counts) = written(shape(Format::Scan, Extent::Assets(60)));
    assert_eq!(counts.assets, 60);
    assert_eq!(counts.findings.total(), 60 * 30);
    assert_eq!(elements(&report, "IP"), counts.assets);
    assert_eq!(elements(&report, "VULN"), counts.findings.vulnerability);
    assert_eq!(elements(&report, "PRACTICE"), counts.findings.potential);
    assert_eq!(elements(&report, "INFO"), counts.findings.information);
    assert_eq!(elements(&report, "SERVICE"), counts.findings.service);
    let findings = counts.findings;
    for kind in [findings.vulnerability, findings.potential, findings.information, findings.service] {
        assert!(kind > 60, "{findings:?}");
    }
}

#[test]
fn findings_have_texts_of_their_own_on_request() {
    let (report, counts) = written(Shape { own_texts: true, ..shape(Format::Scan, Extent::Assets(5)) });
    assert_eq!(elements(&report, "DIAGNOSIS"), counts.findings.total());
    for number in 1..=counts.findings.total() {
        let own = format!("<DIAGNOSIS><![CDATA[Instance {number}. ");
        assert_eq!(report.matches(&own).count(), 1, "{own}");
    }
}

#[test]
fn texts_of_a_long_scan_have_200_kilobytes() {
    let long = Shape { qids: 30, ..shape(Format::LongScan, Extent::Assets(1)) };
    let (report, counts) = written(long);
    assert_eq!(elements(&report, "DIAGNOSIS"), counts.findings.total());
    // Each finding has a diagnosis; all except the four facts about the asset have a long result.
    assert!(report.len() as u64 > 200_000 * (2 * counts.findings.total() - 4));
    let mut expected = written(Shape { format: Format::Scan, ..long }).1;
    expected.bytes = counts.bytes;
    assert_eq!(counts, expected, "only the texts differ from those of a scan");
}

#[test]
fn assets_with_few_findings_report_no_facts() {
    let one = Shape { findings_per_asset: 1, ..shape(Format::Detections, Extent::Assets(200)) };
    let (report, counts) = written(one);
    assert_eq!(counts.findings.total(), 200);
    assert!(counts.findings.vulnerability > 50, "{:?}", counts.findings);
    assert!(!report.contains("<QID>82023</QID>"));
}

#[test]
fn detections_have_qids_of_their_own_on_request() {
    let own = Shape { own_texts: true, ..shape(Format::Detections, Extent::Assets(5)) };
    let (report, counts) = written(own);
    let mut qids: Vec<&str> = report.lines().filter(|line| line.starts_with("<QID>")).collect();
    assert_eq!(qids.len() as u64, counts.findings.total());
    qids.sort_unstable();
    qids.dedup();
    assert_eq!(qids.len() as u64, counts.findings.total());
}

#[test]
fn one_percent_of_findings_are_hazards() {
    let (report, counts) = written(shape(Format::Scan, Extent::Assets(200)));
    let percent = counts.hazards as f64 * 100.0 / counts.findings.total() as f64;
    assert!((0.5..2.0).contains(&percent), "{percent}");
    for hazard in
        ["]]]]><![CDATA[>", "&amp;quot;", "\r\n", "漢字 🦀", "&#xD;", "<IP value=\"192.0.2.1\">no asset"]
    {
        assert!(report.contains(hazard), "{hazard:?}");
    }
}

#[test]
fn template_glossary_follows_the_assets() {
    let (report, counts) = written(shape(Format::Template, Extent::Assets(20)));
    assert_eq!(elements(&report, "VULN_INFO"), counts.findings.total());
    assert_eq!(elements(&report, "HOST"), 20);
    assert_eq!(elements(&report, "VULN_DETAILS"), counts.definitions);
    assert!(report.find("<GLOSSARY>").unwrap() > report.rfind("</HOST>").unwrap());
    assert_eq!(counts.findings.service, 0);
}

#[test]
fn knowledge_base_defines_all_qids_of_the_detections() {
    let (detections, counts) = written(shape(Format::Detections, Extent::Assets(20)));
    let (knowledge_base, _) = written(shape(Format::KnowledgeBase, Extent::Assets(0)));
    assert_eq!(elements(&detections, "DETECTION"), counts.findings.total());
    assert_eq!(elements(&knowledge_base, "VULN"), 100);
    for line in detections.lines().filter(|line| line.starts_with("<QID>")) {
        assert!(knowledge_base.contains(line), "{line}");
    }
}

#[test]
fn same_seed_gives_the_same_report() {
    let first = shape(Format::Scan, Extent::Bytes(200_000));
    let other = Shape { seed: 8, ..first };
    assert_eq!(written(first), written(first));
    assert_ne!(written(first).0, written(other).0);
    assert!((200_000..400_000).contains(&written(first).1.bytes));
}
