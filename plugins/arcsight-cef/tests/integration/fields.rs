//! Fields that the guide does not have, and those of newer reports.

use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use serde_json::{Value, json};

use crate::case::{Filling, deliver, event_of, events_of, open, scan, text_of, text_without_ids};
use crate::reader::{self, Event};

const ASSET: &[(A, &str)] = &[(A::Address, "192.0.2.1"), (A::Dns, "www.example.com")];

fn of_kind(kind: &str, definition: &[(D, &str)], cells: &[(&str, &str)]) -> impl Fn(Value) -> Event + use<> {
    let cells: Vec<_> = [("kind", kind)].into_iter().chain(cells.iter().copied()).collect();
    let batch = Filling::default().asset(ASSET).finding(definition, &cells).done();
    let text = move |options| text_without_ids(options, &scan(), std::slice::from_ref(&batch));
    move |options| reader::read(text(options).lines().next().expect("an event")).unwrap()
}

/// F-066: the title of a vulnerability is in its event, whatever the style of its name.
#[test]
fn title_of_a_vulnerability_is_the_message_or_the_name() {
    let long = "t=".repeat(600);
    for (title, message, name) in [
        ("SSL &lt;3 &amp; &quot;more&quot;", Some("SSL <3 & \"more\""), "SSL <3 & \"more\""),
        ("a | b\nc", Some("a | b\nc"), "a | b c"),
        ("", None, "QID 1001"),
        ("\u{200b}\u{feff}", None, "QID 1001"),
        // 341 pairs of an escaped `=` are 1,023 bytes.
        (&long, Some(&format!("{}...", "t=".repeat(340))), &format!("{}...", &long[..509])),
    ] {
        let event = of_kind("vulnerability", &[(D::Id, "1001"), (D::Title, title)], &[]);
        let (guide, titled) = (event(json!({})), event(json!({ "name_style": "title" })));
        assert_eq!((guide.header[4].as_str(), guide.get("msg")), ("Vulnerability:1001", message));
        assert_eq!((titled.header[4].as_str(), titled.get("msg")), (name, None));
    }
    // The name of the other tables is the title already.
    for kind in ["information", "potential", "service"] {
        let event = of_kind(kind, &[(D::Id, "1"), (D::Title, "a title")], &[])(json!({}));
        assert_eq!((event.header[4].as_str(), event.get("msg")), ("a title", None), "{kind}");
    }
}

/// F-080: no class ID has a pipe in it, in all tables and in both styles.
#[test]
fn class_ids_can_have_colons() {
    let facts = "port\t22\ttcp\t\t\nos\tLinux\t";
    let definition = [(D::Id, "7"), (D::Title, "title"), (D::Cves, "CVE-2020-1")];
    let text = |style: &str| {
        let mut filling = Filling::default().asset(ASSET);
        for kind in ["information", "potential", "service", "vulnerability"] {
            filling = filling.finding(&definition, &[("kind", kind), ("severity", "4"), ("facts", facts)]);
        }
        let options = json!({ "class_id_separator": "colon", "class_id_style": style, "asset_events": true });
        text_of(options, &scan(), &[filling.done()])
    };
    let classes = |style: &str| -> Vec<String> {
        text(style).lines().map(|line| reader::read(line).unwrap().header[3].clone()).collect()
    };
    let mut expected =
        ["INFOS:7", "Open Port:7", "PRACTICES:7", "Services:7", "VULN:7", "URI:Linux", "SCANNER"];
    assert_eq!(classes("stable"), expected.map(|class| format!("Qualys:{class}")));
    expected[4] = "7:title:4::::CVE-2020-1";
    assert_eq!(classes("concat"), expected.map(|class| format!("Qualys:{class}")));
    assert!(!text("stable").contains(r"\|"));
}

/// F-067: the status is in each event that has one, in each profile, without another option.
#[test]
fn status_is_always_sent() {
    for profile in ["arcsight", "rsyslog", "generic"] {
        for (status, reported, expected) in [
            ("New", "", Some("New")),
            ("Active", "x", Some("Active")),
            ("Re-Opened", "", Some("Re-Opened")),
            ("Fixed", "", Some("Fixed")),
            ("Ignored", "Active", Some("Ignored")),
            ("Disabled", "", Some("Disabled")),
            ("", "Under = review", Some("Under = review")),
            ("", "", None),
        ] {
            let cells = [("status", status), ("reported_status", reported)];
            let event = of_kind("vulnerability", &[(D::Id, "1")], &cells)(json!({ "profile": profile }));
            assert_eq!(event.get("outcome"), expected, "{profile} {status} {reported}");
        }
    }
}

