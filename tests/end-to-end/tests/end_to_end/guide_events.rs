//! The event tables of the SmartConnector guide, row by row: a scan goes through the built host into a
//! CEF file, and each field is compared with the value that xmllint finds in the scan.

use std::fmt::Write as _;

use crate::cef::{self, Event};
use crate::sandbox::{CEF, Sandbox, pipeline};
use crate::xpath;

/// Section, element, and the part of the class ID of each kind of finding.
const KINDS: [(&str, &str, &str); 4] = [
    ("INFOS", "INFO", "INFOS"),
    ("PRACTICES", "PRACTICE", "PRACTICES"),
    ("SERVICES", "SERVICE", "Services"),
    ("VULNS", "VULN", "VULN"),
];

const WORDS: [&str; 5] = ["Minimal", "Medium", "Serious", "Critical", "Urgent"];

/// The bands of the CEF severity: Low, Medium, High, High, Very High.
const BANDS: [std::ops::RangeInclusive<u8>; 5] = [0..=3, 4..=6, 7..=8, 7..=8, 9..=10];

/// A finding with each field that the guide names. Texts contain what CEF has to escape.
fn finding(element: &str, qid: u32, severity: usize) -> String {
    format!(
        "<{element} number=\"{qid}\" severity=\"{severity}\">\
         <TITLE><![CDATA[Title | {qid} \\ = ü]]></TITLE>\
         <CVSS_BASE>{severity}.5</CVSS_BASE>\
         <CVE_ID_LIST><CVE_ID><ID>CVE-2099-{qid}</ID><URL>https://cve.example.com/</URL></CVE_ID></CVE_ID_LIST>\
         <DIAGNOSIS><![CDATA[Diagnosis of {qid}: a=b | c \\ d]]></DIAGNOSIS>\
         <CONSEQUENCE><![CDATA[Consequence of {qid}]]></CONSEQUENCE>\
         <SOLUTION><![CDATA[Solution of {qid}]]></SOLUTION>\
         <CORRELATION><EXPLOITABILITY><EXPLT_SRC><SRC_NAME>Lab</SRC_NAME><EXPLT_LIST><EXPLT>\
         <REF>CVE-2099-{qid}</REF><DESC>Exploit of {qid}</DESC></EXPLT></EXPLT_LIST></EXPLT_SRC></EXPLOITABILITY></CORRELATION>\
         <RESULT><![CDATA[Result of {qid}\nsecond = line ä 漢]]></RESULT></{element}>"
    )
}

/// Two assets. The first has all names, a system, and each kind with each severity; the second has an address only and a
/// finding with nothing but a title.
fn scan() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SCAN value=\"scan/1790000000.00077\"><HEADER>\
         <KEY value=\"TITLE\">Guide</KEY><KEY value=\"DATE\">2026-03-04T10:14:53Z</KEY>\
         <KEY value=\"STATUS\">FINISHED</KEY>\
         <KEY value=\"SCAN_HOST\">scanner.example.com (Scanner 12.1.31-1, Vulnerability Signatures 2.6.1-2)</KEY></HEADER>\
         <IP value=\"192.0.2.10\" name=\"shop.example.com\"><OS>Ubuntu Linux 24.04</OS>\
         <NETBIOS_HOSTNAME>SHOP</NETBIOS_HOSTNAME>",
    );
    for (kind, (section, element, _)) in (1..).zip(KINDS) {
        let _ = write!(
            text,
            "<{section}><CAT value=\"Category of {section}\" port=\"4{kind}\" protocol=\"tcp\">"
        );
        for severity in 1..=5 {
            text += &finding(element, kind * 1000 + severity, severity as usize);
        }
        let _ = write!(text, "</CAT></{section}>");
    }
    text += "<SERVICES><CAT value=\"TCP/IP\"><SERVICE number=\"82023\" severity=\"1\"><TITLE>Open TCP Services List</TITLE>\
             <RESULT format=\"table\">Port\tIANA Assigned Ports/Services\tDescription\tService Detected\tOS On Redirected Port\n\
             22\tssh\tSSH Remote Login Protocol\tssh\t\n</RESULT></SERVICE></CAT></SERVICES></IP>\
             <IP value=\"192.0.2.20\"><VULNS><CAT value=\"Bare\"><VULN number=\"9999\" severity=\"1\">\
             <TITLE>Bare</TITLE></VULN></CAT></VULNS></IP></SCAN>\n";
    text
}

struct Guide {
    xml: String,
    path: String,
    events: Vec<Event>,
}

