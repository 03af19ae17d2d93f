//! `format: ocsf`, checked against the published schema.

use scanbridge_plugin_api::model::{DefinitionField, FindingField, FindingStatus};
use serde_json::{Value, json};

use crate::ocsf_schema::OcsfSchema;
use crate::reports::*;

fn ocsf() -> Value {
    json!({ "format": "ocsf" })
}

fn schema() -> Option<OcsfSchema> {
    let dictionary = scanbridge_fixtures::published::find("SCANBRIDGE_OCSF_SCHEMA", "ocsf")?;
    Some(OcsfSchema::read(&dictionary))
}

#[test]
fn line_with_all_columns() {
    let made = made(&ocsf(), &report(), &full());
    insta::assert_snapshot!(serde_json::to_string_pretty(&made.lines()[0]).unwrap());
}

/// Every asset, definition, kind, status and severity.
#[test]
fn all_lines_are_valid_in_the_published_schema() {
    let Some(mut schema) = schema() else { return };
    let lines = made(&ocsf(), &report(), &all(VULNERABILITIES)).lines();
    assert_eq!(lines.len(), count_of_all(VULNERABILITIES));
    for line in &lines {
        let faults = schema.faults(line);
        assert!(faults.is_empty(), "{faults:#?}\n{line:#}");
    }
    // What is asked of each attribute was asked of real values.
    for path in [
        "vulnerabilities.cve.cvss.base_score",
        "vulnerabilities.cve.epss.score",
        "vulnerabilities.advisory.uid",
        "finding_info.attacks.technique.uid",
        "device.os.type_id",
        "device.groups.uid",
        "resources.owner.name",
        "resources.tags.value",
        "cloud.account.uid",
        "ticket.status",
    ] {
        assert!(schema.seen.contains(path), "{path}: {:#?}", schema.seen);
    }
    assert_eq!(
        schema.deprecated.iter().collect::<Vec<_>>(),
        ["ticket"],
        "see docs/decisions/standard-json.md"
    );
}

/// The validator must refuse what is wrong, or the test above shows nothing.
#[test]
fn validator_refuses_wrong_events() {
    let Some(mut schema) = schema() else { return };
    let valid = made(&ocsf(), &report(), &full()).lines().remove(0);
    assert_eq!(schema.faults(&valid), Vec::<String>::new());
    let wrong: [(&str, Value, &str); 10] = [
        ("/type_uid", json!(200_201), "type_uid must be"),
        ("/severity_id", json!(9), "is not one of"),
        ("/severity_id", json!("4"), "is not integer_t"),
        ("/status_id", json!(1), "its text"),
        ("/device/ip", json!("192.0.2"), "is not ip_t"),
        ("/metadata/version", Value::Null, "is not string_t"),
        ("/finding_info", json!({ "title": "a" }), "finding_info.uid is required"),
        ("/finding_info/titel", json!("a"), "is not in the schema"),
        ("/vulnerabilities/0/advisory", json!({ "uid": "a" }), "breaks"),
        ("/metadata/profiles", json!(["cloud"]), "ticket is not in the schema"),
    ];
    for (pointer, value, part) in wrong {
        let mut event = valid.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[name] = value;
        let faults = schema.faults(&event);
        let is_found = faults.iter().any(|fault| fault.contains(part));
        assert!(is_found, "{pointer}: {faults:?}");
    }
    let mut event = valid.clone();
    event.as_object_mut().unwrap().remove("status");
    event["status_id"] = json!(99);
    assert_eq!(schema.faults(&event), ["status_id is 99 without status"]);
    event["status_id"] = json!(3);
    event["status"] = json!("Resolved");
    assert!(schema.faults(&event)[0].contains("its text is \"Resolved\""));
}

#[test]
fn states_of_findings() {
    for (status, activity, status_id, text, code) in [
        (Some(FindingStatus::New), 1, 1, "New", Some("New")),
        (Some(FindingStatus::Active), 2, 99, "Active", Some("Active")),
        (Some(FindingStatus::Reopened), 2, 99, "Re-Opened", Some("Re-Opened")),
        (Some(FindingStatus::Fixed), 3, 4, "Resolved", Some("Fixed")),
        (Some(FindingStatus::Ignored), 3, 3, "Suppressed", Some("Ignored")),
        (Some(FindingStatus::Disabled), 3, 3, "Suppressed", Some("Disabled")),
        (None, 2, 0, "Unknown", None),
    ] {
        let mut finding = full_finding();
        finding.set_status(status);
        finding.set(FindingField::ReportedStatus, "");
        let line = &made(&ocsf(), &report(), &one(&full_asset(), &full_definition(), &finding)).lines()[0];
        let found = (&line["activity_id"], &line["type_uid"], &line["status_id"], &line["status"]);
        let expected = (&json!(activity), &json!(200_200 + activity), &json!(status_id), &json!(text));
        assert_eq!(found, expected, "{status:?}");
        assert_eq!(line.get("status_code").and_then(Value::as_str), code);
        assert_eq!(line.get("end_time").is_some(), status == Some(FindingStatus::Fixed));
    }
    let mut finding = full_finding();
    finding.set_status(None);
    let line = &made(&ocsf(), &report(), &one(&full_asset(), &full_definition(), &finding)).lines()[0];
    assert_eq!(line["status_code"], "finding.reported_status");
}