/// Findings that the scanner's users closed derive no events of open ports and systems.
#[test]
fn closed_findings_derive_no_events() {
    for (status, derived) in
        [("", 2), ("New", 2), ("Active", 2), ("Re-Opened", 2), ("Fixed", 0), ("Ignored", 0), ("Disabled", 0)]
    {
        let cells = [("kind", "service"), ("status", status), ("facts", "port\t22\ttcp\t\t\nos\tLinux\t")];
        let batch = Filling::default().asset(ASSET).finding(&[(D::Id, "1")], &cells).done();
        assert_eq!(events_of(json!({}), batch).len(), 1 + derived, "{status}");
    }
}

#[test]
fn scores_of_all_versions_are_sent() {
    let definition =
        [(D::Id, "1"), (D::CvssBase, "9.3"), (D::Cvss3Base, "9.8 (AV:N/AC:L)"), (D::Cvss4Base, "8.7")];
    for (kind, has_scores) in
        [("vulnerability", true), ("potential", true), ("information", false), ("service", false)]
    {
        let event = of_kind(kind, &definition, &[])(json!({}));
        let score = |key| event.get(key).map(str::to_owned);
        let expected = |score: &str| has_scores.then(|| score.to_owned());
        assert_eq!(
            [score("cs6"), score("cfp1"), score("cfp2")],
            ["9.3", "9.8", "8.7"].map(expected),
            "{kind}"
        );
        assert_eq!(
            [score("cfp1Label"), score("cfp2Label")],
            ["CVSS 3 Base Score", "CVSS 4 Base Score"].map(expected)
        );
    }
    // A floating-point key is a number or absent.
    for text in ["-", "", "high", "9,8", "1e3", "\u{200b}"] {
        let event = of_kind("vulnerability", &[(D::Id, "1"), (D::Cvss3Base, text)], &[])(json!({}));
        assert_eq!((event.get("cfp1"), event.get("cfp1Label")), (None, None), "{text:?}");
    }
}

/// The keys that ArcSight gets on request only, and their order.
#[test]
fn extra_fields_are_sent_by_receiver_or_by_name() {
    let asset =
        [(A::Address, "192.0.2.1"), (A::Id, "77"), (A::RiskScore, "912"), (A::Macs, "00:00:5e:00:53:01")];
    let definition = [
        (D::Id, "1001"),
        (D::Title, "title"),
        (D::ThreatIntelligence, "1\tActive_Attacks\n5\tEasy_Exploit\n9\t"),
        (D::CvssBase, "5"),
        (D::Cvss3Base, "6.1"),
        (D::Cvss4Base, "7.2"),
        (D::Cves, "CVE-2020-1"),
        (D::Solution, "fix"),
        (D::Exploits, "\t\tknown\t"),
    ];
    let cells = [
        ("kind", "vulnerability"),
        ("status", "Active"),
        ("first_found", "2026-01-01T00:00:00Z"),
        ("last_fixed", "2026-01-02T00:00:00Z"),
        ("detection_score", "95"),
        ("epss", "0.97"),
        ("result", "r"),
    ];
    let event =
        |options| event_of(options, Filling::default().asset(&asset).finding(&definition, &cells).done());
    let all = event(json!({ "receiver": "rsyslog" }));
    let keys: Vec<_> = all.keys().into_iter().filter(|key| !key.ends_with("Label")).collect();
    let expected = [
        "rt",
        "dst",
        "deviceDomain",
        "cn1",
        "oldFilePath",
        "externalId",
        "outcome",
        "flexString1",
        "deviceCustomDate1",
        "deviceCustomDate2",
        "cn2",
        "cn3",
        "cfp1",
        "cfp2",
        "cfp3",
        "flexString2",
        "msg",
        "cs6",
        "cs2",
        "cs1",
        "cs5",
        "QualysQualysExpltDescription",
    ];
    assert_eq!(keys, expected);
    for (key, label, value) in [
        ("cn1", "QID", "1001"),
        ("flexString1", "Asset ID", "77"),
        ("deviceCustomDate1", "First Found", "1767225600000"),
        ("deviceCustomDate2", "Last Fixed", "1767312000000"),
        ("cn2", "Detection Score", "95"),
        ("cn3", "Asset Risk Score", "912"),
        ("cfp3", "EPSS", "0.97"),
        ("flexString2", "Threat Intelligence", "Active_Attacks,Easy_Exploit,9"),
    ] {
        assert_eq!((all.get(key), all.get(&format!("{key}Label"))), (Some(value), Some(label)));
        let one = event(json!({ "extra_fields": [key] }));
        assert_eq!(one.get(key), Some(value), "{key} by name");
    }
    let on_request = [
        "cn1",
        "externalId",
        "flexString1",
        "deviceCustomDate1",
        "deviceCustomDate2",
        "cn2",
        "cn3",
        "cfp3",
        "flexString2",
    ];
    for options in [json!({}), json!({ "receiver": "splunk", "extra_fields": ["none"] })] {
        let event = event(options);
        assert!(on_request.iter().all(|key| event.get(key).is_none()), "{event:?}");
        assert_eq!(event.get("outcome"), Some("Active"));
    }
    assert_eq!(
        event(json!({ "extra_fields": ["externalId"] })).get("externalId"),
        Some("scan/1234567890.12345")
    );
}

