//! A strict CEF reader, written from the standard and not from the encoder.

use std::collections::HashSet;

/// A line, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) version: String,
    /// Vendor, product, version, class id, name, severity.
    pub(crate) header: Vec<String>,
    pub(crate) extension: Vec<(String, String)>,
}

impl Event {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.extension.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.extension.iter().map(|(key, _)| key.as_str()).collect()
    }
}

/// Reads a line without its line feed. Rejects what the standard does not allow, and values that begin or end with a
/// space.
pub(crate) fn read(line: &str) -> Result<Event, String> {
    if let Some(invalid) = line.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(format!("raw control character {invalid:?}"));
    }
    let line = line.strip_prefix("CEF:").ok_or("no `CEF:`")?;
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while fields.len() < 8 {
        let last = fields.last_mut().expect("never empty");
        match chars.next() {
            Some('|') => fields.push(String::new()),
            Some('\\') => match chars.next() {
                Some(escaped @ ('\\' | '|')) => last.push(escaped),
                other => return Err(format!("escape of {other:?} in the header")),
            },
            Some(other) => last.push(other),
            None => return Err(format!("only {} header fields", fields.len() - 1)),
        }
    }
    fields.pop();
    if let Some(invalid) = fields.iter().find(|field| field.is_empty() || field.trim() != *field) {
        return Err(format!("header field {invalid:?}"));
    }
    let version = fields.remove(0);
    Ok(Event { version, header: fields, extension: read_extension(chars.as_str())? })
}

fn read_extension(text: &str) -> Result<Vec<(String, String)>, String> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    let mut pairs = Vec::new();
    // A key ends at each unescaped `=`; it begins after the last space before it.
    let bytes = text.as_bytes();
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'=' => ends.push(at),
            _ => {}
        }
        at += 1;
    }
    let starts: Vec<usize> =
        ends.iter().map(|end| text[..*end].rfind(' ').map_or(0, |space| space + 1)).collect();
    if starts.first().is_some_and(|start| *start != 0) {
        return Err("text before the first key".to_owned());
    }
    for (index, (start, end)) in starts.iter().zip(&ends).enumerate() {
        let value_end = starts.get(index + 1).map_or(text.len(), |next| next.saturating_sub(1));
        let value = text.get(end + 1..value_end).ok_or("a key inside a key")?;
        pairs.push((read_key(&text[*start..*end])?, read_value(value)?));
    }
    let mut seen = HashSet::new();
    match pairs.iter().find(|(key, _)| !seen.insert(key.clone())) {
        Some((duplicate, _)) => Err(format!("duplicate key {duplicate}")),
        None => Ok(pairs),
    }
}

fn read_key(key: &str) -> Result<String, String> {
    let name = key.strip_prefix("ad.").unwrap_or(key);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("key {key:?}"));
    }
    Ok(key.to_owned())
}

fn read_value(value: &str) -> Result<String, String> {
    if value.is_empty() || value.trim() != value {
        return Err(format!("value {value:?}"));
    }
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(next) = chars.next() {
        out.push(match next {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | '=')) => escaped,
                Some('n') => '\n',
                other => return Err(format!("escape of {other:?} in a value")),
            },
            other => other,
        });
    }
    Ok(out)
}

#[test]
fn malformed_lines_are_rejected() {
    assert_eq!(read(r"CEF:0|a|b\|\\|1|c|d|5|k=v\=\\\n w x2=|").unwrap().extension.len(), 2);
    for invalid in [
        "CEF:0|a|b|1|c|d|5",
        "CEF:0|a||1|c|d|5|",
        r"CEF:0|a|b|1|c\=|d|5|",
        "CEF:0|a|b|1|c|d|5|k=v k=w",
        "CEF:0|a|b|1|c|d|5|k= l=w",
        r"CEF:0|a|b|1|c|d|5|k=\t",
        "CEF:0|a|b|1|c|d|5|k=a\tb",
        "CEF:0|a|b|1|c|d|5|k_=a",
        "CEF:0|a|b|1|c|d|5|word k=a",
        "CEF:0|a|b|1|c|d|5|k=a==b",
    ] {
        assert!(read(invalid).is_err(), "{invalid}");
    }
}
