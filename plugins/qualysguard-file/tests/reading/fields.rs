//! Individual cells, compared with the fixtures.

use std::collections::BTreeMap;

use scanbridge_fixtures::good;
use scanbridge_plugin_contract::rows::Row;
use serde_json::json;

use crate::drive::{read_with, report_of};

fn row(cells: &[(&str, &str)]) -> Row {
    cells.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Compares the cells of `row` that `expected` names; an empty text means that the cell must be absent.
fn assert_cells(row: &Row, expected: &[(&str, &str)]) {
    let found: BTreeMap<&str, &str> =
        expected.iter().map(|(name, _)| (*name, row.get(*name).map_or("", String::as_str))).collect();
    assert_eq!(found, expected.iter().copied().collect());
}

#[test]
fn scan_fills_all_cells() {
    let report = report_of(&good("scan-all-kinds.xml"));
    assert_eq!(
        report.assets,
        [
            row(&[
                ("address", "192.0.2.10"),
                ("dns", "web.example.com"),
                ("netbios", "WEB01"),
                ("os", "Ubuntu / Linux 5.x"),
                ("os_cpe", "cpe:/o:canonical:ubuntu_linux:22.04"),
                // Appears after the findings, but in the same batch.
                ("network", "Global Default Network"),
            ]),
            row(&[("address", "192.0.2.11"), ("os", "Windows Server 2022"), ("status", "Finish")]),
            row(&[("address", "192.0.2.12"), ("status", "down")]),
        ]
    );
    assert_eq!(
        *report.finding("38628"),
        row(&[
            ("asset", "192.0.2.10"),
            ("kind", "vulnerability"),
            ("severity", "3"),
            ("port", "443"),
            ("protocol", "tcp"),
            ("ssl", "1"),
            ("port_note", "over ssl"),
            ("standard_severity", "2"),
            ("instance", "listener 1"),
            ("result_errors", "timeout on one probe"),
            ("result_debug", "probe 7"),
            ("definition.cvss_source", "service"),
            ("definition.cvss3_vector", "AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:N"),
            (
                "definition.malware_details",
                "Example Labs\tEX_WORM.A\tWorm\tLinux\tWormy\tLow\thttp://malware.example.com/a",
            ),
            ("result", "TLSv1.0 is supported|\\ = \"quoted\""),
            ("definition.id", "38628"),
            ("definition.title", "TLS 1.0 and weaker is spoken"),
            ("definition.category", "General remote services"),
            ("definition.cves", "CVE-2011-3389\nCVE-2014-3566\nCVE-2015-0204"),
            ("definition.bugtraqs", "70574"),
            (
                "definition.vendor_references",
                "TLS 1.0 Deprecation\thttps://vendor.example.com/deprecation?a=1&b=2\nEX-2026-1",
            ),
            (
                "definition.diagnosis",
                "The server takes old protocols.<P>They are broken &amp; retired.\nKnown to the web team.",
            ),
            ("definition.consequence", "Somebody on the line can read along."),
            ("definition.solution", "Switch the old protocols off.<BR>Allow TLS 1.2 and 1.3."),
            ("definition.cvss_base", "2.6"),
            ("definition.cvss_temporal", "2.3"),
            ("definition.cvss3_base", "6.5"),
            ("definition.cvss3_temporal", "5.9"),
            ("definition.cvss3_version", "3.1"),
            ("definition.pci_flag", "1"),
            ("definition.last_update", "2025-05-06T07:08:09Z"),
            (
                "definition.exploits",
                "Example Exploits\tCVE-2014-3566\tPadding oracle, proof of concept\thttp://exploit.example.com/1\n\
                 Example Exploits\tCVE-2011-3389\tChosen boundary",
            ),
            ("definition.malware", "EX_WORM.A"),
            ("definition.compliance", "PCI\t4.1\tStrong cryptography on open networks"),
        ])
    );
    let same_qid: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding["definition.id"] == "38170")
        .map(|finding| finding["port"].as_str())
        .collect();
    assert_eq!(same_qid, ["443", "8443"]);
    assert_cells(report.finding("38170"), &[("definition.cvss_base", ""), ("result", "")]);
    assert_cells(
        report.finding("86000"),
        &[("kind", "service"), ("protocol", "tcp"), ("fqdn", "shop.example.com"), ("ssl", "1")],
    );
    assert_cells(report.finding("90043"), &[("result", "Größe: 1 µs – 漢字 😀"), ("port", "")]);
}

