//! For any bytes in blocks of any length: no panic, the same batches, and a truncated report never counts as
//! complete.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue may panic")]

use std::fs;

use proptest::prelude::*;
use scanbridge_fixtures::{Group, good};
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns, Schema};
use scanbridge_qualys_xml::test_support::{MemorySpool, Pieces};
use scanbridge_qualys_xml::{
    Damage, Definitions, Kind, Limits, Page, Progress, Reply, ReportReader, index_knowledge_base,
    read_asset_numbers, read_preface, read_reports, read_scans, read_templates,
};

/// The result of reading a report, in a comparable form.
#[derive(Debug, PartialEq)]
struct Outcome {
    batches: Vec<Vec<u8>>,
    notes: Vec<String>,
    /// Why the report is not complete.
    damage: Option<String>,
}

/// Reads `bytes` as a report of this kind; `pieces` are the lengths of the reads, in rotation.
fn read(kind: &Kind, bytes: &[u8], pieces: &[usize]) -> Outcome {
    let limits = Limits { text_bytes: 1 << 20 };
    let mut definitions = Definitions::new(Box::<MemorySpool>::default());
    let source = || Pieces::new(bytes, pieces);
    if *kind == Kind::Detections {
        let knowledge_base = fs::read(good("knowledge-base.xml")).unwrap();
        index_knowledge_base(&knowledge_base[..], limits, &mut definitions).unwrap();
    }
    let (mut preface, first) = read_preface(kind, source(), limits, &mut definitions);
    let mut reader = ReportReader::new(kind, source(), limits, &mut preface);
    let mut outcome =
        Outcome { batches: Vec::new(), notes: Vec::new(), damage: first.map(|d| d.to_string()) };
    loop {
        let mut batch = BatchBuilder::default();
        let progress: Result<Progress, Damage> = reader.fill(&mut batch, Some(&mut definitions));
        let batch = batch.finish();
        assert_eq!(Batch::of(&batch, &Columns::of(Schema::default())).err(), None);
        outcome.batches.push(
            [&batch.text[..], &batch.new_text[..], format!("{:?}", batch.findings).as_bytes()].concat(),
        );
        match progress {
            Ok(Progress::Full) => {}
            Ok(Progress::Ended) => break,
            Err(damage) => {
                outcome.damage = Some(damage.to_string());
                break;
            }
        }
    }
    // The number of bytes read, and replaced, after the damage depends on the lengths of the reads.
    let is_comparable = |text: &str| outcome.damage.is_none() || !text.starts_with("invalid bytes replaced");
    let notes = reader.notes().into_iter().filter(|note| is_comparable(&note.text));
    outcome.notes = notes.map(|note| format!("{} {}", note.text, note.count)).collect();
    outcome
}

const ONE_READ: &[usize] = &[usize::MAX];

/// What a definition may contain. The last ones have effects outside it.
const INSIDE: &[&str] = &[
    "",
    "",
    "",
    "<CVE_ID_LIST><CVE_ID><ID>CVE-2026-0001</ID></CVE_ID><CVE_ID><ID>CVE-2026-0002</ID></CVE_ID></CVE_ID_LIST>",
    "<CVSS_BASE source=\"service\">7.5</CVSS_BASE>",
    "<CVSS_BASE>high</CVSS_BASE>",
    "<COMPLIANCE x=\"1\"/>",
    "<UNKNOWN>u</UNKNOWN>",
    "<SOLUTION>&#1;s &amp; t</SOLUTION>",
    "<INSTANCE>i</INSTANCE>",
    "<!-- c -->",
];

