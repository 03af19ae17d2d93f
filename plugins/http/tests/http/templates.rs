//! The templates in `dist/destinations`: their columns are those of our records.

use std::collections::BTreeSet;

use scanbridge_doubles::http_destination::{HttpDestination, Sentinel, Tokens};
use scanbridge_plugin_api::batch::ColumnType;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};
use serde_json::{Value, json};

use crate::case::send;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn data_stream() -> Value {
    parsed(include_str!("../../../../dist/destinations/elasticsearch-data-stream.json"))
}

/// The columns of a table that have a type of their own, with the type in a mapping.
fn typed<F: Field>() -> Vec<(&'static str, &'static str)> {
    let mapped = |field: &F| match field.column_type() {
        ColumnType::Integer => Some("long"),
        ColumnType::Decimal => Some("double"),
        ColumnType::Time => Some("date"),
        ColumnType::Flag => Some("boolean"),
        _ => None,
    };
    F::ALL.iter().filter_map(|field| Some((F::NAMES[field.index()], mapped(field)?))).collect()
}

#[test]
fn index_templates_have_the_types_of_our_columns() {
    let template = data_stream();
    assert_eq!(template["index_patterns"], json!(["logs-scanbridge.finding-*"]));
    assert!(template["data_stream"].is_object());
    let mappings = &template["template"]["mappings"];
    for at in ["/properties", "/properties/scanbridge/properties"] {
        for (table, columns, names) in [
            ("asset", typed::<AssetField>(), AssetField::NAMES),
            ("definition", typed::<DefinitionField>(), DefinitionField::NAMES),
            ("finding", typed::<FindingField>(), FindingField::NAMES),
        ] {
            let properties =
                mappings.pointer(&format!("{at}/{table}/properties")).unwrap().as_object().unwrap();
            for (name, mapped) in columns {
                assert_eq!(properties[name]["type"], mapped, "{table}.{name}");
            }
            for name in properties.keys() {
                // The codes of a finding are not in the table of columns.
                let is_code = table == "finding" && ["port", "severity", "ssl"].contains(&name.as_str());
                assert!(is_code || names.contains(&name.as_str()), "{table}.{name} is unknown");
            }
        }
    }
    let index = parsed(include_str!("../../../../dist/destinations/elasticsearch-index.json"));
    assert_eq!(index["template"], template["template"]);
    assert!(index.get("data_stream").is_none());
}

#[test]
fn table_and_rule_of_sentinel_have_the_columns_of_a_row() {
    let table = parsed(include_str!("../../../../dist/destinations/sentinel-table.json"));
    let rule = parsed(include_str!("../../../../dist/destinations/sentinel-dcr.json"));
    let columns = &table["properties"]["schema"]["columns"];
    let rule = &rule["resources"][0]["properties"];
    let stream = format!("Custom-{}", table["properties"]["schema"]["name"].as_str().unwrap());
    assert_eq!(&rule["streamDeclarations"][&stream]["columns"], columns);
    assert_eq!(rule["dataFlows"][0]["streams"][0], stream.as_str());
    assert_eq!(rule["dataFlows"][0]["outputStream"], stream.as_str());

    let tokens = Tokens { life: 3600, ..Tokens::default() };
    let server = HttpDestination::start(Sentinel { tokens, ..Sentinel::default() });
    let options = json!({
        "preset": "sentinel", "url": server.url(), "oauth_token_url": format!("{}/token", server.url()),
        "oauth_client_id": "a", "oauth_client_secret": "b", "dcr": "dcr-1", "stream": stream,
    });
    send(&options, &["a", &"x".repeat(70_000)]).unwrap();
    let rows = server.with(|sentinel| sentinel.rows.clone());
    let mut seen = BTreeSet::new();
    for (_, row) in &rows {
        for (name, value) in row.as_object().unwrap() {
            let column = columns.as_array().unwrap().iter().find(|column| column["name"] == name.as_str());
            let expected = if value.is_object() { "dynamic" } else { "string" };
            let expected = if name == "TimeGenerated" { "datetime" } else { expected };
            assert_eq!(column.unwrap_or_else(|| panic!("no column {name}"))["type"], expected, "{name}");
            seen.insert(name.clone());
        }
    }
    assert_eq!(seen.len(), columns.as_array().unwrap().len(), "each column is used: {seen:?}");
}
