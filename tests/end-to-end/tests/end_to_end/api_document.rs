//! The description of the HTTP API, `docs/api.yaml`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::installation::project_file;

/// The document with all references replaced by what they refer to.
pub(crate) fn document() -> Value {
    let text = fs::read_to_string(project_file("docs/api.yaml")).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    resolved(&document, &document)
}

fn resolved(value: &Value, document: &Value) -> Value {
    match value {
        Value::Object(fields) => match fields.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let target = document.pointer(reference.strip_prefix('#').unwrap());
                resolved(target.unwrap_or_else(|| panic!("{reference}")), document)
            }
            None => fields.iter().map(|(name, value)| (name.clone(), resolved(value, document))).collect(),
        },
        Value::Array(items) => items.iter().map(|item| resolved(item, document)).collect(),
        other => other.clone(),
    }
}

/// All paths with their methods, in lower case.
pub(crate) fn routes(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        methods.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
    });
    routes.collect()
}
