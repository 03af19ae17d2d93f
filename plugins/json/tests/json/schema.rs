//! The JSON Schema of a native line: made from the model, and checked with real lines by an independent reader.

use std::fs;
use std::process::Command;

use scanbridge_columns::{CellForm, REPORT_COLUMNS, Table};
use scanbridge_plugin_api::batch::{Column, ColumnType, Columns, FindingColumn, Schema};
use scanbridge_plugin_api::model::{AssetField, FindingField, FindingKind, ReportSource};
use serde_json::{Map, Value, json};

use crate::reports::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/line.schema.json");

fn type_of(form: CellForm) -> Value {
    let objects = |parts: &[&str]| {
        let properties: Map<_, _> =
            parts.iter().map(|part| ((*part).to_owned(), json!({ "type": "string" }))).collect();
        json!({ "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1 })
    };
    match form {
        CellForm::Text => json!({ "type": "string" }),
        CellForm::Integer => json!({ "type": "integer" }),
        CellForm::Decimal | CellForm::Score => json!({ "type": "number" }),
        CellForm::Flag => json!({ "type": "boolean" }),
        CellForm::List => json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        CellForm::Objects(parts) => json!({ "type": "array", "minItems": 1, "items": objects(parts) }),
        CellForm::Facts => {
            let fact = |kind: &str, parts: &[&str]| {
                let mut fact = objects(parts);
                fact["properties"]["fact"] = json!({ "const": kind });
                fact["required"] = json!(["fact"]);
                fact
            };
            let mut port = fact("open_port", &["protocol", "assigned", "detected"]);
            port["properties"]["port"] = json!({ "type": "integer", "minimum": 1, "maximum": 65535 });
            let kinds = [
                port,
                fact("operating_system", &["name", "technique"]),
                fact("name", &["name", "source"]),
                fact("other", &["text"]),
            ];
            json!({ "type": "array", "minItems": 1, "items": { "oneOf": kinds } })
        }
    }
}

fn object(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties })
}

/// The schema of a line, made from the model.
fn schema() -> Value {
    let columns = Columns::of(Schema::default());
    let of_table = |table: Table, columns: &[Column]| -> Map<String, Value> {
        columns.iter().map(|column| (column.name.clone(), type_of(CellForm::of(table, column)))).collect()
    };
    let Schema { assets, definitions, findings, .. } = columns.schema();
    let mut definition = of_table(Table::Definition, definitions);
    definition.insert("qid".to_owned(), json!({ "type": "string" }));
    let mut finding: Map<String, Value> = of_table(Table::Finding, findings);
    for (name, column) in columns.finding_columns() {
        if !matches!(column, FindingColumn::Cell(_)) {
            finding.insert(name.to_owned(), type_of(CellForm::of_code(name)));
        }
    }
    let words = |words: Vec<&str>| json!({ "enum": words });
    finding["kind"] = words(FindingKind::ALL.iter().map(|kind| kind.word()).collect());
    finding["status"] =
        words(scanbridge_plugin_api::model::FindingStatus::ALL.iter().map(|it| it.word()).collect());
    finding["severity"] = json!({ "type": "integer", "minimum": 1, "maximum": 5 });
    finding["port"] = json!({ "type": "integer", "minimum": 1, "maximum": 65535 });
    let report = REPORT_COLUMNS.iter().filter(|column| column.name != "product_version");
    let report = report.map(|column| (column.name.to_owned(), type_of(column.form))).collect();
    let or_null = |object: Value| json!({ "oneOf": [{ "type": "null" }, object] });
    let mut finding = object(finding);
    finding["required"] = json!(["kind"]);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of the output JSON of Scanbridge (format: scanbridge)",
        "description": "Columns of later versions and columns that an input adds may be present too. \
            `finding` and `definition` are null in lines of assets.",
        "type": "object",
        "properties": {
            "finding": or_null(finding),
            "definition": or_null(object(definition)),
            "asset": object(of_table(Table::Asset, assets)),
            "report": object(report),
        },
        "required": ["finding", "definition", "asset", "report"],
        "additionalProperties": false,
    })
}