#[test]
fn information_findings_contain_facts() {
    let report = report_of(&good("scan-all-kinds.xml"));
    for (qid, facts) in [
        ("6", "name\tweb.example.com\tDNS"),
        ("45039", "name\tweb.example.com\tFQDN\nname\tWEB01\tNTLM DNS"),
        ("82044", "name\tWEB01\tNetBIOS"),
        (
            "82023",
            "port\t22\ttcp\tssh\tssh\nport\t80\ttcp\twww-http\thttp\nport\t443\ttcp\thttps\thttp over ssl",
        ),
        ("82004", "port\t53\tudp\tdomain\tnamed udp\nport\t161\tudp\tsnmp\tunknown"),
        ("45017", "os\tUbuntu / Linux 5.x\tTCP/IP Fingerprint\nos\tLinux 5.15\tHTTP"),
        ("82063", ""),
    ] {
        assert_cells(report.finding(qid), &[("facts", facts)]);
    }
    let detections = report_of(&good("detections.xml"));
    assert_cells(detections.finding("82023"), &[("facts", "port\t443\ttcp\thttps\thttp over ssl")]);
    let template = report_of(&good("template-report.xml"));
    assert_cells(template.finding("6"), &[("facts", ""), ("result_format", "table")]);
}

#[test]
fn texts_are_unescaped_and_layout_is_removed() {
    let report = report_of(&good("scan-text-variants.xml"));
    assert_eq!(report.start.title, "Texts & their pieces".replace('&', "&amp;"));
    assert_cells(&report.assets[0], &[("os", "Linux <5> & more!"), ("dns", "a&b.example.com")]);
    assert_cells(
        report.finding("2001"),
        &[
            ("definition.category", "A \"category\" & more"),
            ("definition.title", "Split ]]> in two"),
            ("definition.last_update", "2026-01-02T03:04:05Z"),
            ("definition.diagnosis", "Layout around CDATA is no text."),
            ("definition.consequence", "plain, with a comment"),
            ("definition.solution", "literal &lt;b&gt; stays, <!-- this too -->"),
            ("result", "payload: &qualysoobxxe; <IP value=\"203.0.113.9\"> </SCAN>"),
        ],
    );
    assert_cells(report.finding("2002"), &[("definition.title", "It's plain"), ("result_format", "table")]);
    let crlf = report_of(&good("scan-crlf.xml"));
    assert_cells(crlf.finding("1004"), &[("result", "Name\tValue\nfirst\t1\nsecond\t2")]);
    let addresses: Vec<String> =
        report_of(&good("scan-ipv6.xml")).assets.iter().map(|asset| asset["address"].clone()).collect();
    assert_eq!(addresses, ["2001:db8::6", "2001:db8::7"]);
}