impl Guide {
    fn run(xml: String, options: &str) -> Self {
        let sandbox = Sandbox::new();
        let path = sandbox.write("scan.xml", &xml);
        let output = CEF.replace("path:", &format!("{options}path:"));
        sandbox.run(&pipeline(&format!("path: {path:?}, settle_secs: 0"), &[&output])).expect_code(0);
        let events = cef::events(&sandbox.read("findings.cef"));
        Self { xml, path: path.display().to_string(), events }
    }

    /// The value in the scan. Without xmllint what is compared is only that the event has a value.
    fn in_scan(&self, finding: &str, expression: &str) -> Option<String> {
        xpath::text(self.xml.as_bytes(), &format!("{finding}/{expression}"))
    }

    fn event(&self, class: &str) -> &Event {
        let mut found = self.events.iter().filter(|event| event.class_id() == class);
        let event = found.next().unwrap_or_else(|| panic!("no event {class}"));
        assert!(found.next().is_none(), "two events {class}");
        event
    }
}

/// Key of the event, and where the scan has the value, for the kinds of which the guide has this row.
const FROM_SCAN: &[(&str, &str, &[&str])] = &[
    ("dst", "../../../@value", ALL),
    ("dpt", "../@port", ALL),
    ("cat", "../@value", ALL),
    ("cs1", "RESULT", ALL),
    ("cs2", "CVE_ID_LIST/CVE_ID/ID", &["INFOS", "PRACTICES", "VULNS"]),
    ("cs3", "DIAGNOSIS", ALL),
    ("cs4", "CONSEQUENCE", ALL),
    ("cs5", "SOLUTION", ALL),
    ("cs6", "CVSS_BASE", &["PRACTICES", "VULNS"]),
    ("ad.ExpltDescription", ".//EXPLT/DESC", &["PRACTICES", "VULNS"]),
    ("categoryTechnique", "../@value", &["VULNS"]),
];

const ALL: &[&str] = &["INFOS", "PRACTICES", "SERVICES", "VULNS"];

const LABELS: [(&str, &str); 6] = [
    ("cs1", "Result"),
    ("cs2", "CVE ID"),
    ("cs3", "Diagnosis"),
    ("cs4", "Consequence"),
    ("cs5", "Solution"),
    ("cs6", "CVSS Base Score"),
];

///
#[test]
fn each_finding_has_the_fields_of_its_table() {
    let guide = Guide::run(scan(), "");
    for (kind, (section, element, class)) in (1..).zip(KINDS) {
        for severity in 1..=5_u32 {
            let qid = kind * 1000 + severity;
            let event = guide.event(&format!("Qualys|{class}|{qid}"));
            let finding = format!("/SCAN/IP[1]/{section}/CAT/{element}[@number=\"{qid}\"]");
            for (key, expression, sections) in FROM_SCAN {
                let value = event.get(key);
                assert_eq!(value.is_some(), sections.contains(&section), "{qid}: {key}");
                if let (Some(value), Some(expected)) = (value, guide.in_scan(&finding, expression)) {
                    assert_eq!(value, expected, "{qid}: {key}");
                }
            }
            for (key, label) in LABELS {
                let found = event.get(&format!("{key}Label"));
                assert_eq!(found, event.get(key).map(|_| label), "{qid}: {key}");
            }
            let title = guide.in_scan(&finding, "TITLE").unwrap_or_else(|| format!("Title | {qid} \\ = ü"));
            let name = if section == "VULNS" { format!("Vulnerability:{qid}") } else { title };
            assert_eq!(event.name(), name);
            let host = if section == "INFOS" { "SHOP" } else { "shop.example.com" };
            assert_eq!(event.get("dhost"), Some(host), "{qid}");
            assert_eq!(event.get("proto"), Some("TCP"), "{qid}");
            let domain = matches!(section, "SERVICES" | "VULNS").then_some("Network");
            assert_eq!(event.get("deviceDomain"), domain, "{qid}");
            assert_common(&guide, event);
        }
    }
}

/// Vendor, product and version of the header, time, and path of the report.
fn assert_common(guide: &Guide, event: &Event) {
    assert_eq!(event.header[..3], ["Qualys", "Qualys", "12.1.31-1"]);
    // 2026-03-04T10:14:53Z
    assert_eq!(event.get("rt"), Some("1772619293000"));
    assert_eq!(event.get("oldFilePath"), Some(guide.path.as_str()));
}

