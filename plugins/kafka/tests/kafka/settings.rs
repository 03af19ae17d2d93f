//! Options that contradict each other, the table of the README, and the rules of the plugin API for options.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scanbridge_kafka::{KafkaInput, KafkaOutput};
use scanbridge_plugin_api::ErrorKind;
use serde_json::{Value, json};

use crate::case::{input_for, output};
use crate::host::Installation;

/// With `UPDATE_DOCS=1` it writes them.
#[test]
fn readme_has_the_options() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    scanbridge_plugin_contract::readme(&Installation::new().describe(), &readme);
}

#[test]
fn wrong_values_are_refused_by_name() {
    let output = |topics: Value| {
        let mut output = json!({ "brokers": ["127.0.0.1:1"], "connect_timeout": 1000 });
        output.as_object_mut().unwrap().extend(topics.as_object().unwrap().clone());
        output
    };
    scanbridge_plugin_contract::wrong_option_values_of_output::<KafkaOutput>(
        &[
            output(json!({ "topic": "t", "format": "cef" })),
            output(json!({ "routes": { "t": "batch", "u": "cef", "v": "json" } })),
        ],
        &[
            ("topic", "characters of a name"),
            ("routes", "an empty map without `topic`"),
            ("assets", "the formats of `routes`"),
            ("additional_fields", "names of columns"),
            ("device_vendor", "texts without a visible character, and the length after escaping"),
            ("device_product", "texts without a visible character, and the length after escaping"),
            ("device_version", "texts without a visible character, and the length after escaping"),
        ],
    );
    let input = json!({ "brokers": ["127.0.0.1:1"], "topics": ["t"], "connect_timeout": 1000 });
    scanbridge_plugin_contract::wrong_option_values_of_input::<KafkaInput>(
        &[input],
        &[("topics", ""), ("dead_topic", "")],
    );
}

#[test]
fn contradictions_are_configuration_errors() {
    for (options, option) in [
        (json!({}), "topic"),
        (json!({ "topic": "a b" }), "topic"),
        (json!({ "topic": "t", "key": "none" }), "key"),
        (json!({ "topic": "t", "extra": { "enable.idempotence": "false" } }), "extra"),
        (json!({ "topic": "t", "extra": { "no.such.property": "1" } }), "extra"),
    ] {
        let error = output("127.0.0.1:1", &options).unwrap_err();
        assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some(option)), "{error}");
    }
    let error = input_for("run", "127.0.0.1:1", &json!({ "topics": ["../x"] })).err().unwrap();
    assert_eq!(error.option.as_deref(), Some("topics"));
}

/// The metrics that the plugin registers, from its source.
fn metrics() -> BTreeSet<String> {
    let (mut names, mut folders) = (BTreeSet::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let quoted = text.split('"').skip(1).step_by(2).filter(|text| text.starts_with("kafka_"));
            names.extend(quoted.map(str::to_owned));
        }
    }
    names
}

#[test]
fn metrics_are_in_the_manual() {
    let manual =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/monitoring.md")).unwrap();
    let rows =
        manual.lines().filter_map(|line| line.strip_prefix("| `scanbridge_plugin_")?.split('`').next());
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert!(metrics().len() > 8);
    assert_eq!(rows, metrics());
    let readme = include_str!("../../README.md");
    for name in metrics() {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}