/// A value that is not of the type of its key is left out, and counted.
#[test]
fn numbers_and_times_are_valid_or_absent() {
    let cells = [
        ("kind", "vulnerability"),
        ("first_found", "yesterday"),
        ("last_fixed", "-"),
        ("detection_score", "95%"),
        ("epss", "a=b"),
    ];
    let asset = [(A::Address, "192.0.2.1"), (A::RiskScore, "high")];
    let batch = Filling::default().asset(&asset).finding(&[(D::Id, "1")], &cells).done();
    let event = event_of(json!({ "profile": "generic" }), batch);
    for key in ["deviceCustomDate1", "deviceCustomDate2", "cn2", "cn3", "cfp3"] {
        assert_eq!((event.get(key), event.get(&format!("{key}Label"))), (None, None), "{key}");
    }
}

/// The CVE IDs of the definition, then those of the finding that it lacks.
#[test]
fn cve_ids_of_finding_and_definition_are_joined() {
    let long: Vec<String> = (1000..1500).map(|number| format!("CVE-2020-{number}")).collect();
    for (of_definition, of_finding, expected) in [
        ("CVE-1\nCVE-2", "", "CVE-1,CVE-2"),
        ("CVE-1\nCVE-2", "CVE-2\nCVE-1", "CVE-1,CVE-2"),
        ("CVE-1\nCVE-2", "CVE-1\nCVE-2", "CVE-1,CVE-2"),
        ("CVE-1", "CVE-3\nCVE-1\nCVE-3\nCVE-10", "CVE-1,CVE-3,CVE-10"),
        ("", "CVE-1\n\u{200b}\n", "CVE-1"),
        ("CVE-10", "CVE-1", "CVE-10,CVE-1"),
        (&long[..3].join("\n"), &long.join("\n"), &format!("{}...", &long.join(",")[..3997])),
    ] {
        for kind in ["vulnerability", "potential", "information"] {
            let definition = [(D::Id, "1"), (D::Cves, of_definition)];
            let event = of_kind(kind, &definition, &[("cves", of_finding)])(json!({}));
            assert_eq!(event.get("cs2"), Some(expected), "{of_definition} and {of_finding}");
            let is_truncated = event.get("ScanbridgeTruncated").is_some_and(|fields| fields.contains("cs2"));
            assert_eq!(is_truncated, expected.ends_with("..."));
        }
    }
    // The next finding of the definition has its own list again.
    let definition = [(D::Id, "1"), (D::Cves, "CVE-1")];
    let filling = Filling::default().asset(ASSET);
    let filling = filling.finding(&definition, &[("kind", "vulnerability"), ("cves", "CVE-2")]);
    let events = events_of(json!({}), filling.finding(&definition, &[("kind", "vulnerability")]).done());
    let cves: Vec<_> = events.iter().map(|event| event.get("cs2").unwrap()).collect();
    assert_eq!(cves, ["CVE-1,CVE-2", "CVE-1"]);
}

