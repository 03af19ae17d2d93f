//! What becomes of elements and values: forms, statuses, lists, addresses, metadata of clouds, and unknown elements.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue may panic")]

use std::collections::BTreeMap;

use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns, Schema};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field};
use scanbridge_qualys_xml::test_support::MemorySpool;
use scanbridge_qualys_xml::{
    Definitions, Extent, Kind, Limits, Preface, Progress, ReportReader, index_knowledge_base, read_preface,
};

type Row = BTreeMap<String, String>;

/// A report that was read: the cells of each finding with those of its asset and definition, the assets, and the notes.
struct Read {
    findings: Vec<Row>,
    assets: Vec<Row>,
    notes: Vec<String>,
    preface: Preface,
}

fn read(kind: &Kind, xml: &str, knowledge_base: &str) -> Read {
    let mut definitions = Definitions::new(Box::<MemorySpool>::default());
    if !knowledge_base.is_empty() {
        index_knowledge_base(knowledge_base.as_bytes(), Limits::default(), &mut definitions).unwrap();
    }
    let (mut preface, damage) = read_preface(kind, xml.as_bytes(), Limits::default(), &mut definitions);
    assert!(damage.is_none(), "{damage:?}");
    let mut reader = ReportReader::new(kind, xml.as_bytes(), Limits::default(), &mut preface);
    let (mut findings, mut assets) = (Vec::new(), Vec::new());
    loop {
        let mut batch = BatchBuilder::default();
        let progress = reader.fill(&mut batch, Some(&mut definitions)).unwrap();
        let (raw, columns) = (batch.finish(), Columns::of(Schema::default()));
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut scratch = String::new();
        for asset in batch.assets() {
            assets.push(cells("", AssetField::NAMES, |column| asset.column(Some(column))));
        }
        for finding in batch.findings() {
            let values = batch.columns().finding_columns().into_iter();
            let values = values
                .map(|(name, column)| (name.to_owned(), finding.printed(column, &mut scratch).to_owned()));
            let mut row: Row = values.filter(|(_, text)| !text.is_empty()).collect();
            let (definition, asset) = (finding.definition(), finding.asset());
            row.append(&mut cells("definition.", DefinitionField::NAMES, |c| definition.column(Some(c))));
            row.append(&mut cells("asset.", AssetField::NAMES, |c| asset.column(Some(c))));
            findings.push(row);
        }
        if progress == Progress::Ended {
            break;
        }
    }
    let notes = reader.notes().into_iter().map(|note| format!("{} ×{}", note.text, note.count)).collect();
    Read { findings, assets, notes, preface }
}

fn cells<'a>(prefix: &str, names: &[&str], cell: impl Fn(usize) -> &'a str) -> Row {
    let cells = names.iter().enumerate().map(|(i, name)| (format!("{prefix}{name}"), cell(i).to_owned()));
    cells.filter(|(_, text)| !text.is_empty()).collect()
}

/// Detections of one asset: `asset` are elements of the asset, `detection` those of its only finding.
fn detection(asset: &str, detection: &str) -> Read {
    let xml = format!(
        "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><HOST_LIST><HOST><ID>1</ID>{asset}<DETECTION_LIST><DETECTION>\
         <QID>7</QID><TYPE>Confirmed</TYPE>{detection}</DETECTION></DETECTION_LIST></HOST></HOST_LIST></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>"
    );
    read(&Kind::Detections, &xml, "")
}

/// A scan of one asset with one vulnerability.
fn scan(attributes_of_ip: &str, category: &str, content: &str) -> Read {
    let xml = format!(
        "<SCAN><IP {attributes_of_ip}><VULNS><CAT {category}><VULN number='7' severity='3'>{content}</VULN></CAT>\
         </VULNS></IP></SCAN>"
    );
    read(&Kind::Scan, &xml, "")
}

fn cell<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).map_or("", String::as_str)
}

