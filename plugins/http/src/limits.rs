//! The size limit of a value in Log Analytics.

use serde_json::{Map, Value};

/// Maximum size of the value of a column, in bytes. Log Analytics truncates at 64 KiB without a mark.
const MAX_VALUE: usize = 60 << 10;
/// Ends a truncated text.
const MARK: &str = "...";
/// The column that names what was truncated.
const TRUNCATED: &str = "ScanbridgeTruncated";

/// Truncates the values of the object that begins at `start`, the longest texts of each column first, and adds a column
/// that names them. Returns how many texts were truncated. Objects are short, with rare exceptions.
pub(crate) fn limit_values(out: &mut Vec<u8>, start: usize) -> u64 {
    if out.len() - start <= MAX_VALUE {
        return 0;
    }
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(&out[start..]) else { return 0 };
    let mut names = Vec::new();
    for (column, value) in &mut object {
        let mut excess = length(value).saturating_sub(MAX_VALUE);
        while excess > 0 && truncate_longest(value, excess, column, &mut names) {
            excess = length(value).saturating_sub(MAX_VALUE);
        }
    }
    if names.is_empty() {
        return 0;
    }
    let count = names.len() as u64;
    object.insert(TRUNCATED.to_owned(), names.join(",").into());
    out.truncate(start);
    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
    count
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

/// Shortens the longest text in a value by at least `excess` bytes, if it has so many. False if no text can be shortened.
fn truncate_longest(value: &mut Value, excess: usize, column: &str, names: &mut Vec<String>) -> bool {
    let Some(path) = longest(value, String::new()).map(|(_, path)| path) else { return false };
    let Some(Value::String(text)) = value.pointer_mut(&path) else { return false };
    let mut end = text.len().saturating_sub(excess + MARK.len()).max(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end + MARK.len() >= text.len() {
        return false;
    }
    text.truncate(end);
    text.push_str(MARK);
    let name = format!("{column}{}", path.replace('/', "."));
    if !names.contains(&name) {
        names.push(name);
    }
    true
}

/// The longest text in a value, with its JSON pointer.
fn longest(value: &Value, path: String) -> Option<(usize, String)> {
    let inner = |(key, value): (String, &Value)| {
        longest(value, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")))
    };
    match value {
        Value::String(text) => Some((text.len(), path)),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).filter_map(inner).max()
        }
        Value::Object(object) => object.iter().map(|(key, item)| (key.clone(), item)).filter_map(inner).max(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_texts_of_a_column_are_truncated_and_named() {
        let long = "ä".repeat(50_000);
        let object = serde_json::json!({
            "RecordId": "1",
            "definition": { "title": "t", "diagnosis": long, "solution": "s".repeat(40_000) },
            "asset": { "address": "192.0.2.1" },
        });
        let mut out = b"[".to_vec();
        out.extend_from_slice(object.to_string().as_bytes());
        assert_eq!(limit_values(&mut out, 1), 1);
        let limited: Value = serde_json::from_slice(&out[1..]).unwrap();
        assert!(limited["definition"].to_string().len() <= MAX_VALUE);
        assert!(limited["definition"]["diagnosis"].as_str().unwrap().ends_with("ä..."));
        assert_eq!(limited["definition"]["solution"].as_str().unwrap().len(), 40_000);
        assert_eq!(limited[TRUNCATED], "definition.diagnosis");
        assert_eq!(limited["asset"], object["asset"]);

        let mut short = b"{\"a\":\"b\"}".to_vec();
        assert_eq!((limit_values(&mut short, 0), short.as_slice()), (0, &b"{\"a\":\"b\"}"[..]));
    }

    #[test]
    fn value_without_texts_stays() {
        let numbers = format!("{{\"n\":[{}0]}}", "1234567890,".repeat(7_000));
        let mut out = numbers.clone().into_bytes();
        assert_eq!((limit_values(&mut out, 0), out), (0, numbers.into_bytes()));
    }
}