/// F-065: full names before short ones, any name before none. Placeholders are not names.
#[test]
fn host_name_is_the_first_of_the_candidates() {
    let order = [
        (A::Fqdn, "fqdn.example.com"),
        (A::Dns, "short"),
        (A::Netbios, "NETBIOS"),
        (A::OsHostname, "os-hostname"),
        (A::Hostname, "hostname"),
        (A::CloudPrivateDns, "private.example.com"),
    ];
    for first in 0..order.len() {
        for placeholder in ["", "N/A", "-", "No registered hostname", "\u{200b}"] {
            let mut asset = vec![(A::Address, "192.0.2.1")];
            asset.extend(order[..first].iter().map(|(field, _)| (*field, placeholder)));
            asset.extend(&order[first..]);
            for (kind, expected) in [
                ("vulnerability", order[first].1),
                ("information", if first <= 2 { "NETBIOS" } else { order[first].1 }),
            ] {
                let batch =
                    Filling::default().asset(&asset).finding(&[(D::Id, "1")], &[("kind", kind)]).done();
                assert_eq!(event_of(json!({}), batch).get("dhost"), Some(expected), "{kind} {asset:?}");
            }
        }
    }
    // A DNS name with a dot is the full name.
    let asset = [(A::Dns, "a.example.com"), (A::Fqdn, "b.example.com")];
    let batch = Filling::default().asset(&asset).finding(&[(D::Id, "1")], &[("kind", "service")]).done();
    assert_eq!(event_of(json!({}), batch).get("dhost"), Some("a.example.com"));
}

/// F-065: an asset without address and name is known by an ID, in every profile.
#[test]
fn asset_without_address_and_name_has_an_id() {
    let ids = [
        (A::Id, "77", "Asset ID"),
        (A::AssetId, "88", "Asset ID"),
        (A::AgentId, "a-1", "Agent ID"),
        (A::CloudId, "i-1", "Cloud ID"),
    ];
    for first in 0..ids.len() {
        let mut asset: Vec<_> = ids[first..].iter().map(|(field, id, _)| (*field, *id)).collect();
        asset.extend([(A::Os, "Linux"), (A::Dns, "N/A")]);
        let cells = [("kind", "vulnerability"), ("facts", "port\t22\ttcp\t\t")];
        let batch = || Filling::default().asset(&asset).finding(&[(D::Id, "1")], &cells).done();
        for event in events_of(json!({ "asset_events": true }), batch()) {
            let (_, id, label) = ids[first];
            assert_eq!((event.get("flexString1"), event.get("flexString1Label")), (Some(id), Some(label)));
            assert_eq!((event.get("dst"), event.get("dhost")), (None, None));
        }
    }
    let hardware = [(A::Macs, "00:00:5e:00:53:01\n00:00:5e:00:53:02"), (A::Ipv6, "")];
    for (more, expected) in [("", Some("00:00:5e:00:53:01")), ("2001:db8::1", None)] {
        let asset = [hardware[0], (A::Ipv6, more)];
        let batch = Filling::default().asset(&asset).finding(&[(D::Id, "1")], &[("kind", "service")]).done();
        assert_eq!(event_of(json!({}), batch).get("dmac"), expected, "with {more:?}");
    }
}

/// F-065: an event that names no asset is not sent; its finding is rejected.
#[test]
fn finding_of_an_asset_that_nothing_identifies_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let cells = [("kind", "vulnerability"), ("facts", "port\t22\ttcp\t\t")];
    for asset in
        [&[][..], &[(A::Address, "somewhere")], &[(A::Dns, "-"), (A::Macs, "none")], &[(A::Id, "\u{200b}")]]
    {
        let asset = [asset, &[(A::Os, "Linux")]].concat();
        let batch = Filling::default().exact_asset(&asset).finding(&[(D::Id, "1")], &cells);
        let batch = batch.asset(ASSET).finding(&[(D::Id, "2")], &cells).done();
        let mut output = open(&path, json!({ "asset_events": true })).unwrap();
        let written = deliver(&mut output, &scan(), &[batch]).unwrap();
        let rows: Vec<_> =
            written[0].rejected.iter().map(|rejected| (rejected.row, rejected.reason.as_str())).collect();
        assert_eq!(rows, [(0, "the asset has no address, name, MAC address or ID")], "{asset:?}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.contains(" dst=192.0.2.1 ")),
            "{text}"
        );
    }
}

/// F-091: the event of an asset says what became of its scan.
#[test]
fn state_of_the_asset_is_in_its_event() {
    for (status, expected) in [("Finish", Some("Finish")), ("down", Some("down")), ("", None)] {
        let first = Filling::default().asset(&[(A::Address, "192.0.2.1"), (A::Status, status)]).done();
        let event = event_of(json!({ "asset_events": true }), first);
        assert_eq!((event.header[3].as_str(), event.get("outcome")), ("Qualys|SCANNER", expected));
    }
    // A scan may report it after the findings.
    let asset = [(A::Address, "192.0.2.1")];
    let first = Filling::default().asset(&asset).finding(&[(D::Id, "1")], &[("kind", "service")]).done();
    let second = Filling::default().continued(&[asset[0], (A::Status, "Finish")]).done();
    let text = text_of(json!({ "asset_events": true }), &scan(), &[first, second]);
    assert_eq!(reader::read(text.lines().last().unwrap()).unwrap().get("outcome"), Some("Finish"));
}

