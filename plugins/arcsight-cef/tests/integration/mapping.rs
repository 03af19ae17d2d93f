//! The tables of the SmartConnector guide, row by row. Acceptance rows are named as `A-…`.

use scanbridge_plugin_api::batch::RawBatch2;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D, ReportSource, ReportStart};
use serde_json::json;

use crate::case::{Filling, event_of, events_of, scan, text_without_ids as text_of};
use crate::reader;

/// A definition with all fields, each text with something to clean.
const DEFINITION: &[(D, &str)] = &[
    (D::Id, "86476"),
    (D::Title, "Web Server Stopped | Responding"),
    (D::Category, "Web server"),
    (D::Cves, "CVE-2014-0160\nCVE-2014-3566"),
    (D::Diagnosis, "<P>It <b>stopped</b>.<P>Twice &amp; more"),
    (D::Consequence, "a=b"),
    (D::Solution, "Restart\r\nit"),
    (D::CvssBase, "9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)"),
    (D::Exploits, "Core\tCVE-2014-0160\theap read\thttps://exploits.example.com/1\nMetasploit\t\tbleed\t"),
];

const FULL_ASSET: &[(A, &str)] = &[
    (A::Address, "192.0.2.10"),
    (A::Dns, "www.example.com"),
    (A::Netbios, "WWW"),
    (A::Ipv6, "2001:db8::10"),
];

fn finding(kind: &str) -> RawBatch2 {
    let cells =
        [("kind", kind), ("severity", "3"), ("port", "443"), ("protocol", "tcp"), ("result", "x\ty=z")];
    Filling::default().asset(FULL_ASSET).finding(DEFINITION, &cells).done()
}

const ADDRESS: &str = "dst=192.0.2.10 c6a3Label=Destination IPv6 Address c6a3=2001:db8::10 ";
const TEXTS: &str = r"cs1Label=Result cs1=x y\=z cs3Label=Diagnosis cs3=It stopped.\nTwice & more cs4Label=Consequence cs4=a\=b cs5Label=Solution cs5=Restart\nit";

/// A-058, A-060 to A-076.
#[test]
fn infos() {
    let line = text_of(json!({}), &scan(), &[finding("information")]);
    let expected = format!(
        "CEF:0|Qualys|Qualys|12.7|Qualys\\|INFOS\\|86476|Web Server Stopped \\| Responding|7|rt=1769860800000 {ADDRESS}\
         dhost=WWW dpt=443 proto=TCP cat=Web server deviceSeverity=Serious oldFilePath=/reports/scan.xml \
         cs2Label=CVE ID cs2=CVE-2014-0160,CVE-2014-3566 {TEXTS}\n"
    );
    assert_eq!(line, expected);
}

/// A-077 to A-096.
#[test]
fn practices() {
    let line = text_of(json!({}), &scan(), &[finding("potential")]);
    let expected = format!(
        "CEF:0|Qualys|Qualys|12.7|Qualys\\|PRACTICES\\|86476|Web Server Stopped \\| Responding|7|rt=1769860800000 {ADDRESS}\
         dhost=www.example.com dpt=443 proto=TCP cat=Web server deviceSeverity=Serious oldFilePath=/reports/scan.xml \
         cs6Label=CVSS Base Score cs6=9.3 cs2Label=CVE ID cs2=CVE-2014-0160,CVE-2014-3566 {TEXTS} \
         ad.ExpltDescription=heap read; bleed\n"
    );
    assert_eq!(line, expected);
}

/// A-115 to A-133: no CVE ids, no score.
#[test]
fn services() {
    let line = text_of(json!({}), &scan(), &[finding("service")]);
    let expected = format!(
        "CEF:0|Qualys|Qualys|12.7|Qualys\\|Services\\|86476|Web Server Stopped \\| Responding|7|rt=1769860800000 {ADDRESS}\
         dhost=www.example.com dpt=443 proto=TCP cat=Web server deviceSeverity=3 deviceDomain=Network \
         oldFilePath=/reports/scan.xml {TEXTS}\n"
    );
    assert_eq!(line, expected);
}

