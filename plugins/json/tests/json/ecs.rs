//! `format: ecs`, checked against the published list of fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use scanbridge_plugin_api::model::{DefinitionField, FindingField, FindingKind, FindingStatus};
use serde_json::{Value, json};

use crate::reports::*;

fn ecs() -> Value {
    json!({ "format": "ecs" })
}

/// The flat list of fields of ECS 9.4.0.
fn fields() -> Option<BTreeMap<String, Value>> {
    let path = scanbridge_fixtures::published::find("SCANBRIDGE_ECS_FIELDS", "ecs/fields-9.4.0.yml")?;
    Some(serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap())
}

/// The list of ECS has a value of a list under the name of the list.
fn flat(value: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if at != "scanbridge" => {
            for (name, value) in map {
                let gap = if at.is_empty() { "" } else { "." };
                flat(value, &format!("{at}{gap}{name}"), found);
            }
        }
        value => found.push((at.to_owned(), value.clone())),
    }
}

fn fault(name: &str, value: &Value, field: &Value) -> Option<String> {
    let is_list = field["normalize"].as_array().is_some_and(|it| it.contains(&json!("array")));
    // A list where ECS names none: Elasticsearch has no other type for lists, and Elastic's own data has one here.
    if is_list != value.is_array() && name != "vulnerability.id" {
        return Some(format!("{name}: list expected {is_list}"));
    }
    let items = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let word = |item: &Value| item.as_str().is_some_and(|text| !text.is_empty());
    let has_type = |item: &Value| match field["type"].as_str().unwrap_or_default() {
        "keyword" | "match_only_text" | "wildcard" | "text" => word(item),
        "date" => item.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        "long" => item.is_i64(),
        "float" => item.is_number(),
        "ip" => item.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        other => panic!("{name} has the type {other}"),
    };
    let allowed = field["allowed_values"].as_array();
    let is_allowed = |item: &Value| allowed.is_none_or(|allowed| allowed.contains(item));
    let wrong = items.iter().find(|item| !has_type(item) || !is_allowed(item));
    wrong
        .map(|item| format!("{name}: {item} is not {field}"))
        .or_else(|| items.is_empty().then(|| format!("{name} is empty")))
}

#[test]
fn line_with_all_columns() {
    let made = made(&ecs(), &report(), &full());
    insta::assert_snapshot!(serde_json::to_string_pretty(&made.lines()[0]).unwrap());
}

/// Every asset, definition, kind, status and severity.
#[test]
fn all_fields_are_published_and_have_their_types() {
    let Some(fields) = fields() else { return };
    let lines = made(&ecs(), &report(), &all(&FindingKind::ALL)).lines();
    assert_eq!(lines.len(), count_of_all(&FindingKind::ALL));
    let mut seen = BTreeSet::new();
    for line in &lines {
        let mut found = Vec::new();
        flat(line, "", &mut found);
        for required in ["@timestamp", "ecs.version"] {
            assert!(found.iter().any(|(name, _)| name == required), "{required}: {line:#}");
        }
        for (name, value) in found.into_iter().filter(|(name, _)| name != "scanbridge") {
            // Only from 9.5.0 on.
            if name == "vulnerability.status" {
                assert!(["open", "reopened", "fixed", "unknown"].contains(&value.as_str().unwrap()));
                continue;
            }
            let field = fields.get(&name).unwrap_or_else(|| panic!("{name} is not in the list: {line:#}"));
            assert_eq!(fault(&name, &value, field), None, "{line:#}");
            seen.insert(name);
        }
        let mut rest = BTreeMap::new();
        paths(&line["scanbridge"], "", &mut rest);
        let tables: Vec<&String> = line["scanbridge"].as_object().unwrap().keys().collect();
        assert!(tables.iter().all(|it| ["asset", "definition", "finding", "report"].contains(&it.as_str())));
    }
    for name in
        ["host.mac", "threat.technique.id", "vulnerability.score.temporal", "cloud.machine.type", "event.end"]
    {
        assert!(seen.contains(name), "{name}: {seen:#?}");
    }
    // The check itself refuses what is wrong.
    for (name, value) in [
        ("event.severity", json!("4")),
        ("event.kind", json!("finding")),
        ("host.ip", json!("192.0.2.10")),
        ("host.ip", json!(["host"])),
        ("@timestamp", json!("yesterday")),
        ("rule.id", json!(38170)),
    ] {
        assert!(fault(name, &value, &fields[name]).is_some(), "{name}");
    }
}