#[test]
fn effective_status_of_each_word_and_flag() {
    let words = ["New", "active", "Re-Opened", "REOPENED", "Fixed", "Mystery", ""];
    let expected = ["New", "Active", "Re-Opened", "Re-Opened", "Fixed", "", ""];
    for (word, effective) in words.into_iter().zip(expected) {
        for (ignored, disabled) in [("0", "0"), ("1", "0"), ("0", "1"), ("true", "YES"), ("", "")] {
            let xml = format!(
                "<STATUS>{word}</STATUS><IS_IGNORED>{ignored}</IS_IGNORED><IS_DISABLED>{disabled}</IS_DISABLED>"
            );
            let found = detection("", &xml);
            let row = &found.findings[0];
            let status = match (effective, ignored, disabled) {
                ("Fixed", ..) => "Fixed",
                (_, "1" | "true", _) => "Ignored",
                (_, _, "1" | "YES") => "Disabled",
                _ => effective,
            };
            assert_eq!(cell(row, "status"), status, "{xml}");
            let reported = match (word, status == effective) {
                ("Mystery", _) => "Mystery",
                (_, true) => "",
                _ => effective,
            };
            assert_eq!(cell(row, "reported_status"), reported, "{xml}");
            let flags = [cell(row, "ignored"), cell(row, "disabled")];
            let flag =
                |text: &str| matches!(text, "1" | "true" | "YES").then_some("1").unwrap_or("0").to_owned();
            if !ignored.is_empty() {
                assert_eq!(flags, [flag(ignored), flag(disabled)], "{xml}");
            }
            let is_bad = found.notes.iter().any(|note| note.contains("finding.status: 1"));
            assert_eq!(is_bad, word == "Mystery", "{:?}", found.notes);
        }
    }
}

#[test]
fn values_outside_their_ranges_are_passed_on_and_counted() {
    for (element, column, good, bad) in [
        (
            "PORT",
            "port",
            &[("65535", "65535"), ("0443", "443"), ("0", ""), (" 22 ", "22")][..],
            &["65536", "-1", "http"][..],
        ),
        ("SEVERITY", "severity", &[("1", "1"), ("5", "5"), ("", "")], &["0", "6", "high"]),
        ("SSL", "ssl", &[("1", "1"), ("False", "0")], &["2", "maybe"]),
        (
            "TIMES_FOUND",
            "times_found",
            &[("0", "0"), ("007", "7"), ("4294967295", "4294967295")],
            &["4294967296", "-1", "x"],
        ),
        ("QDS", "detection_score", &[("100", "100"), ("-", "")], &["101"]),
        (
            "LAST_FOUND_DATETIME",
            "last_found",
            &[
                ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
                ("2026-01-31", "2026-01-31T00:00:00Z"),
                ("N/A", ""),
            ],
            &["1969-01-01", "soon", "2026-13-01T00:00:00Z"],
        ),
        ("AFFECT_RUNNING_KERNEL", "running_kernel", &[("yes", "1"), ("0", "0")], &["2"]),
    ] {
        for (text, expected) in good {
            let found = detection("", &format!("<{element}>{text}</{element}>"));
            assert_eq!(cell(&found.findings[0], column), *expected, "{element} {text}");
            assert_eq!(cell(&found.findings[0], "other"), "", "{element} {text}");
            assert!(!found.notes.iter().any(|note| note.contains("invalid values")), "{:?}", found.notes);
        }
        for text in bad {
            let found = detection("", &format!("<{element}>{text}</{element}>"));
            assert_eq!(cell(&found.findings[0], column), "", "{element} {text}");
            assert_eq!(cell(&found.findings[0], "other"), format!("{element}\t{text}"));
            assert!(
                found.notes.iter().any(|note| note.contains(&format!("finding.{column}: 1"))),
                "{:?}",
                found.notes
            );
        }
    }
    for (element, column, text) in [
        ("TRURISK_SCORE", "risk_score", "1001"),
        ("ASSET_CRITICALITY_SCORE", "criticality", "6"),
        ("LAST_BOOT", "last_boot", "soon"),
        ("LAST_VM_SCANNED_DURATION", "scan_secs", "long"),
    ] {
        let found = detection(&format!("<{element}>{text}</{element}>"), "");
        assert_eq!(cell(&found.assets[0], column), "");
        assert_eq!(cell(&found.assets[0], "other"), format!("{element}\t{text}"));
        assert!(
            found.notes.iter().any(|note| note.contains(&format!("asset.{column}: 1"))),
            "{:?}",
            found.notes
        );
    }
    let found = scan("value='192.0.2.1'", "port='99999' protocol='tcp'", "");
    assert_eq!(cell(&found.findings[0], "other"), "CAT@port\t99999");
}