/// The end of a finding. In the last ones, parts of the definition follow the result.
const ENDS: &[&str] = &[
    "<RESULT><![CDATA[r]]></RESULT>",
    "<RESULT><![CDATA[r]]></RESULT>",
    "<RESULT format=\"table\"><![CDATA[a]]]]><![CDATA[>b]]></RESULT>",
    "",
    "<RESULT/>",
    "<RESULT>r &lt; s</RESULT>",
    "<RESULT><![CDATA[</VULN>]]></RESULT>",
    "<RESULT><![CDATA[r]]></RESULT><TITLE>more</TITLE>",
    "<RESULT><![CDATA[r]]></RESULT><CONSEQUENCE><![CDATA[c]]></CONSEQUENCE>",
    "<RESULT><![CDATA[r]]></RESULT><UNKNOWN>u</UNKNOWN>",
];

#[test]
fn truncated_report_is_never_complete() {
    for name in ["scan-all-kinds.xml", "scan-header-after-hosts.xml", "template-report.xml", "detections.xml"]
    {
        let bytes = fs::read(good(name)).unwrap();
        let kind = Kind::of(&bytes);
        let root_end = memchr::memmem::rfind(&bytes, kind.root().unwrap().as_bytes()).unwrap();
        assert_eq!(read(&kind, &bytes, ONE_READ).damage, None, "{name}");
        for length in 0..=root_end {
            assert!(read(&kind, &bytes[..length], ONE_READ).damage.is_some(), "{name} truncated to {length}");
        }
    }
}

#[test]
fn same_result_for_all_read_lengths() {
    for path in [Group::Good.files(), Group::Damaged.files()].concat() {
        let bytes = fs::read(&path).unwrap();
        let kind = Kind::of(&bytes);
        if kind.is_report() {
            let complete = read(&kind, &bytes, ONE_READ);
            for pieces in [&[1][..], &[7, 1, 64], &[4096]] {
                assert_eq!(read(&kind, &bytes, pieces), complete, "{} in {pieces:?}", path.display());
            }
        }
    }
}