#[test]
fn one_entry_for_each_cve_or_an_advisory() {
    for (of_definition, of_finding, expected) in [
        ("CVE-1-1\nCVE-1-2", "CVE-1-2\nCVE-1-3", &["CVE-1-1", "CVE-1-2", "CVE-1-3"][..]),
        ("", "CVE-1-3", &["CVE-1-3"]),
        ("CVE-1-1", "", &["CVE-1-1"]),
        ("CVE-1-1", "CVE-1-1", &["CVE-1-1"]),
        ("", "", &[]),
    ] {
        let (mut definition, mut finding) = (full_definition(), full_finding());
        definition.set(DefinitionField::Cves, of_definition);
        finding.set(FindingField::Cves, of_finding);
        let line = &made(&ocsf(), &report(), &one(&full_asset(), &definition, &finding)).lines()[0];
        let entries = line["vulnerabilities"].as_array().unwrap();
        let cves: Vec<&str> = entries.iter().filter_map(|entry| entry["cve"]["uid"].as_str()).collect();
        assert_eq!(cves, expected);
        for entry in entries {
            assert_eq!(entry["desc"], "The cipher is weak.\nSee & think.");
            assert_eq!(entry["cve"]["epss"].is_object(), expected.len() == 1, "EPSS is of one CVE");
        }
        if expected.is_empty() {
            assert_eq!(entries.len(), 1);
            assert_eq!(entries[0]["advisory"]["uid"], "QID-38170");
        }
        assert_eq!(line["unmapped"]["finding"]["epss"], 0.5);
    }
}

#[test]
fn scores_have_their_version_and_vendor() {
    let mut definition = full_definition();
    for (field, text) in [
        (DefinitionField::CvssSource, "service"),
        (DefinitionField::Cvss3Source, ""),
        (DefinitionField::Cvss3Version, "3.1"),
        (DefinitionField::Cvss3Temporal, ""),
        (DefinitionField::Cvss4Base, "-"),
    ] {
        definition.set(field, text);
    }
    let line = &made(&ocsf(), &report(), &one(&full_asset(), &definition, &full_finding())).lines()[0];
    let expected = json!([
        {
            "version": "2.0", "base_score": 9.3, "overall_score": 9.3, "vector_string": "definition.cvss_vector",
            "vendor_name": "Qualys",
        },
        { "version": "3.1", "base_score": 9.3, "vector_string": "definition.cvss3_vector", "vendor_name": "NVD" },
    ]);
    assert_eq!(line["vulnerabilities"][0]["cve"]["cvss"], expected);
    assert_eq!(line["unmapped"]["definition"]["cvss4_vector"], "definition.cvss4_vector");
}

#[test]
fn exploits_and_systems() {
    let is_available = |changes: &[(FindingField, &str)]| {
        let (mut definition, mut finding) = (full_definition(), full_finding());
        definition.set(DefinitionField::Exploits, "");
        for field in
            [FindingField::KnownExploited, FindingField::ExploitMaturity, FindingField::ThreatIndicators]
        {
            finding.set(field, "");
        }
        changes.iter().for_each(|(field, text)| finding.set(*field, text));
        let line = &made(&ocsf(), &report(), &one(&full_asset(), &definition, &finding)).lines()[0];
        line["vulnerabilities"][0].get("is_exploit_available").cloned()
    };
    assert_eq!(is_available(&[]), None);
    assert_eq!(is_available(&[(FindingField::KnownExploited, "0")]), None, "others may have an exploit");
    assert_eq!(is_available(&[(FindingField::KnownExploited, "1")]), Some(json!(true)));
    assert_eq!(is_available(&[(FindingField::ExploitMaturity, "unproven\npoc")]), Some(json!(true)));
    assert_eq!(is_available(&[(FindingField::ThreatIndicators, "weaponized")]), Some(json!(true)));
    for (os, type_id, text) in [
        ("Microsoft Windows Server 2019", 100, "Windows"),
        ("Red Hat Enterprise Linux 9", 200, "Linux"),
        ("Mac OS X 10.15", 300, "macOS"),
        ("macOS 14", 300, "macOS"),
        ("SunOS 5.11 on Linux", 400, "Solaris"),
        ("IBM AIX 7", 401, "AIX"),
        ("HP-UX B.11", 402, "HP-UX"),
        ("Cisco IOS 15", 99, "Cisco IOS 15"),
    ] {
        let mut asset = full_asset();
        asset.set(scanbridge_plugin_api::model::AssetField::Os, os);
        let line = &made(&ocsf(), &report(), &one(&asset, &full_definition(), &full_finding())).lines()[0];
        let system = &line["device"]["os"];
        assert_eq!((&system["type_id"], &system["type"]), (&json!(type_id), &json!(text)), "{os}");
    }
}