#[test]
fn scores_and_vectors_are_apart() {
    for (content, expected) in [
        (
            "<CVSS_BASE>9.3 (AV:N/AC:M)</CVSS_BASE><CVSS_TEMPORAL>7.7 (E:POC)</CVSS_TEMPORAL>",
            ["9.3", "7.7", "AV:N/AC:M/E:POC", ""],
        ),
        ("<CVSS_BASE source='service'>9.3</CVSS_BASE>", ["9.3", "", "", "service"]),
        ("<CVSS_BASE>-</CVSS_BASE><CVSS_TEMPORAL>-</CVSS_TEMPORAL>", ["", "", "", ""]),
        ("<CVSS_BASE>11.0</CVSS_BASE>", ["", "", "", ""]),
    ] {
        let found = scan("value='192.0.2.1'", "", content);
        let row = &found.findings[0];
        let names = ["cvss_base", "cvss_temporal", "cvss_vector", "cvss_source"];
        assert_eq!(names.map(|name| cell(row, &format!("definition.{name}"))), expected, "{content}");
        let is_bad = content.contains("11.0");
        assert_eq!(cell(row, "definition.other"), if is_bad { "CVSS_BASE\t11.0" } else { "" });
    }
    let found = scan("value='192.0.2.1'", "", "<CVSS3_BASE>9.8 (CVSS:3.1/AV:N)</CVSS3_BASE>");
    let names = ["cvss3_base", "cvss3_vector", "cvss3_version"];
    assert_eq!(
        names.map(|name| cell(&found.findings[0], &format!("definition.{name}"))),
        ["9.8", "CVSS:3.1/AV:N", "3.1"]
    );
}

#[test]
fn addresses_have_one_spelling_and_the_cell_of_their_family() {
    for (ip, expected) in [
        ("192.0.2.1", ["192.0.2.1", "", ""]),
        ("::ffff:192.0.2.1", ["192.0.2.1", "", ""]),
        ("2001:DB8:0::1", ["2001:db8::1", "", ""]),
        ("[2001:db8::1%eth0]", ["2001:db8::1", "", "IP%zone\teth0"]),
        ("0.0.0.0", ["", "", ""]),
        ("web01", ["", "", "IP\tweb01"]),
    ] {
        let found = detection(&format!("<IP>{ip}</IP>"), "");
        let row = &found.assets[0];
        assert_eq!(["address", "ipv6", "other"].map(|name| cell(row, name)), expected, "{ip}");
        assert_eq!(found.notes.iter().any(|note| note.contains("asset.address: 1")), ip == "web01");
    }
    let both = detection("<IP>192.0.2.1</IP><IPV6>192.0.2.2</IPV6>", "");
    assert_eq!(
        ["address", "ipv6", "interfaces"].map(|n| cell(&both.assets[0], n)),
        ["192.0.2.1", "", "192.0.2.2"]
    );
    let both = detection("<IPV6>2001:DB8::1</IPV6><IP>192.0.2.1</IP>", "");
    assert_eq!(["address", "ipv6"].map(|n| cell(&both.assets[0], n)), ["192.0.2.1", "2001:db8::1"]);
    let scanned = scan("value='2001:DB8::2' name='No registered hostname'", "", "");
    assert_eq!(["address", "ipv6", "dns"].map(|n| cell(&scanned.assets[0], n)), ["2001:db8::2", "", ""]);
}