/// `UPDATE_SCHEMA=1` writes the file.
#[test]
fn the_file_is_made_from_the_model() {
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(FILE, &text).unwrap();
    }
    let file: Value = serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
    assert!(file == schema(), "line.schema.json is out of date: run this test with UPDATE_SCHEMA=1");
}

/// Lines with all columns, with few, of assets, of another scanner, and with an own column.
fn real_lines() -> String {
    let mut lines = String::new();
    let kinds = FindingKind::ALL;
    lines += &made(&json!({ "assets": true }), &report(), &all(&kinds)).text;
    let foreign = report().with_source(ReportSource::new("Acme", "Scanner", "acme"));
    lines += &made(&json!({}), &foreign, &full()).text;
    let left_out = json!({ "leave_out": ["finding.result", "asset.other"] });
    lines += &made(&left_out, &report(), &full()).text;
    let mut asset = full_asset();
    let mut finding = full_finding();
    // Cells that are not of their form.
    for field in [AssetField::RiskScore, AssetField::TagIds, AssetField::Tags] {
        asset.set(field, "\t\n\n\t");
    }
    for field in
        [FindingField::Epss, FindingField::Ignored, FindingField::CvssFinal, FindingField::TimesFound]
    {
        finding.set(field, "-");
    }
    lines + &made(&json!({}), &report(), &one(&asset, &full_definition(), &finding)).text
}

/// The validator of Python. It must be installed where the tests decide about a merge.
#[test]
fn real_lines_are_valid_for_an_independent_validator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.ndjson");
    let lines = real_lines();
    fs::write(&path, &lines).unwrap();
    // A name that the schema does not know is an error here; and that the validator refuses something is checked too.
    let script = "import json, sys\n\
        import jsonschema\n\
        schema = json.load(open(sys.argv[1]))\n\
        tables = schema['properties']\n\
        for table in ('finding', 'definition'): tables[table]['oneOf'][1]['additionalProperties'] = False\n\
        for table in ('asset', 'report'): tables[table]['additionalProperties'] = False\n\
        cls = jsonschema.Draft202012Validator\n\
        cls.check_schema(schema)\n\
        validator = cls(schema)\n\
        lines = [json.loads(line) for line in open(sys.argv[2], encoding='utf-8')]\n\
        faults = [f'{list(e.absolute_path)}: {e.message[:300]}' for l in lines for e in validator.iter_errors(l)]\n\
        lines[0]['asset']['risk_score'] = 'high'\n\
        assert not validator.is_valid(lines[0])\n\
        print(len(lines), *faults[:20], sep='\\n')";
    if !python_has("jsonschema") {
        return;
    }
    let output = Command::new("python3").args(["-c", script, FILE]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim(), lines.lines().count().to_string(), "{printed}");
}

/// Whether Python has this module. Where the tests decide about a merge it must.
fn python_has(module: &str) -> bool {
    let found = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("CI").is_none(), "python3 with {module} is needed where CI is set");
    if !found {
        eprintln!("skipped: no python3 with {module}");
    }
    found
}

#[test]
fn types_are_those_of_the_columns() {
    let schema = schema();
    let property = |table: &str, name: &str| {
        let table = &schema["properties"][table];
        table.get("oneOf").map_or(table, |of| &of[1])["properties"][name]["type"].clone()
    };
    for (table, name, expected) in [
        ("definition", "cvss_base", "number"),
        ("definition", "compliance", "array"),
        ("finding", "known_exploited", "boolean"),
        ("finding", "ssl", "boolean"),
        ("asset", "last_scan", "string"),
        ("report", "duration_secs", "integer"),
    ] {
        assert_eq!(property(table, name), expected, "{table}.{name}");
    }
    let own = Column::new("acme:a", ColumnType::Decimal, "");
    assert_eq!(CellForm::of(Table::Finding, &own), CellForm::Decimal);
}
