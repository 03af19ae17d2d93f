//! JSON Schema of pipeline files, for completion and validation in editors.

use scanbridge_plugin_api::{Descriptor, PluginKind};
use serde_json::{Map, Value, json};

use super::catalogue::Catalogue;
use super::host_options::properties;
use super::host_table::Scope;
use super::option_schema::describe;

/// The schema (draft 2020-12) of a pipeline file with the plugins of this catalogue. The options of each plugin are
/// under `$defs`, as `input.NAME` and `output.NAME`, so that a settings file can refer to its part only.
///
/// It is stricter than the check in one point: plugin names are case-sensitive.
#[must_use]
pub fn schema(catalogue: &dyn Catalogue) -> Value {
    let mut definitions = Map::new();
    definitions.insert("reference".to_owned(), reference());
    definitions.insert("filter".to_owned(), filter());
    for kind in [PluginKind::Input, PluginKind::Output] {
        let plugins: Vec<&Descriptor> =
            catalogue.names(kind).iter().filter_map(|name| catalogue.find(kind, name)).collect();
        for plugin in &plugins {
            definitions.insert(definition_name(plugin), options(plugin));
        }
        definitions.insert(kind.word().to_owned(), instance(kind, &plugins));
    }
    let mut keys = json!({
        "version": { "const": 1, "description": "Version of the pipeline file format. Must be 1." },
        "inputs": {
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/$defs/input" },
            "description": "Inputs of the pipeline. At least one.",
        },
        "filter": { "$ref": "#/$defs/filter" },
        "outputs": {
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/$defs/output" },
            "description": "Outputs of the pipeline. Each output receives all findings that pass its \
                            filters. At least one.",
        },
    });
    add(&mut keys, Scope::Run);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scanbridge pipeline",
        "type": "object",
        "required": ["version", "inputs", "outputs"],
        "additionalProperties": false,
        "properties": keys,
        "patternProperties": { "^x-": { "description": "A key of your own, which Scanbridge ignores." } },
        "$defs": definitions,
    })
}

fn definition_name(plugin: &Descriptor) -> String {
    format!("{}.{}", plugin.kind.word(), plugin.name)
}

fn instance(kind: PluginKind, plugins: &[&Descriptor]) -> Value {
    let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    let mut keys = json!({
        "id": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$",
            "description": "Unique name of this input or output, used in logs, summaries and state.",
        },
        "plugin": {
            "enum": names,
            "description": "Plugin name (case-insensitive); `scanbridge plugin list` shows them.",
        },
        "config": {
            "type": "string",
            "description": "Settings file with options of the plugin, relative to this file.",
        },
        "with": {
            "type": ["object", "null"],
            "description": "Options of the plugin; they override those from `config`.",
        },
    });
    match kind {
        PluginKind::Input => add(&mut keys, Scope::Input),
        PluginKind::Output => {
            add(&mut keys, Scope::Output);
            keys["filter"] = json!({ "$ref": "#/$defs/filter" });
        }
    }
    json!({
        "type": "object",
        "required": ["id", "plugin"],
        "additionalProperties": false,
        "properties": keys,
        "allOf": plugins.iter().map(|plugin| options_by_plugin(plugin)).collect::<Vec<_>>(),
    })
}

/// Required options may be in the settings file, so `with` must contain them only without `config`.
fn options_by_plugin(plugin: &Descriptor) -> Value {
    let required: Vec<&str> =
        plugin.options.iter().filter(|option| option.required).map(|option| option.name.as_str()).collect();
    let mut then = json!({
        "properties": {
            "with": { "anyOf": [
                { "$ref": format!("#/$defs/{}", definition_name(plugin)) },
                { "type": "null" },
            ] },
        },
    });
    if !required.is_empty() {
        then["anyOf"] = json!([
            { "required": ["config"] },
            { "required": ["with"], "properties": { "with": { "required": required } } },
        ]);
    }
    json!({ "if": { "properties": { "plugin": { "const": plugin.name } } }, "then": then })
}

fn options(plugin: &Descriptor) -> Value {
    let mut properties = Map::new();
    for option in &plugin.options {
        properties.insert(option.name.clone(), describe(option));
        for old in &option.deprecated_names {
            let mut value = describe(option);
            value["deprecated"] = json!(true);
            value["description"] = json!(format!("Deprecated; use `{}`.", option.name));
            properties.insert(old.clone(), value);
        }
    }
    json!({
        "title": format!("Options of {}", plugin.name),
        "description": plugin.summary,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Adds the host's own keys of a scope.
fn add(keys: &mut Value, scope: Scope) {
    for (key, value) in properties(scope) {
        keys[key] = value;
    }
}

fn reference() -> Value {
    json!({
        "type": "string",
        "pattern": "\\$\\{(env|file|credential):",
        "description": "${env:NAME}, ${env:NAME:-default}, ${file:PATH} or ${credential:NAME}.",
    })
}

fn filter() -> Value {
    json!({
        "type": ["object", "null"],
        "description": "Filter: only findings that match every condition are delivered. At the top level \
                        for all outputs, in an output for that one.",
        "additionalProperties": false,
        "properties": properties(Scope::Filter),
    })
}