#[test]
fn lists_are_read_in_each_of_their_shapes() {
    let techniques = "T1190\tExploit\nT1059\tCommand";
    for xml in [
        "<MITRE_TECHNIQUE_ID>T1190,T1059</MITRE_TECHNIQUE_ID><MITRE_TECHNIQUE_NAME>Exploit, Command</MITRE_TECHNIQUE_NAME>",
        "<MITRE_TECHNIQUE_ID>T1190</MITRE_TECHNIQUE_ID><MITRE_TECHNIQUE_NAME>Exploit</MITRE_TECHNIQUE_NAME>\
         <MITRE_TECHNIQUE_ID>T1059</MITRE_TECHNIQUE_ID><MITRE_TECHNIQUE_NAME>Command</MITRE_TECHNIQUE_NAME>",
        "<MITRE_TECHNIQUE_ID><X>T1190</X><Y>T1059</Y></MITRE_TECHNIQUE_ID>\
         <MITRE_TECHNIQUE_NAME><ITEM>Exploit</ITEM><ITEM>Command</ITEM></MITRE_TECHNIQUE_NAME>",
    ] {
        assert_eq!(cell(&detection("", xml).findings[0], "attack_techniques"), techniques, "{xml}");
    }
    let unequal = "<MITRE_TACTIC_ID>TA1,TA2</MITRE_TACTIC_ID><MITRE_TACTIC_NAME>Access</MITRE_TACTIC_NAME>";
    assert_eq!(cell(&detection("", unequal).findings[0], "attack_tactics"), "TA1\nTA2\n\tAccess");
    for xml in [
        "<CVE>CVE-2026-0001, CVE-2026-0002</CVE>",
        "<ASSET_CVE>CVE-2026-0001 CVE-2026-0002</ASSET_CVE>",
        "<CVE>CVE-2026-0001</CVE><CVE>cve-2026-0002</CVE><ASSET_CVE>CVE-2026-0001</ASSET_CVE>",
        "<CVE><ID>CVE-2026-0001</ID><ID>CVE-2026-0002</ID></CVE>",
    ] {
        assert_eq!(cell(&detection("", xml).findings[0], "cves"), "CVE-2026-0001\nCVE-2026-0002", "{xml}");
    }
    let bad = detection("", "<CVE>CVE-2026-0001,none,CVE-26-1</CVE>");
    assert_eq!(cell(&bad.findings[0], "other"), "CVE\tnone\nCVE\tCVE-26-1");
    assert!(bad.notes.iter().any(|note| note.contains("finding.cves: 2")), "{:?}", bad.notes);
}

#[test]
fn score_factors_have_cells_of_their_own_whatever_their_case() {
    let factor = |name: &str, text: &str| format!("<QDS_FACTOR name='{name}'>{text}</QDS_FACTOR>");
    let factors = factor("EPSS", "0.42")
        + &factor("cisa_vuln", "YES")
        + &factor("Exploit_Maturity", "poc,weaponized")
        + &factor("rti", "Easy_Exploit")
        + &factor("later", "x")
        + &factor("empty", "");
    let found = detection("", &format!("<QDS severity='HIGH'>75</QDS><QDS_FACTORS>{factors}</QDS_FACTORS>"));
    let row = &found.findings[0];
    for (column, expected) in [
        ("epss", "0.42"),
        ("known_exploited", "1"),
        ("exploit_maturity", "poc\nweaponized"),
        ("threat_indicators", "Easy_Exploit"),
        ("detection_score", "75"),
        ("detection_level", "HIGH"),
        (
            "risk_factors",
            "EPSS\t0.42\ncisa_vuln\tYES\nExploit_Maturity\tpoc,weaponized\nrti\tEasy_Exploit\nlater\tx",
        ),
    ] {
        assert_eq!(cell(row, column), expected, "{column}");
    }
    let nameless =
        format!("<QDS_FACTORS>{}<QDS_FACTOR>0.9</QDS_FACTOR></QDS_FACTORS>", factor("epss", "0.42"));
    let nameless = detection("", &nameless);
    assert_eq!(cell(&nameless.findings[0], "epss"), "0.42");
    assert_eq!(cell(&nameless.findings[0], "risk_factors"), "epss\t0.42\n\t0.9");
    let bad = detection("", &format!("<QDS_FACTORS>{}</QDS_FACTORS>", factor("epss", "high")));
    assert_eq!(cell(&bad.findings[0], "epss"), "");
    assert!(bad.notes.iter().any(|note| note.contains("finding.epss: 1")), "{:?}", bad.notes);
}