/// the words and bands of each severity.
#[test]
fn severities_have_the_words_and_bands_of_the_guide() {
    let guide = Guide::run(scan(), "");
    for (kind, (section, _, class)) in (1..).zip(KINDS) {
        for severity in 1..=5_usize {
            let event = guide.event(&format!("Qualys|{class}|{}", kind * 1000 + severity));
            let shown = if kind <= 2 { WORDS[severity - 1].to_owned() } else { severity.to_string() };
            assert_eq!(event.get("deviceSeverity"), Some(shown.as_str()), "{section} {severity}");
            let header: u8 = event.header[5].parse().unwrap();
            assert!(BANDS[severity - 1].contains(&header), "{section} {severity}: {header}");
        }
    }
}

///
#[test]
fn open_ports_and_systems_have_the_fields_of_their_tables() {
    let guide = Guide::run(scan(), "");
    let port = guide.event("Qualys|Open Port|82023");
    let system = guide.event("Qualys|URI|Ubuntu Linux 24.04");
    for (event, fields) in [
        (
            port,
            &[
                ("dst", "192.0.2.10"),
                ("dhost", "shop.example.com"),
                ("dpt", "22"),
                ("proto", "TCP"),
                ("deviceSeverity", "1"),
                ("deviceDomain", "Network"),
                ("categoryTechnique", "TCP/IP"),
                ("cs1Label", "Result"),
                ("cs1", "22/tcp, assigned ssh, detected ssh"),
            ][..],
        ),
        (
            system,
            &[
                ("dst", "192.0.2.10"),
                ("dhost", "shop.example.com"),
                ("deviceDomain", "Network"),
                ("filePath", "Ubuntu Linux 24.04"),
            ],
        ),
    ] {
        for (key, value) in fields {
            assert_eq!(event.get(key), Some(*value), "{}: {key}", event.class_id());
        }
        assert_common(&guide, event);
    }
    assert_eq!((port.name(), port.header[5].as_str()), ("Open Port", "3"));
    assert_eq!(system.name(), "Operating System Ubuntu Linux 24.04");
}

/// the class ID of the guide joins the texts; a stable one is the default.
#[test]
fn class_id_of_the_guide_joins_the_texts() {
    let guide = Guide::run(scan(), "class_id_style: concat, ");
    let event = guide.events.iter().find(|event| event.name() == "Vulnerability:4005").unwrap();
    for part in [
        "Qualys",
        "4005",
        "Title",
        "Diagnosis of 4005",
        "Consequence of 4005",
        "Solution of 4005",
        "CVE-2099-4005",
    ] {
        assert!(event.class_id().contains(part), "{part}: {}", event.class_id());
    }
}

/// each finding is one event; what the scan does not have is absent.
#[test]
fn each_finding_is_one_event_without_empty_values() {
    let guide = Guide::run(scan(), "");
    for (_, element, class) in KINDS {
        let events = cef::count(&guide.events, &format!("Qualys|{class}|"));
        if let Some(count) = xpath::count(guide.xml.as_bytes(), &format!("//{element}")) {
            assert_eq!(events, count, "{element}");
        }
    }
    for event in &guide.events {
        for (key, value) in &event.extension {
            assert!(!value.trim().is_empty() && value != "null", "{}: {key}", event.class_id());
        }
    }
    let bare = guide.event("Qualys|VULN|9999");
    let keys: Vec<&str> = bare.extension.iter().map(|(key, _)| key.as_str()).collect();
    let expected = [
        "rt",
        "dst",
        "cat",
        "deviceSeverity",
        "deviceDomain",
        "categoryTechnique",
        "oldFilePath",
        "ScanbridgeEventId",
        "msg",
    ];
    assert_eq!(keys, expected);
}

/// a long text is truncated at a character and marked; a scan without a version gets the default.
#[test]
fn long_texts_are_truncated_and_a_missing_version_has_its_default() {
    let long = "漢".repeat(20_000 / 3);
    let xml = scan()
        .replace("second = line ä 漢", &long)
        .replace(" (Scanner 12.1.31-1, Vulnerability Signatures 2.6.1-2)", "");
    let guide = Guide::run(xml, "");
    let event = guide.event("Qualys|VULN|4001");
    let result = event.get("cs1").unwrap();
    assert!(result.len() <= 4_000 && result.ends_with("漢..."), "{}", result.len());
    assert_eq!(event.get("ScanbridgeTruncated"), Some("cs1"));
    assert_eq!(event.header[2], "unknown");
}