#[test]
fn states_of_findings() {
    for (status, word) in [
        (Some(FindingStatus::New), "open"),
        (Some(FindingStatus::Active), "open"),
        (Some(FindingStatus::Reopened), "reopened"),
        (Some(FindingStatus::Fixed), "fixed"),
        (Some(FindingStatus::Ignored), "unknown"),
        (Some(FindingStatus::Disabled), "unknown"),
        (None, "open"),
    ] {
        let mut finding = full_finding();
        finding.set_status(status);
        let line = &made(&ecs(), &report(), &one(&full_asset(), &full_definition(), &finding)).lines()[0];
        assert_eq!(line["vulnerability"]["status"], word, "{status:?}");
        let own = line["scanbridge"]["finding"].get("status").and_then(Value::as_str);
        assert_eq!(own, status.map(FindingStatus::word));
        assert_eq!(line["event"].get("end").is_some(), status == Some(FindingStatus::Fixed));
    }
}

#[test]
fn score_is_of_the_newest_version_and_all_of_it() {
    for (cvss4, cvss3, cvss2, expected) in [
        ("9.0", "8.0", "7.0", json!({ "base": 9.0, "version": "4.0" })),
        ("-", "8.0", "7.0", json!({ "base": 8.0, "temporal": 8.1, "version": "3.1" })),
        ("", "", "7.0 (AV:N)", json!({ "base": 7.0, "temporal": 7.1, "version": "2.0" })),
        ("", "-", "high", Value::Null),
    ] {
        let mut definition = full_definition();
        for (field, text) in [
            (DefinitionField::Cvss4Base, cvss4),
            (DefinitionField::Cvss4Version, "4.0"),
            (DefinitionField::Cvss3Base, cvss3),
            (DefinitionField::Cvss3Temporal, "8.1"),
            (DefinitionField::Cvss3Version, "3.1"),
            (DefinitionField::CvssBase, cvss2),
            (DefinitionField::CvssTemporal, "7.1"),
        ] {
            definition.set(field, text);
        }
        let line = &made(&ecs(), &report(), &one(&full_asset(), &definition, &full_finding())).lines()[0];
        assert_eq!(line["vulnerability"]["score"], expected);
        assert_eq!(line["vulnerability"].get("classification").is_some(), !expected.is_null());
    }
}

#[test]
fn lists_are_unions_without_repeats() {
    let line = &made(&ecs(), &report(), &full()).lines()[0];
    assert_eq!(line["vulnerability"]["id"], json!(["CVE-2014-0160", "CVE-2014-0224", "CVE-2020-0001"]));
    let addresses = json!(["192.0.2.10", "2001:db8::10", "198.51.100.7", "203.0.113.7", "192.0.2.11"]);
    assert_eq!((&line["host"]["ip"], &line["related"]["ip"]), (&addresses, &addresses));
    assert_eq!(line["host"]["mac"], json!(["00-00-5E-00-53-01", "00-00-5E-00-53-02"]));
    let (mut definition, mut finding) = (full_definition(), full_finding());
    definition.set(DefinitionField::Cves, "");
    finding.set(FindingField::Cves, "");
    let line = &made(&ecs(), &report(), &one(&full_asset(), &definition, &finding)).lines()[0];
    assert_eq!(line["vulnerability"].get("id"), None);
    assert_eq!(line["vulnerability"].get("enumeration"), None);
}