#[test]
fn unknown_elements_and_attributes_are_passed_on_with_their_row() {
    let found = detection(
        "<NEW a='1'>text<DEEP><LEAF b='2'>x &amp; y</LEAF></DEEP> more</NEW><TAGS><TAG><NAME>t</NAME><SINCE>s</SINCE></TAG></TAGS>",
        "<OS_BUILD>22H2</OS_BUILD><QDS_FACTORS><OTHER>o</OTHER></QDS_FACTORS><EMPTY/><DASH>-</DASH>",
    );
    assert_eq!(
        cell(&found.assets[0], "other"),
        "NEW@a\t1\nNEW\ttext\nNEW/DEEP/LEAF@b\t2\nNEW/DEEP/LEAF\tx & y\nNEW\tmore\nTAGS/TAG/SINCE\ts"
    );
    assert_eq!(cell(&found.findings[0], "other"), "OS_BUILD\t22H2\nQDS_FACTORS/OTHER\to");
    let note = found.notes.iter().find(|note| note.contains("unknown elements passed on")).unwrap();
    assert!(note.ends_with("×8") && note.contains("NEW/DEEP/LEAF@b"), "{note}");

    let found = scan(
        "value='192.0.2.1' new='n'",
        "value='c' extra='e'",
        "<DIAGNOSIS>before <B>bold</B> after</DIAGNOSIS><CVE_ID_LIST><CVE_ID><ID>CVE-2026-0001</ID><NOTE>n</NOTE></CVE_ID></CVE_ID_LIST><NEW>f</NEW>",
    );
    let row = &found.findings[0];
    assert_eq!(cell(row, "asset.other"), "@new\tn\nVULNS/CAT@extra\te");
    assert_eq!(cell(row, "definition.diagnosis"), "before  after");
    assert_eq!(cell(row, "definition.other"), "DIAGNOSIS/B\tbold\nCVE_ID_LIST/CVE_ID/NOTE\tn");
    assert_eq!(cell(row, "other"), "NEW\tf");

    let xml = "<SCAN><HEADER><KEY value='NEW_KEY'>k</KEY><LATER><A>a</A></LATER></HEADER></SCAN>";
    let details = read(&Kind::Scan, xml, "").preface.details;
    let details: Vec<_> =
        details.iter().map(|detail| (detail.name.as_str(), detail.value.as_str())).collect();
    assert_eq!(details, [("new_key", "k"), ("later/a", "a")]);
}

#[test]
fn unknown_elements_are_limited_and_what_is_dropped_is_counted() {
    let found = detection("", &"<X>1</X>".repeat(1_000));
    assert_eq!(cell(&found.findings[0], "other").lines().count(), 64);
    assert!(found.notes.iter().any(|note| note.ends_with("×936")), "{:?}", found.notes);
    let found = detection("", &format!("<X>{}</X>", "y".repeat(100_000)));
    assert!(cell(&found.findings[0], "other").len() < 4_200);
    let nested: String = (0..12).map(|i| format!("<N{i}>")).collect::<String>()
        + "leaf"
        + &(0..12).rev().map(|i| format!("</N{i}>")).collect::<String>();
    let found = detection("", &nested);
    assert_eq!(cell(&found.findings[0], "other"), "");
    assert!(
        found.notes.iter().any(|note| note.contains("dropped") && note.ends_with("×1")),
        "{:?}",
        found.notes
    );
}

