//! What the two standard formats have in common.

use std::collections::BTreeSet;

use scanbridge_columns::Table;
use scanbridge_json::Json;
use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder};
use scanbridge_plugin_api::model::{AssetField, FindingField, FindingKind, ReportSource, ReportStart};
use scanbridge_plugin_api::{Options, Output};
use serde_json::{Value, json};

use crate::reports::*;

/// The texts of a line, without the object under `rest`.
fn texts(line: &Value) -> String {
    line.to_string()
}

/// Every text of the model is somewhere in the line, as it was or as plain text.
#[test]
fn no_column_is_lost() {
    let native = &made(&json!({}), &report(), &full()).lines()[0];
    for format in ["ocsf", "ecs"] {
        let line = texts(&made(&json!({ "format": format }), &report(), &full()).lines()[0]);
        for table in ["asset", "definition", "finding", "report"] {
            for (name, value) in native[table].as_object().unwrap() {
                let mut found = std::collections::BTreeMap::new();
                paths(value, "", &mut found);
                for text in found.values().filter_map(Value::as_str).filter(|text| text.len() > 2) {
                    // Times of OCSF are numbers, addresses of ECS have hyphens, texts of HTML are plain.
                    let time = text.parse::<jiff::Timestamp>().map(|time| time.as_millisecond().to_string());
                    let is_other =
                        text.contains('<') || name == "macs" || time.is_ok_and(|time| line.contains(&time));
                    let is_word = ["vulnerability", "Fixed"].contains(&text);
                    let quoted = serde_json::to_string(text).unwrap();
                    assert!(
                        is_other || is_word || line.contains(&quoted),
                        "{format}: {table}.{name}: {text}"
                    );
                }
            }
        }
    }
}