/// A-148 to A-170, with the stable class id (see A-162 below).
#[test]
fn vulnerability() {
    let line = text_of(json!({}), &scan(), &[finding("vulnerability")]);
    let expected = format!(
        "CEF:0|Qualys|Qualys|12.7|Qualys\\|VULN\\|86476|Vulnerability:86476|7|rt=1769860800000 {ADDRESS}\
         dhost=www.example.com dpt=443 proto=TCP cat=Web server deviceSeverity=3 deviceDomain=Network \
         categoryTechnique=Web server oldFilePath=/reports/scan.xml msg=Web Server Stopped | Responding \
         cs6Label=CVSS Base Score cs6=9.3 cs2Label=CVE ID cs2=CVE-2014-0160,CVE-2014-3566 {TEXTS} \
         ad.ExpltDescription=heap read; bleed\n"
    );
    assert_eq!(line, expected);
}

/// A-097 to A-112: one event per port, the port in `dpt`, repeats dropped; the finding is an event of its own.
#[test]
fn open_ports() {
    let facts = "port\t443\ttcp\thttps\thttp over ssl\nport\t53\tudp\tdomain\t\nport\t443\ttcp\tagain\t";
    let definition = [(D::Id, "82023"), (D::Title, "Open TCP Services List"), (D::Category, "TCP/IP")];
    let cells = [("kind", "service"), ("severity", "1"), ("result", "list"), ("facts", facts)];
    let batch = Filling::default().asset(FULL_ASSET).finding(&definition, &cells).done();
    let text = text_of(json!({}), &scan(), &[batch]);
    let start = format!(
        "CEF:0|Qualys|Qualys|12.7|Qualys\\|Open Port\\|82023|Open Port|3|rt=1769860800000 {ADDRESS}dhost=www.example.com "
    );
    let middle = "deviceSeverity=1 deviceDomain=Network categoryTechnique=TCP/IP oldFilePath=/reports/scan.xml \
                  cs1Label=Result cs1=";
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains(r"|Qualys\|Services\|82023|Open TCP Services List|"));
    assert_eq!(
        lines[1],
        format!("{start}dpt=443 proto=TCP {middle}443/tcp, assigned https, detected http over ssl")
    );
    assert_eq!(lines[2], format!("{start}dpt=53 proto=UDP {middle}53/udp, assigned domain"));
}

/// A-134 to A-147: the asset's own system is preferred; severity and category are those of the finding that
/// reports it.
#[test]
fn uris() {
    let asset = [(A::Address, "192.0.2.10"), (A::Netbios, "WWW"), (A::Os, "Linux 2.6 = old | odd")];
    let definition =
        [(D::Id, "45017"), (D::Title, "Operating System Detected"), (D::Category, "Information gathering")];
    let cells = [("kind", "information"), ("severity", "2"), ("facts", "os\tUbuntu\tTCP/IP Fingerprint")];
    let batch = Filling::default().asset(&asset).finding(&definition, &cells).done();
    let text = text_of(json!({}), &scan(), &[batch]);
    let expected = "CEF:0|Qualys|Qualys|12.7|Qualys\\|URI\\|Linux 2.6 = old \\| odd|Operating System Linux 2.6 = old \\| odd|5|\
         rt=1769860800000 dst=192.0.2.10 dhost=WWW deviceSeverity=2 deviceDomain=Network \
         categoryTechnique=Information gathering filePath=Linux 2.6 \\= old | odd oldFilePath=/reports/scan.xml";
    assert_eq!(text.lines().collect::<Vec<_>>()[1..], [expected]);
}

