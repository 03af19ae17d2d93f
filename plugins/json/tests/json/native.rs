//! `format: scanbridge`: every column under its name, each with one JSON type.

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, ReportSource, ReportStart,
};
use serde_json::{Value, json};

use crate::reports::*;

#[test]
fn line_with_all_columns() {
    let made = made(&json!({}), &report(), &full());
    insta::assert_snapshot!(serde_json::to_string_pretty(&made.lines()[0]).unwrap());
}

#[test]
fn every_column_of_the_model_is_written() {
    let line = &made(&json!({}), &report(), &full()).lines()[0];
    let has = |table: &str, name: &str| assert!(line[table].get(name).is_some(), "{table}.{name}: {line}");
    AssetField::NAMES.iter().for_each(|name| has("asset", name));
    FindingField::NAMES.iter().for_each(|name| has("finding", name));
    let definition = DefinitionField::NAMES.iter().map(|name| if *name == "id" { "qid" } else { name });
    definition.filter(|name| *name != "scheme").for_each(|name| has("definition", name));
}

/// The six scores of text, and every typed column, with cells that are not of the type.
#[test]
fn cell_that_is_not_of_its_type_is_left_out() {
    let mut definition = full_definition();
    let mut finding = full_finding();
    let mut asset = full_asset();
    let texts = ["-", "n/a", "9.3 ", "(AV:N)", "1e3", "true", "+1", "7,5"];
    for text in texts {
        let scores = ["cvss_base", "cvss_temporal", "cvss3_base", "cvss3_temporal"];
        for name in scores.iter().chain(&["cvss4_base", "severity", "patchable", "remote", "pci_flag"]) {
            let field = DefinitionField::ALL[DefinitionField::NAMES.iter().position(|n| n == name).unwrap()];
            definition.set(field, text);
        }
        for field in [
            FindingField::CvssFinal,
            FindingField::Cvss3Final,
            FindingField::Epss,
            FindingField::TimesFound,
            FindingField::KnownExploited,
            FindingField::DetectionScore,
        ] {
            finding.set(field, text);
        }
        asset.set(AssetField::RiskScore, text);
        let line = &made(&json!({}), &report(), &one(&asset, &definition, &finding)).lines()[0];
        let is_score = text == "9.3 ";
        for (table, name, may_be_score) in [
            ("definition", "cvss_base", true),
            ("definition", "cvss_temporal", true),
            ("definition", "cvss3_base", true),
            ("definition", "cvss3_temporal", true),
            ("definition", "cvss4_base", false),
            ("definition", "severity", false),
            ("definition", "patchable", false),
            ("finding", "cvss_final", true),
            ("finding", "cvss3_final", true),
            ("finding", "epss", false),
            ("finding", "times_found", false),
            ("finding", "known_exploited", false),
            ("asset", "risk_score", false),
        ] {
            let expected = (is_score && may_be_score).then(|| json!(9.3));
            assert_eq!(line[table].get(name), expected.as_ref(), "{table}.{name} {text}");
        }
    }
}

#[test]
fn report_of_another_scanner_names_vendor_and_product() {
    let report =
        report().with_source(ReportSource::new("Acme", "Scanner", "acme").with_product_version("2.1"));
    let line = &made(&json!({}), &report, &full()).lines()[0];
    assert_eq!(line["definition"]["id"], "38170");
    assert_eq!(line["definition"]["scheme"], "acme");
    assert_eq!(line["definition"].get("qid"), None);
    for (name, value) in [("vendor", "Acme"), ("product", "Scanner"), ("scanner_version", "2.1")] {
        assert_eq!(line["report"][name], value);
    }
}

#[test]
fn details_of_the_report_are_in_lines_of_assets_only() {
    let lines = made(&json!({ "assets": true }), &report(), &full()).lines();
    let details =
        json!([{ "name": "target", "value": "192.0.2.0/24" }, { "name": "asset_group", "value": "dmz" }]);
    assert_eq!(lines[0]["report"]["details"], details);
    assert!(lines[0]["finding"].is_null() && lines[0]["definition"].is_null());
    assert_eq!(lines[1]["report"].get("details"), None);
    assert_eq!(lines[1]["report"]["assets_total"], 256);
}

#[test]
fn columns_are_left_out_and_named_once() {
    let options = json!({ "leave_out": ["definition.diagnosis", "finding.result", "report.product_version", "finding.kind"] });
    let made = made(&options, &report(), &full());
    let line = &made.lines()[0];
    for (table, name) in [
        ("definition", "diagnosis"),
        ("finding", "result"),
        ("report", "scanner_version"),
        ("finding", "kind"),
    ] {
        assert_eq!(line[table].get(name), None, "{table}.{name}");
    }
    assert_eq!(line["definition"]["solution"], "definition.solution");
    let note = "columns left out (`leave_out`): definition.diagnosis, finding.result, report.scanner_version, finding.kind";
    assert_eq!(made.notes.get(note), Some(&1), "{:?}", made.notes);
}

/// The characters at which readers split lines, and the controls that a terminal interprets.
#[test]
fn line_is_one_line_for_every_reader() {
    let hostile: String =
        ('\u{80}'..='\u{9f}').chain(['\u{2028}', '\u{2029}', '\u{7f}', '\u{1b}', '\n', '\r']).collect();
    let mut finding = FindingRow::default();
    finding.set_kind(FindingKind::Vulnerability);
    finding.set(FindingField::Result, &hostile);
    finding.set(FindingField::Cves, &hostile.replace('\n', " "));
    let mut definition = DefinitionRow::default();
    definition.set(DefinitionField::Id, "1");
    definition.set(DefinitionField::Title, &hostile);
    let mut asset = AssetRow::default();
    asset.set(AssetField::Dns, &hostile);
    let report =
        ReportStart::default().with_title(hostile.clone()).with_source(ReportSource::new("Q", "Q", "qid"));
    for format in ["scanbridge", "ocsf", "ecs"] {
        let made = made(&json!({ "format": format }), &report, &one(&asset, &definition, &finding));
        let line = made.text.strip_suffix('\n').unwrap();
        let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
        assert!(line.chars().all(is_plain), "{format}: {line:?}");
        let mut found = std::collections::BTreeMap::new();
        paths(&made.lines()[0], "", &mut found);
        assert!(found.values().any(|value| value.as_str() == Some(hostile.as_str())), "{format}");
    }
}

/// Definitions are encoded once; a definition that changes is another one.
#[test]
fn findings_of_many_definitions_have_their_own_texts() {
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(&full_asset(), false);
    let text = "x".repeat(20_000);
    let mut expected = Vec::new();
    for round in 0..2 {
        for number in 0..300 {
            let mut definition = DefinitionRow::default();
            definition.set(DefinitionField::Id, &number.to_string());
            definition.set(DefinitionField::Title, &format!("{text}{}", number % 250 + round));
            let definition = batch.push_definition(&definition);
            batch.push_finding(asset, definition, &full_finding());
            expected.push(
                json!({ "qid": number.to_string(), "title": format!("{text}{}", number % 250 + round) }),
            );
        }
    }
    let lines = made(&json!({}), &report(), &batch.finish()).lines();
    let definitions: Vec<Value> = lines.into_iter().map(|line| line["definition"].clone()).collect();
    assert!(definitions == expected);
}
