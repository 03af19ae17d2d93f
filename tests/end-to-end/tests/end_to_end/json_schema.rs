//! A validator for the part of JSON Schema that our own schemas use. An unknown keyword fails the test.

use serde_json::Value;

/// Panics with the place in the value that does not match the schema.
#[track_caller]
pub(crate) fn assert_valid(value: &Value, schema: &Value) {
    if let Err(problem) = validate(value, schema, "$") {
        panic!("{problem} in {value:#}");
    }
}

fn validate(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let is_valid = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            // Times only: their year is where RFC 3339 has it.
            "format" => value.as_str().is_none_or(|text| text.get(4..5) == Some("-")),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "oneOf" => {
                let schemas = rule.as_array().unwrap().iter();
                schemas.filter(|schema| validate(value, schema, at).is_ok()).count() == 1
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_of_type(value, name)),
                name => is_of_type(value, name),
            },
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || rule.as_array().unwrap().iter().all(has)
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.map(|(index, item)| validate(item, rule, &format!("{at}[{index}]"))).collect::<Result<
                    Vec<_>,
                    _,
                >>(
                )?;
                true
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    value
                        .get(name)
                        .map_or(Ok(()), |field| validate(field, schema, &format!("{at}.{name}")))?;
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, field) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    match rule {
                        Value::Bool(true) => {}
                        Value::Bool(false) => return Err(format!("{at} has the unknown field {name}")),
                        schema => validate(field, schema, &format!("{at}.{name}"))?,
                    }
                }
                true
            }
            other => panic!("the validator does not know {other}"),
        };
        if !is_valid {
            return Err(format!("{at} violates {keyword}: {rule}"));
        }
    }
    Ok(())
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("unknown type {other}"),
    }
}