/// A-139, A-145: if the asset has no system, the first that a finding reports is used.
#[test]
fn uris_fall_back_to_the_detected_system() {
    let cells = [("kind", "service"), ("facts", "os\tUbuntu 22.04\tSSH\nos\tLinux 2.4\tTCP/IP")];
    let batch = Filling::default().asset(&[]).finding(&[(D::Id, "45017")], &cells).done();
    let events = events_of(json!({}), batch);
    assert_eq!(events[1].header[3..], ["Qualys|URI|Ubuntu 22.04", "Operating System Ubuntu 22.04", "0"]);
    assert_eq!(events[1].keys(), ["rt", "dst", "deviceDomain", "filePath", "oldFilePath"]);
}

/// A-113, A-114: the seventh table, on request.
#[test]
fn scanner() {
    let batch = Filling::default().asset(FULL_ASSET).done();
    let text = text_of(json!({ "asset_events": true }), &scan(), &[batch]);
    let expected = format!(
        "CEF:0|Qualys|Qualys|12.7|Qualys\\|SCANNER|Asset|0|rt=1769860800000 {ADDRESS}dhost=WWW oldFilePath=/reports/scan.xml\n"
    );
    assert_eq!(text, expected);
}

/// A-057, A-058, A-059, A-073, A-093, A-107, A-130, A-144, A-167: five severities in every table.
#[test]
fn severities() {
    let bands = [
        ("1", "3", "Low", "Minimal"),
        ("2", "5", "Medium", "Medium"),
        ("3", "7", "High", "Serious"),
        ("4", "8", "High", "Critical"),
        ("5", "10", "Very-High", "Urgent"),
    ];
    for (severity, number, word, device_word) in bands {
        for (kind, device) in [
            ("information", device_word),
            ("potential", device_word),
            ("service", severity),
            ("vulnerability", severity),
        ] {
            let cells =
                [("kind", kind), ("severity", severity), ("facts", "port\t22\ttcp\t\t\nos\tLinux\tx")];
            let batch = || Filling::default().asset(FULL_ASSET).finding(DEFINITION, &cells).done();
            for (style, header) in [("number", number), ("word", word)] {
                let events = events_of(json!({ "severity_style": style }), batch());
                assert_eq!(events.len(), 3);
                assert!(events.iter().all(|event| event.header[5] == header), "{kind} {severity}");
                assert_eq!(events[0].get("deviceSeverity"), Some(device));
                // Derived events use the number, for every kind of finding.
                assert_eq!(events[1].get("deviceSeverity"), Some(severity));
                assert_eq!(events[2].get("deviceSeverity"), Some(severity));
            }
        }
    }
}

#[test]
fn invalid_severity_is_unknown() {
    for severity in ["", "-", "0", "6"] {
        let batch = || {
            let cells = [("kind", "vulnerability"), ("severity", severity)];
            Filling::default().asset(&[]).finding(DEFINITION, &cells).done()
        };
        let event = event_of(json!({}), batch());
        assert_eq!((event.header[5].as_str(), event.get("deviceSeverity")), ("0", None));
        assert_eq!(event_of(json!({ "severity_style": "word" }), batch()).header[5], "Unknown");
    }
}