#[test]
fn request_and_logins_are_never_passed_on() {
    let xml = "<HOST_LIST_VM_DETECTION_OUTPUT><REQUEST><USER_LOGIN>token1</USER_LOGIN><NEW a='token2'>token3</NEW>\
        </REQUEST><RESPONSE><HOST_LIST><HOST><ID>1</ID></HOST></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>";
    let scan = "<SCAN><HEADER><KEY value='USERNAME'>token4</KEY></HEADER></SCAN>";
    for found in [read(&Kind::Detections, xml, ""), read(&Kind::Scan, scan, "")] {
        let all = format!("{:?} {:?} {:?} {:?}", found.assets, found.findings, found.notes, found.preface);
        assert!(!all.contains("token"), "{all}");
    }
}

#[test]
fn cloud_facts_come_from_the_best_attribute() {
    let attribute = |name: &str, value: &str, status: &str| {
        format!(
            "<ATTRIBUTE><NAME>{name}</NAME><LAST_STATUS>{status}</LAST_STATUS><VALUE>{value}</VALUE></ATTRIBUTE>"
        )
    };
    let document = "latest/dynamic/instance-identity/document";
    let ec2 = attribute("ownerId", "second", "Success")
        + &attribute(&format!("{document}/accountId"), "first", "Success")
        + &attribute(&format!("{document}/region"), "failed", "Failed")
        + &attribute("latest/meta-data/public-ipv4", "&lt;html>not found", "Success")
        + &attribute("new\tname", "a\nb=c", "Success");
    let found = detection(&format!("<METADATA><EC2>{ec2}</EC2></METADATA>"), "");
    let row = &found.assets[0];
    assert_eq!(cell(row, "cloud_provider"), "AWS");
    assert_eq!(cell(row, "cloud_account"), "first");
    assert_eq!([cell(row, "cloud_region"), cell(row, "cloud_public_address")], ["", ""]);
    assert_eq!(cell(row, "cloud_attributes").lines().count(), 5);
    assert!(cell(row, "cloud_attributes").ends_with("new name\ta b=c\tSuccess"));
    let google = attribute("zone", "zz-east1-b", "Success");
    let found = detection(&format!("<METADATA><GOOGLE>{google}</GOOGLE></METADATA>"), "");
    assert_eq!(
        ["cloud_provider", "cloud_zone", "cloud_region"].map(|n| cell(&found.assets[0], n)),
        ["GCP", "zz-east1-b", "zz-east1"]
    );
    let found = detection("<CLOUD_PROVIDER>Azure</CLOUD_PROVIDER><METADATA><AZURE></AZURE></METADATA>", "");
    assert_eq!(cell(&found.assets[0], "cloud_provider"), "Azure");
    let found = detection("<METADATA><LATER><ATTRIBUTE><NAME>n</NAME></ATTRIBUTE></LATER></METADATA>", "");
    assert_eq!(cell(&found.assets[0], "other"), "METADATA/LATER/ATTRIBUTE/NAME\tn");
}

#[test]
fn empty_cells_are_filled_from_others_that_mean_the_same() {
    for (xml, column, expected) in [
        ("<DNS_DATA><FQDN>a.example.com</FQDN></DNS_DATA>", "dns", "a.example.com"),
        ("<DNS>b.example.com</DNS><DNS_DATA><FQDN>a.example.com</FQDN></DNS_DATA>", "dns", "b.example.com"),
        ("<NETWORK_ID>5</NETWORK_ID>", "network", "5"),
        ("<NETWORK_ID>5</NETWORK_ID><NETWORK_NAME>n</NETWORK_NAME>", "network", "n"),
        ("<LAST_VM_SCANNED_DATE>2026-01-02</LAST_VM_SCANNED_DATE>", "last_scan", "2026-01-02T00:00:00Z"),
        ("<ASSET_RISK_SCORE>300</ASSET_RISK_SCORE>", "risk_score", "300"),
        ("<ASSET_RISK_SCORE>300</ASSET_RISK_SCORE><TRURISK_SCORE>400</TRURISK_SCORE>", "risk_score", "400"),
        (
            "<CLOUD_RESOURCE_ID>i-1</CLOUD_RESOURCE_ID><EC2_INSTANCE_ID>i-2</EC2_INSTANCE_ID>",
            "cloud_id",
            "i-1",
        ),
        (
            "<CLOUD_RESOURCE_ID>i-1</CLOUD_RESOURCE_ID><EC2_INSTANCE_ID>i-2</EC2_INSTANCE_ID>",
            "other",
            "EC2_INSTANCE_ID\ti-2",
        ),
        ("<CLOUD_RESOURCE_ID>i-1</CLOUD_RESOURCE_ID><EC2_INSTANCE_ID>i-1</EC2_INSTANCE_ID>", "other", ""),
    ] {
        assert_eq!(cell(&detection(xml, "").assets[0], column), expected, "{xml}");
    }
}