#[test]
fn template_report_is_joined_with_its_glossary() {
    let report = report_of(&good("template-report.xml"));
    assert_eq!(
        report.assets[0],
        row(&[
            ("id", "90001"),
            ("address", "192.0.2.10"),
            ("dns", "web.example.com"),
            ("netbios", "WEB01"),
            ("os", "Ubuntu / Linux 5.x"),
            ("os_cpe", "cpe:/o:canonical:ubuntu_linux:22.04"),
            ("network", "4711"),
            ("network_id", "4711"),
            ("tracking_method", "QAGENT"),
            ("agent_id", "11111111-2222-3333-4444-555555555555"),
            ("groups", "Front\nAll"),
            ("tags", "Internet facing\nLinux"),
            ("interfaces", "192.0.2.10\n2001:db8::10"),
        ])
    );
    assert_cells(&report.assets[1], &[("address", "192.0.2.20"), ("ipv6", "2001:db8::20")]);
    assert_eq!(
        report.findings[0],
        row(&[
            ("asset", "192.0.2.10"),
            ("kind", "vulnerability"),
            ("severity", "3"),
            ("port", "443"),
            ("protocol", "tcp"),
            ("service", "https"),
            ("ssl", "1"),
            ("result", "TLSv1.0 is supported"),
            ("status", "Active"),
            ("first_found", "2026-01-01T00:00:00Z"),
            ("last_found", "2026-02-01T00:00:00Z"),
            ("times_found", "3"),
            ("cvss_final", "5.1"),
            ("ticket", "42"),
            ("ticket_state", "OPEN"),
            ("definition.severity", "3"),
            ("definition.cvss_source", "service"),
            ("definition.id", "38628"),
            ("definition.title", "TLS 1.0 and weaker is spoken"),
            ("definition.category", "General remote services"),
            ("definition.cves", "CVE-2011-3389\nCVE-2014-3566"),
            ("definition.diagnosis", "Threat of 38628.\nComment on 38628."),
            ("definition.consequence", "Impact of 38628."),
            ("definition.solution", "Solution of 38628."),
            ("definition.cvss_base", "5.4"),
            ("definition.cvss3_base", "7.5"),
            ("definition.cvss3_temporal", "6.7"),
            ("definition.pci_flag", "1"),
            ("definition.last_update", "2025-12-31T23:59:59Z"),
            (
                "definition.exploits",
                "Example Exploits\tCVE-2014-3566\tPadding oracle\thttp://exploit.example.com/1"
            ),
            ("definition.compliance", "HIPAA\t164.312\tAccess control"),
        ])
    );
    assert_cells(&report.findings[1], &[("port", "8443"), ("fqdn", "shop.example.com"), ("status", "New")]);
    assert_cells(&report.findings[2], &[("status", "Fixed"), ("last_fixed", "2026-02-02T00:00:00Z")]);
    assert_cells(
        report.finding("10831"),
        &[("kind", "potential"), ("severity", "5"), ("ssl", "0"), ("instance", "vhost a")],
    );
    // Missing from the glossary, so delivered without a definition.
    assert_cells(
        report.finding("777777"),
        &[("severity", ""), ("definition.title", ""), ("status", "Active")],
    );
    assert_cells(report.finding("45017"), &[("kind", "information"), ("status", ""), ("severity", "2")]);
}