/// A-062, A-079, A-100, A-114, A-117, A-137, A-152: the preferred host name, and the fallback if it is
/// missing.
#[test]
fn host_names() {
    let names = [("www.example.com", "WWW"), ("www.example.com", ""), ("", "WWW"), ("", "")];
    for (dns, netbios) in names {
        let asset = [(A::Dns, dns), (A::Netbios, netbios), (A::Os, "Linux")];
        for kind in ["information", "potential", "service", "vulnerability"] {
            let cells = [("kind", kind), ("facts", "port\t22\ttcp\t\t")];
            let batch = Filling::default().asset(&asset).finding(DEFINITION, &cells).done();
            let events = events_of(json!({ "asset_events": true }), batch);
            let first = |names: [&'static str; 2]| names.into_iter().find(|name| !name.is_empty());
            let by_dns = first([dns, netbios]);
            let by_netbios = first([netbios, dns]);
            let finding_name = if kind == "information" { by_netbios } else { by_dns };
            let seen: Vec<_> = events.iter().map(|event| event.get("dhost")).collect();
            assert_eq!(seen, [finding_name, by_dns, by_dns, by_netbios], "{kind}, open port, URI, scanner");
        }
    }
}

/// A-061, A-078, A-099, A-113, A-116, A-136, A-151: addresses of both families in both versions.
#[test]
fn addresses() {
    let custom = ("c6a3Label", "c6a3");
    for (asset, version, dst, c6a3) in [
        ([(A::Address, "192.0.2.1"), (A::Ipv6, "")], 0, Some("192.0.2.1"), None),
        ([(A::Address, "2001:DB8:0::1"), (A::Ipv6, "")], 0, None, Some("2001:db8::1")),
        ([(A::Address, "2001:DB8:0::1"), (A::Ipv6, "")], 1, Some("2001:db8::1"), None),
        ([(A::Address, ""), (A::Ipv6, "fe80::1%eth0")], 1, Some("fe80::1"), None),
        ([(A::Address, "192.0.2.1"), (A::Ipv6, "2001:db8::1")], 1, Some("192.0.2.1"), Some("2001:db8::1")),
        ([(A::Address, "::ffff:192.0.2.1"), (A::Ipv6, "")], 0, Some("192.0.2.1"), None),
        ([(A::Address, "somewhere"), (A::Ipv6, "")], 0, None, None),
    ] {
        let asset = [asset[0], asset[1], (A::Dns, "www.example.com")];
        let batch = Filling::default().asset(&asset).finding(DEFINITION, &[("kind", "service")]).done();
        let event = event_of(json!({ "cef_version": version }), batch);
        assert_eq!(event.version, version.to_string());
        assert_eq!((event.get("dst"), event.get(custom.1)), (dst, c6a3), "{asset:?}");
        assert_eq!(event.get(custom.0), c6a3.map(|_| "Destination IPv6 Address"));
    }
}

/// A-162: the class ID of the guide, as an option; `=`, `%` and `#` of texts are escaped for ESM first.
#[test]
fn concatenated_class_id() {
    let definition = [
        (D::Id, "7"),
        (D::Title, "A | 50% = #1"),
        (D::Diagnosis, "<p>why"),
        (D::Consequence, "so"),
        (D::Cves, "CVE-2020-1\nCVE-2020-2"),
    ];
    let cells = [("kind", "vulnerability"), ("severity", "4")];
    let batch = || Filling::default().asset(&[]).finding(&definition, &cells).done();
    let event = event_of(json!({ "class_id_style": "concat" }), batch());
    assert_eq!(event.header[3], r"Qualys|7|A | 50\% \= \#1|4|why|so||CVE-2020-1,CVE-2020-2");
    assert_eq!(event_of(json!({}), batch()).header[3], "Qualys|VULN|7");
}

/// A-172: fields without value are omitted, neither empty nor with a placeholder.
#[test]
fn missing_values_are_omitted() {
    for kind in ["information", "potential", "service", "vulnerability"] {
        let batch = Filling::default().asset(&[]).finding(&[], &[("kind", kind)]).done();
        let source = ReportSource::new("Qualys", "Qualys", "qid");
        let report = ReportStart::default().with_source(source);
        // `generic` sends all fields that there are.
        let text = text_of(json!({ "profile": "generic" }), &report, &[batch]);
        let domain = if matches!(kind, "service" | "vulnerability") { " deviceDomain=Network" } else { "" };
        assert_eq!(text.rsplit_once('|').unwrap().1, format!("dst=192.0.2.1{domain}\n"), "{kind}");
        let name = if kind == "vulnerability" { "Vulnerability:unknown" } else { "QID unknown" };
        assert!(text.starts_with("CEF:0|Qualys|Qualys|unknown|Qualys\\|"), "{text}");
        assert!(text.contains(&format!("|unknown|{name}|0|")), "{text}");
    }
    // A score of `-`, a port of 0 and white space count as missing.
    let definition = [(D::Id, "7"), (D::CvssBase, "-"), (D::Solution, " <p> &nbsp; "), (D::Cves, "\n")];
    let cells = [("kind", "vulnerability"), ("port", "0"), ("result", "\t\r\n")];
    let event = event_of(json!({}), Filling::default().asset(&[]).finding(&definition, &cells).done());
    assert_eq!(event.keys(), ["rt", "dst", "deviceDomain", "oldFilePath"]);
}

/// A-072, A-092, A-106, A-129, A-143, A-166: the finding's own time, then the asset's, then the report's.
#[test]
fn times() {
    for (found, scanned, expected) in [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "1767312000000"),
        ("", "2026-01-01T00:00:00Z", "1767225600000"),
        ("yesterday", "N/A", "1769860800000"),
    ] {
        let asset = [(A::LastScan, scanned)];
        let cells = [("kind", "vulnerability"), ("last_found", found)];
        let event = event_of(json!({}), Filling::default().asset(&asset).finding(DEFINITION, &cells).done());
        assert_eq!(event.get("rt"), Some(expected));
    }
}