/// Long lists are accepted. A report that alternates between them is refused, which limits time and memory.
#[test]
fn long_lists_are_accepted_and_alternating_ones_refused() {
    let scan = |lists: &str| format!("<SCAN><IP><VULNS><CAT><VULN>{lists}</VULN></CAT></VULNS></IP></SCAN>");
    let cve = |number: u32| format!("<CVE_ID><ID>CVE-2026-{number}</ID></CVE_ID>");
    let bug = |number: u32| format!("<BUGTRAQ_ID><ID>{number}</ID></BUGTRAQ_ID>");
    let list: String = (0..30_000).map(cve).collect();
    let long = read(&Kind::Scan, scan(&format!("<CVE_ID_LIST>{list}</CVE_ID_LIST>")).as_bytes(), ONE_READ);
    assert_eq!(long.damage, None);
    assert!(memchr::memmem::find(&long.batches[0], b"CVE-2026-29999").is_some());
    let alternating: String = (0..40_000)
        .map(|n| {
            format!("<CVE_ID_LIST>{}</CVE_ID_LIST><BUGTRAQ_ID_LIST>{}</BUGTRAQ_ID_LIST>", cve(n), bug(n))
        })
        .collect();
    let damage = read(&Kind::Scan, scan(&alternating).as_bytes(), ONE_READ).damage.unwrap();
    assert!(damage.contains("exceeds the limit of"), "{damage}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        for kind in [Kind::of(&bytes), Kind::Scan, Kind::TemplateReport, Kind::Detections] {
            read(&kind, &bytes, ONE_READ);
        }
    }

    /// A definition that was read before is skipped, but only within one block: short reads show what parsing all of
    /// them makes.
    #[test]
    fn repeated_definitions_are_the_same_as_parsed_ones(
        findings in prop::collection::vec(
            (0..3_usize, prop::sample::select(INSIDE), prop::sample::select(INSIDE), prop::sample::select(ENDS)), 1..40),
        number in 1..3_u32,
    ) {
        let findings: String = findings
            .iter()
            .map(|(kind, first, second, end)| {
                let name = ["VULN", "INFO", "PRACTICE"][*kind];
                format!(
                    "<{name} number=\"{number}\" severity=\"3\" cveid=\"CVE-2026-0001\">\n<TITLE>t</TITLE>\n{first}\n\
                     <DIAGNOSIS><![CDATA[<p>d]]></DIAGNOSIS>{second}\n{end}\n</{name}>\n"
                )
            })
            .collect();
        let scan = format!("<SCAN>\n<IP value=\"192.0.2.1\">\n<VULNS>\n<CAT value=\"c\">\n{findings}</CAT></VULNS></IP></SCAN>");
        let parsed = read(&Kind::Scan, scan.as_bytes(), &[13]);
        prop_assert_eq!(read(&Kind::Scan, scan.as_bytes(), ONE_READ), parsed);
    }

    #[test]
    fn responses_cause_no_panic_and_one_line_messages(
        parts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            prop::sample::select(RESPONSE_TOKENS).prop_map(|token| token.as_bytes().to_vec()),
        ], 0..40),
    ) {
        let bytes = parts.concat();
        let shown = Reply::read(&bytes[..]).to_string();
        prop_assert!(shown.len() <= 4096 && !shown.contains(char::is_control), "{shown:?}");
        let reports = read_reports(&bytes[..]).unwrap_or_default();
        prop_assert!(reports.iter().all(|report| !report.title.contains(char::is_control)));
        let _ = (read_scans(&bytes[..]), read_templates(&bytes[..]), read_asset_numbers(&bytes[..]));
        let _ = Page::read(&bytes[..], Limits::default());
    }

    #[test]
    fn changed_reports_cause_no_panic(
        file in 0..4_usize,
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        replacement in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            prop::sample::select(TOKENS).prop_map(|token| token.as_bytes().to_vec()),
        ],
    ) {
        let name = ["scan-all-kinds.xml", "template-report.xml", "detections.xml", "scan-text-variants.xml"][file];
        let mut bytes = fs::read(good(name)).unwrap();
        let kind = Kind::of(&bytes);
        let from = at.index(bytes.len());
        let to = (from + length).min(bytes.len());
        bytes.splice(from..to, replacement);
        let complete = read(&kind, &bytes, ONE_READ);
        prop_assert_eq!(read(&kind, &bytes, &[13, 1, 300]), complete);
    }
}

/// Parts of small API responses.
const RESPONSE_TOKENS: &[&str] = &[
    "<SIMPLE_RETURN>",
    "<RESPONSE>",
    "<CODE>1965</CODE>",
    "<TEXT>",
    "</TEXT>",
    "<ITEM_LIST><ITEM><KEY>K</KEY><VALUE>v\u{202E}\n</VALUE></ITEM></ITEM_LIST>",
    "</RESPONSE>",
    "</SIMPLE_RETURN>",
    "<GENERIC_RETURN><RETURN number='999'>",
    "<SCAN_REPORT_LIST>",
    "<SCAN_REPORT ref='scan/1.1' status='FINISHED'/>",
    "</SCAN_REPORT_LIST>",
    "<REPORT_LIST_OUTPUT><RESPONSE><REPORT_LIST><REPORT><ID>1</ID><TITLE>a\r\nb</TITLE>",
    "</REPORT></REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>",
    "<ID_SET><ID>18446744073709551615</ID><ID_RANGE>1-</ID_RANGE></ID_SET>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "&#10;",
    "&evil;",
];

/// Markup that is likely to damage a report.
const TOKENS: &[&str] = &[
    "<",
    ">",
    "&",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "</SCAN>",
    "<VULN number=\"1\">",
    "</VULN>",
    "<TITLE>",
    "<QID>",
    "<HOST>",
    "</HOST_LIST>",
    "<HOST_LIST>",
    "&#0;",
    "&amp;",
    "\r",
    "\u{FEFF}",
    "<?x",
    "<!DOCTYPE",
];
