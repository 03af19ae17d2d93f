//! JSON Schema of one option: a key of the host, or an option of a plugin.

use scanbridge_plugin_api::{OptionDescriptor, OptionKind, show_duration};
use serde_json::{Value, json};

/// The schema of one option, with its description and default.
pub(super) fn describe(option: &OptionDescriptor) -> Value {
    let mut value = json!({ "anyOf": [kind(&option.kind), { "$ref": "#/$defs/reference" }] });
    value["description"] = json!(option.help);
    if let Some(default) = option.default.as_ref().filter(|_| !option.secret) {
        value["default"] = match (&option.kind, default.as_u64()) {
            // A number needs a unit.
            (OptionKind::Duration { .. }, Some(ms)) => json!(show_duration(ms)),
            _ => default.clone(),
        };
    }
    if option.secret {
        value["writeOnly"] = json!(true);
    }
    value
}

fn kind(kind: &OptionKind) -> Value {
    match kind {
        OptionKind::Flag => flag(),
        OptionKind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        OptionKind::Size { min, max } => json!({ "anyOf": [
            { "type": "integer", "minimum": min, "maximum": max },
            { "type": "string", "pattern": "^[0-9]+ *([KkMmGgTtPp][Ii]?[Bb]|[Bb])?$" },
        ] }),
        OptionKind::Duration { .. } => {
            json!({ "type": "string", "pattern": "^ *[0-9]+ *([Mm][Ss]|[Ss]|[Mm][Ii][Nn]|[Hh]|[Dd]) *$" })
        }
        // An empty text counts as not set.
        OptionKind::Endpoint { .. } => json!({ "type": "string", "pattern": "^[^/ ]*$" }),
        OptionKind::Url { default_scheme: Some(_), .. } => json!({ "type": "string" }),
        OptionKind::Url { schemes, .. } => {
            json!({ "type": "string", "pattern": format!("^$|^({})://", schemes.join("|")) })
        }
        // Text is read as written, so that unquoted 007 is text too.
        OptionKind::Text | OptionKind::Path => json!({ "type": ["string", "number", "boolean"] }),
        OptionKind::Choice { words } => json!({ "enum": words }),
        OptionKind::List { of } => json!({ "anyOf": [
            { "type": "array", "items": self::kind(of) },
            { "type": ["string", "number"] },
        ] }),
        OptionKind::Map { of } => json!({ "anyOf": [
            { "type": "object", "additionalProperties": self::kind(of) },
            { "type": "array", "items": { "type": "string", "pattern": "=" } },
            { "type": "string" },
        ] }),
    }
}

fn flag() -> Value {
    json!({ "anyOf": [
        { "type": "boolean" },
        { "enum": ["y", "n", "yes", "no", "on", "off", "Y", "N", "Yes", "No", "On", "Off", "YES", "NO", "ON", "OFF"] },
    ] })
}