#[test]
fn texts_of_an_asset_after_its_findings_are_in_its_row() {
    let xml = "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><HOST_LIST><HOST><DETECTION_LIST><DETECTION><QID>7</QID>\
        <TYPE>Confirmed</TYPE></DETECTION></DETECTION_LIST><ID>1</ID><IP>192.0.2.1</IP><TAGS><TAG><NAME>t</NAME></TAG></TAGS>\
        <NEW>n</NEW><DNS_DATA><FQDN>a.example.com</FQDN></DNS_DATA></HOST></HOST_LIST></RESPONSE>\
        </HOST_LIST_VM_DETECTION_OUTPUT>";
    let found = read(&Kind::Detections, xml, "");
    let names = ["id", "address", "tags", "other", "dns"];
    assert_eq!(
        names.map(|name| cell(&found.assets[0], name)),
        ["1", "192.0.2.1", "t", "NEW\tn", "a.example.com"]
    );
}

#[test]
fn kind_and_severity_are_those_of_the_definition() {
    let knowledge_base = "<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><VULN_LIST><VULN><QID>7</QID>\
        <VULN_TYPE>Potential Vulnerability</VULN_TYPE><SEVERITY_LEVEL>4</SEVERITY_LEVEL><TITLE>t</TITLE></VULN>\
        </VULN_LIST></RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>";
    let xml = "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><HOST_LIST><HOST><ID>1</ID><DETECTION_LIST><DETECTION>\
        <QID>7</QID></DETECTION></DETECTION_LIST></HOST></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>";
    let found = read(&Kind::Detections, xml, knowledge_base);
    let row = &found.findings[0];
    let names = ["kind", "severity", "definition.severity", "definition.type"];
    assert_eq!(names.map(|name| cell(row, name)), ["potential", "4", "4", "Potential Vulnerability"]);
    assert!(found.notes.iter().any(|note| note.contains("type of their definition")), "{:?}", found.notes);
}

#[test]
fn part_of_a_knowledge_base_is_noted() {
    for (code, expected) in [("1980", "a part of a larger one"), ("1981", "contains warning 1981")] {
        let xml = format!(
            "<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><VULN_LIST/><WARNING><CODE>{code}</CODE><TEXT>x</TEXT></WARNING>\
             </RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>"
        );
        let mut definitions = Definitions::new(Box::<MemorySpool>::default());
        let notes = index_knowledge_base(xml.as_bytes(), Limits::default(), &mut definitions).unwrap().notes;
        assert!(notes.len() == 1 && notes[0].text.contains(expected), "{notes:?}");
    }
}