/// F-092, A-048: what the operator calls the connector is in each event, also in derived ones.
#[test]
fn connector_is_named_in_each_event() {
    let cells = [("kind", "service"), ("facts", "port\t22\ttcp\t\t\nos\tLinux\t")];
    let batch = || Filling::default().asset(ASSET).finding(&[(D::Id, "1")], &cells).done();
    let connector = |address: &str| json!({ "name": "scanner-a", "location": "Berlin = HQ", "comment": "by ops", "host": "m1", "address": address });
    for (profile, prefix) in [("arcsight", "ad."), ("generic", "Scanbridge")] {
        let options =
            json!({ "profile": profile, "asset_events": true, "connector": connector("192.0.2.7") });
        let events = events_of(options, batch());
        assert_eq!(events.len(), 4);
        for event in events {
            assert_eq!(event.get(&format!("{prefix}ConnectorName")), Some("scanner-a"));
            assert_eq!(event.get(&format!("{prefix}ConnectorLocation")), Some("Berlin = HQ"));
            assert_eq!(event.get(&format!("{prefix}ConnectorComment")), Some("by ops"));
            assert_eq!(event.get("dvchost"), None);
        }
    }
    for (address, dvc, c6a1) in [
        ("192.0.2.7", Some("192.0.2.7"), [None, None]),
        ("2001:db8::7", None, [Some("Connector IPv6 Address"), Some("2001:db8::7")]),
    ] {
        let options =
            json!({ "asset_events": true, "connector_fields": "device", "connector": connector(address) });
        for event in events_of(options, batch()) {
            assert_eq!(event.get("deviceExternalId"), Some("scanner-a"));
            assert_eq!(event.get("deviceFacility"), Some("Berlin = HQ"));
            assert_eq!((event.get("dvchost"), event.get("dvc")), (Some("m1"), dvc));
            assert_eq!([event.get("c6a1Label"), event.get("c6a1")], c6a1);
            assert_eq!(event.get("ad.ConnectorName"), None);
        }
    }
}

/// F-076: no field of an event has a value that shows nothing.
#[test]
fn content_that_shows_nothing_is_absent() {
    let nothing = "\u{feff}\u{200b}";
    let item = format!("{nothing}\t{nothing}\t{nothing}\t{nothing}");
    let asset = [
        (A::Address, "192.0.2.1"),
        (A::Id, nothing),
        (A::Dns, nothing),
        (A::Netbios, nothing),
        (A::Os, nothing),
        (A::Owner, nothing),
        (A::Status, nothing),
    ];
    let definition = [
        (D::Id, "1"),
        (D::Title, nothing),
        (D::Category, nothing),
        (D::Cves, nothing),
        (D::Diagnosis, nothing),
        (D::Consequence, "<p>\u{200b}</p>"),
        (D::Solution, nothing),
        (D::CvssBase, nothing),
        (D::Exploits, &item),
        (D::ThreatIntelligence, &item),
        (D::Software, &item),
    ];
    let mut cells: Vec<_> = ["result", "reported_status", "protocol", "cves", "service", "other"]
        .map(|name| (name, nothing))
        .to_vec();
    cells.push(("kind", "vulnerability"));
    cells.push(("facts", "os\t\u{200b}\t"));
    let mut report = scan().with_path(nothing).with_id(nothing);
    report.source.product_version = nothing.to_owned();
    let batch = Filling::default().asset(&asset).finding(&definition, &cells).done();
    let options = json!({
        "receiver": "splunk", "asset_events": true, "additional_fields": ["asset.owner", "definition.software", "finding.service", "finding.other"],
    });
    let text = text_without_ids(options, &report, &[batch]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "CEF:0|Qualys|Qualys|unknown|Qualys:VULN:1|QID 1|0|rt=1769860800000 dst=192.0.2.1 deviceDomain=Network cn1Label=QID cn1=1",
            "CEF:0|Qualys|Qualys|unknown|Qualys:SCANNER|Asset|0|rt=1769860800000 dst=192.0.2.1",
        ]
    );
}