#[test]
fn identity_of_a_finding_is_stable_and_distinguishes_findings() {
    let uid = |line: &Value| line["finding_info"]["uid"].as_str().unwrap().to_owned();
    let of = |change: &dyn Fn(&mut scanbridge_plugin_api::batch::FindingRow), asset: &AssetRow| {
        let mut finding = full_finding();
        finding.set(FindingField::UniqueId, "");
        change(&mut finding);
        let batch = one(asset, &full_definition(), &finding);
        let ocsf = uid(&made(&json!({ "format": "ocsf" }), &report(), &batch).lines()[0]);
        let ecs = made(&json!({ "format": "ecs" }), &report(), &batch).lines()[0]["event"]["id"].clone();
        assert_eq!(ecs, ocsf, "both formats have the same identity");
        ocsf
    };
    let first = of(&|_| (), &full_asset());
    // printf 'id\x1fasset.id\x1f\x1f38170\x1f443\x1ftcp\x1ffinding.fqdn\x1f1\x1ffinding.service\x1ffinding.instance\x1f' |
    // sha256sum
    assert_eq!(first, "433edfd5c82495a23964d8568ffa0769");
    let mut other_asset = AssetRow::default();
    other_asset.set(AssetField::Address, "192.0.2.10");
    let all = [
        first.clone(),
        of(&|row| row.set_port(444), &full_asset()),
        of(&|row| row.set_ssl(false), &full_asset()),
        of(&|row| row.set_ssl(None), &full_asset()),
        of(&|row| row.set(FindingField::Fqdn, "x"), &full_asset()),
        of(&|row| row.set(FindingField::Service, "x"), &full_asset()),
        of(&|row| row.set(FindingField::Instance, "x"), &full_asset()),
        of(&|_| (), &other_asset),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    for same in [
        of(&|row| row.set(FindingField::Result, "x"), &full_asset()),
        of(&|row| row.set(FindingField::LastFound, ""), &full_asset()),
    ] {
        assert_eq!(same, first, "the identity does not depend on what changes from scan to scan");
    }
    let named = made(&json!({ "format": "ocsf" }), &report(), &full());
    assert_eq!(uid(&named.lines()[0]), "finding.unique_id");
}

#[test]
fn information_and_services_are_left_out_of_ocsf_and_counted() {
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(&full_asset(), false);
    let definition = batch.push_definition(&full_definition());
    for kind in FindingKind::ALL {
        let mut finding = full_finding();
        finding.set_kind(kind);
        batch.push_finding(asset, definition, &finding);
    }
    let raw = batch.finish();
    let ocsf = made(&json!({ "format": "ocsf" }), &report(), &raw);
    assert_eq!((ocsf.lines().len(), &ocsf.written.left_out), (2, &vec![2, 3]));
    let note = "information and service findings left out: they are not vulnerabilities (`format: ocsf`)";
    assert_eq!(ocsf.notes.get(note), Some(&2), "{:?}", ocsf.notes);
    for format in ["ecs", "scanbridge"] {
        let made = made(&json!({ "format": format }), &report(), &raw);
        assert_eq!(
            (made.lines().len(), made.written.left_out.len(), made.notes.len()),
            (4, 0, 0),
            "{format}"
        );
    }
}

#[test]
fn lines_of_assets_are_only_for_the_native_format() {
    for format in ["ocsf", "ecs"] {
        let options = json!({ "path": "a", "format": format, "assets": true }).to_string();
        let error = Options::read(Json::OPTIONS, options.as_bytes()).unwrap_err();
        assert!(error.message.contains("`assets` has no effect with `format: "), "{error}");
    }
}

#[test]
fn required_values_stay_when_their_columns_are_left_out() {
    let leave_out = [
        "finding.severity",
        "finding.status",
        "definition.qid",
        "finding.result",
        "definition.solution",
        "finding.last_found",
    ];
    let last_found: jiff::Timestamp = token(Table::Finding, FindingField::LastFound).parse().unwrap();
    for format in ["ocsf", "ecs"] {
        let options = json!({ "format": format, "leave_out": leave_out });
        let line = &made(&options, &report(), &full()).lines()[0];
        let text = line.to_string();
        assert!(!text.contains("\"finding.result\"") && !text.contains("definition.solution"), "{text}");
        if format == "ocsf" {
            assert_eq!((&line["severity_id"], &line["activity_id"]), (&json!(4), &json!(3)));
            assert_eq!(line["time"], last_found.as_millisecond());
        } else {
            assert_eq!(line["@timestamp"], last_found.to_string());
        }
    }
}

#[test]
fn time_is_the_best_known_one() {
    let mut finding = full_finding();
    finding.set(FindingField::LastFound, "");
    let mut asset = full_asset();
    let time = |asset: &AssetRow, report: &ReportStart| {
        let raw = one(asset, &full_definition(), &finding);
        made(&json!({ "format": "ecs" }), report, &raw).lines()[0]["@timestamp"].as_str().unwrap().to_owned()
    };
    assert_eq!(time(&asset, &report()), token(Table::Asset, AssetField::LastScan));
    asset.set(AssetField::LastScan, "yesterday");
    assert_eq!(time(&asset, &report()), "2026-01-31T12:00:00Z");
    let before = jiff::Timestamp::now().as_second();
    let started: jiff::Timestamp = time(&asset, &report().with_time("")).parse().unwrap();
    assert!((before..=before + 60).contains(&started.as_second()), "{started}");
}

#[test]
fn report_of_another_scanner_has_its_own_ids() {
    let report = report().with_source(ReportSource::new("Acme", "Scanner", "acme"));
    let mut definition = full_definition();
    definition.set(scanbridge_plugin_api::model::DefinitionField::Cves, "");
    let mut finding = full_finding();
    finding.set(FindingField::Cves, "");
    let raw = one(&full_asset(), &definition, &finding);
    let ocsf = &made(&json!({ "format": "ocsf" }), &report, &raw).lines()[0];
    assert_eq!(ocsf["vulnerabilities"][0]["advisory"]["uid"], "38170");
    assert_eq!(ocsf["metadata"]["product"]["vendor_name"], "Acme");
    assert_eq!(ocsf["unmapped"]["definition"]["scheme"], "acme");
    let ecs = &made(&json!({ "format": "ecs" }), &report, &raw).lines()[0];
    assert_eq!((&ecs["rule"]["id"], &ecs["observer"]["vendor"]), (&json!("38170"), &json!("Acme")));
}