#[test]
fn extent_of_a_knowledge_base() {
    let text = "<DIAGNOSIS><![CDATA[<ID_SET> </VULN_LIST> <WARNING><CODE>1980</CODE></WARNING></RESPONSE>]]></DIAGNOSIS>";
    let vuln = format!("<VULN><QID>1</QID>{text}</VULN>");
    let list = format!("<VULN_LIST>{vuln}</VULN_LIST>");
    let url = "<WARNING>\n<CODE>1980</CODE><TEXT>x</TEXT><URL><![CDATA[\nhttps://q/?a=1&id_min=7\n]]></URL></WARNING>";
    let part = |next: Option<&str>| Extent::Part { next: next.map(str::to_owned) };
    for (response, extent) in [
        (list.clone(), Extent::All),
        (String::new(), Extent::All),
        ("<VULN_LIST/>".to_owned(), Extent::All),
        ("<ID_SET><ID>1</ID></ID_SET>".to_owned(), Extent::Ids),
        (format!("{list}{url}"), part(Some("https://q/?a=1&id_min=7"))),
        (format!("{list}<WARNING><CODE> 1980 </CODE><TEXT>x</TEXT></WARNING>"), part(None)),
        (format!("{list}<WARNING><CODE>1981</CODE><TEXT>x</TEXT></WARNING>"), Extent::All),
        (format!("{list}<WARNING></WARNING>"), Extent::All),
        ("<WARNING><CODE>1980</CODE></WARNING>".to_owned(), part(None)),
    ] {
        let document = format!(
            "<?xml version=\"1.0\"?>\n<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><DATETIME>t</DATETIME>\n{response}\n\
             </RESPONSE>\n</KNOWLEDGE_BASE_VULN_LIST_OUTPUT>\n<!-- CONFIDENTIAL -->"
        );
        let mut definitions = Definitions::new(Box::<MemorySpool>::default());
        let indexed = index_knowledge_base(document.as_bytes(), Limits::default(), &mut definitions).unwrap();
        assert_eq!(indexed.extent, extent, "{response}");
    }
}

#[test]
fn source_alone_is_not_an_item() {
    let found = scan(
        "value='192.0.2.1'",
        "",
        "<CORRELATION><EXPLOITABILITY><EXPLT_SRC><SRC_NAME>S</SRC_NAME></EXPLT_SRC><EXPLT_SRC><SRC_NAME>T</SRC_NAME>\
         <EXPLT_LIST><EXPLT><LINK>l</LINK></EXPLT></EXPLT_LIST></EXPLT_SRC></EXPLOITABILITY><MALWARE><MW_SRC>\
         <SRC_NAME>M</SRC_NAME><MW_LIST><MW_INFO><MW_RATING>High</MW_RATING></MW_INFO></MW_LIST></MW_SRC></MALWARE></CORRELATION>",
    );
    let row = &found.findings[0];
    assert_eq!(cell(row, "definition.exploits"), "T\t\t\tl");
    assert_eq!(cell(row, "definition.malware_details"), "M\t\t\t\t\tHigh");
    assert_eq!(cell(row, "definition.malware"), "");
}

#[test]
fn risks_of_assets_are_joined_by_network_and_address() {
    let risk = |address: &str, risk: &str, total: u8| {
        format!(
            "<HOSTS>{address}<SECURITY_RISK>{risk}</SECURITY_RISK><TOTAL_VULNERABILITIES>{total}</TOTAL_VULNERABILITIES></HOSTS>"
        )
    };
    let host = |ip: &str| {
        format!(
            "<HOST>{ip}<VULN_INFO_LIST><VULN_INFO><QID id='qid_7'>7</QID><TYPE>Vuln</TYPE></VULN_INFO></VULN_INFO_LIST></HOST>"
        )
    };
    let xml = format!(
        "<ASSET_DATA_REPORT><HEADER/><RISK_SCORE_PER_HOST>{}{}</RISK_SCORE_PER_HOST><HOST_LIST>{}{}{}</HOST_LIST></ASSET_DATA_REPORT>",
        risk("<IP_ADDRESS network_id='1'>192.0.2.1</IP_ADDRESS>", "4.2", 1),
        risk("<IP_ADDRESS network_id='2'>192.0.2.1</IP_ADDRESS>", "3.1", 2),
        host("<IP network_id='1'>192.0.2.1</IP>"),
        host("<IP network_id='2'>192.0.2.1</IP>"),
        host("<IP>192.0.2.1</IP>"),
    );
    let found = read(&Kind::TemplateReport, &xml, "");
    let risks: Vec<&str> = found.assets.iter().map(|row| cell(row, "security_risk")).collect();
    assert_eq!(risks, ["4.2", "3.1", ""]);
    assert_eq!(cell(&found.assets[0], "risk_factors"), "total_vulnerabilities\t1");
    assert!(
        found.notes.iter().any(|note| note.contains("another number of findings") && note.ends_with("×1"))
    );
}