/// F-015: nothing of a report of another scanner says Qualys.
#[test]
fn another_scanner_gives_vendor_product_and_class_ids() {
    let source = ReportSource::new("A|cme", "Scan", "acme-id").with_product_version("3");
    let report = scan().with_source(source);
    let facts = "port\t22\ttcp\t\t\nos\tLinux\tx";
    let definition = [(D::Id, "7")];
    let cells = [("kind", "information"), ("facts", facts)];
    let batch = || Filling::default().asset(&[]).finding(&definition, &cells).done();
    let options = json!({ "asset_events": true, "extra_fields": ["cn1"] });
    let text = text_of(options, &report, &[batch()]);
    assert!(!text.contains("Qualys") && !text.contains("QID"), "{text}");
    let lines: Vec<_> = text.lines().map(|line| reader::read(line).unwrap()).collect();
    let classes: Vec<&str> = lines.iter().map(|line| line.header[3].as_str()).collect();
    assert_eq!(classes, ["A|cme|INFOS|7", "A|cme|Open Port|7", "A|cme|URI|Linux", "A|cme|SCANNER"]);
    assert_eq!((&lines[0].header[..3]), ["A|cme", "Scan", "3"]);
    assert_eq!((lines[0].header[4].as_str(), lines[0].get("cn1Label")), ("acme-id 7", Some("acme-id")));
    // The options of the output take precedence in the header; class IDs name the scanner.
    let options = json!({ "device_vendor": "Own", "device_product": "P", "derive": false });
    let text = text_of(options, &report, &[batch()]);
    assert!(text.starts_with("CEF:0|Own|P|3|A\\|cme\\|INFOS\\|7|"), "{text}");
}

/// A-175 and A-108, A-128, A-142, A-165: the scanner's version, else the recorded default.
#[test]
fn versions() {
    let mut report = scan();
    report.source.product_version = String::new();
    let text = text_of(json!({}), &report, &[finding("service")]);
    assert!(text.starts_with("CEF:0|Qualys|Qualys|unknown|"));
    let text = text_of(json!({ "device_version": "8.x" }), &report, &[finding("service")]);
    assert!(text.starts_with("CEF:0|Qualys|Qualys|8.x|"));
}

/// A missing title causes no empty header field.
#[test]
fn finding_without_title_is_named_by_its_qid() {
    let batch = Filling::default().asset(&[]).finding(&[(D::Id, "38170")], &[("kind", "potential")]).done();
    assert_eq!(event_of(json!({}), batch).header[4], "QID 38170");
    let batch = Filling::default().asset(&[]).finding(&[(D::Id, "1|\n\\")], &[("kind", "service")]).done();
    assert_eq!(event_of(json!({}), batch).header[3..5], ["Qualys|Services|1| \\", "QID 1| \\"]);
}