#[test]
fn detections_are_joined_with_the_knowledge_base() {
    let knowledge_base = good("knowledge-base.xml").display().to_string();
    let outcome = read_with(&good("detections.xml"), &json!({ "knowledge_base": knowledge_base })).unwrap();
    let report = &outcome.reports[0];
    assert_eq!(
        report.assets[0],
        row(&[
            ("id", "6500001"),
            ("address", "192.0.2.10"),
            ("dns", "web.example.com"),
            ("netbios", "WEB01"),
            ("os", "Ubuntu Linux 22.04"),
            ("os_cpe", "cpe:/o:canonical:ubuntu_linux:22.04"),
            ("network", "Branch office"),
            ("tracking_method", "IP"),
            ("agent_id", "11111111-2222-3333-4444-555555555555"),
            ("groups", "Front"),
            ("tags", "Internet facing\nLinux"),
            ("last_scan", "2026-03-31T02:00:00Z"),
            ("asset_id", "7700001"),
            ("cloud_attributes", "instance\ti-0"),
            ("cloud_provider", "AWS"),
            ("domain", "example.com"),
            ("fqdn", "web.example.com"),
            ("group_ids", "1"),
            ("hostname", "web"),
            ("last_vulnerability_scan", "2026-03-31T01:59:00Z"),
            ("network_id", "4711"),
            ("scan_secs", "352"),
            ("tag_ids", "1\tInternet facing\n2\tLinux"),
        ])
    );
    assert_eq!(
        report.assets[1],
        row(&[
            ("id", "6500002"),
            ("address", "2001:db8::20"),
            ("dns", "six.example.com"),
            ("fqdn", "six.example.com"),
            ("network", "0"),
            ("network_id", "0"),
            ("last_vulnerability_scan", "2026-03-30T00:00:00Z"),
            ("tracking_method", "QAGENT"),
            ("cloud_id", "i-0123456789abcdef0"),
            ("last_scan", "2026-03-30T00:00:00Z"),
        ])
    );
    assert_eq!(report.assets[2], row(&[("id", "6500003"), ("tracking_method", "QAGENT")]));
    assert_eq!(
        report.findings[1],
        row(&[
            ("asset", "192.0.2.10"),
            ("kind", "vulnerability"),
            ("severity", "3"),
            ("port", "8443"),
            ("protocol", "tcp"),
            ("fqdn", "shop.example.com"),
            ("ssl", "1"),
            ("result", "seen"),
            ("status", "Fixed"),
            ("first_found", "2026-01-01T00:00:00Z"),
            ("last_found", "2026-03-31T00:00:00Z"),
            ("last_fixed", "2026-03-30T00:00:00Z"),
            ("times_found", "7"),
            ("unique_id", "538628"),
            ("detection_score", "75"),
            ("detection_level", "HIGH"),
            ("risk_factors", "CVSS\t7.5"),
            ("ignored", "0"),
            ("disabled", "0"),
            ("last_processed", "2026-03-31T01:00:00Z"),
            ("last_tested", "2026-03-31T00:00:00Z"),
            ("last_updated", "2026-03-31T01:00:00Z"),
            ("definition.type", "Vulnerability"),
            ("definition.severity", "3"),
            ("definition.published", "2014-10-15T00:00:00Z"),
            ("definition.remote", "1"),
            ("definition.auth_types", "Unix"),
            ("definition.discovery_info", "Patch Available"),
            ("definition.software", "multi\ttls"),
            ("definition.threat_intelligence", "8\tNo_Patch"),
            ("definition.cvss_source", "service"),
            ("definition.cvss_metrics", "v2.access.vector\t3"),
            ("definition.id", "38628"),
            ("definition.title", "TLS 1.0 and weaker is spoken"),
            ("definition.category", "General remote services"),
            ("definition.cves", "CVE-2011-3389\nCVE-2014-3566"),
            ("definition.bugtraqs", "70574"),
            ("definition.vendor_references", "EX-2026-1\thttps://vendor.example.com/1"),
            ("definition.diagnosis", "Diagnosis of 38628."),
            ("definition.consequence", "Consequence of 38628."),
            ("definition.solution", "Solution of 38628."),
            ("definition.cvss_base", "2.6"),
            ("definition.cvss_temporal", "2.3"),
            ("definition.cvss3_base", "6.5"),
            ("definition.cvss3_temporal", "5.9"),
            ("definition.cvss3_version", "3.1"),
            ("definition.pci_flag", "1"),
            ("definition.patchable", "1"),
            ("definition.last_update", "2025-12-31T23:59:59Z"),
            (
                "definition.exploits",
                "Example Exploits\tCVE-2014-3566\tPadding oracle\thttp://exploit.example.com/1"
            ),
            ("definition.compliance", "PCI\t4.1\tStrong cryptography"),
        ])
    );
    assert_cells(report.finding("777777"), &[("severity", "4"), ("ssl", "0"), ("definition.title", "")]);
    assert_cells(report.finding("10831"), &[("status", "Re-Opened")]);
    assert_eq!(report.notes(), ["findings without title and texts: their definition is missing x 1"]);
}
