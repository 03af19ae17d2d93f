//! Writes YAML scalars.

/// A text as a scalar: plain if it consists of ASCII characters without a meaning in YAML, otherwise in quotes.
pub(crate) fn scalar(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte);
    let begins_plain = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
    let is_null = text.eq_ignore_ascii_case("null");
    if begins_plain && !is_null && text.bytes().all(is_plain) && !text.ends_with(':') {
        return text.to_owned();
    }
    if text.chars().all(is_allowed) { format!("'{}'", text.replace('\'', "''")) } else { double_quoted(text) }
}

/// A text in double quotes. A JSON string is a double-quoted YAML scalar, except for characters that YAML does not allow
/// unescaped.
pub(crate) fn double_quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let escape = |c: char| if is_allowed(c) { String::from(c) } else { format!("\\U{:08x}", u32::from(c)) };
    json.chars().map(escape).collect()
}

/// Whether a character may be in quotes without an escape.
fn is_allowed(c: char) -> bool {
    matches!(c, ' '..='~') || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{self, Written};

    #[test]
    fn every_character_is_quoted_unchanged() {
        for (typed, expected) in [
            ("p\u{e4}ss", "\"p\u{e4}ss\""),
            ("a\u{7f}b\u{85}\u{2028}", r#""a\U0000007fb\U00000085\U00002028""#),
            ("\u{feff}\t\u{1}", r#""\U0000feff\t\u0001""#),
        ] {
            assert_eq!(double_quoted(typed), expected);
        }
        for (typed, expected) in [
            ("out/a.csv", "out/a.csv"),
            ("", "''"),
            ("null", "'null'"),
            ("it's", "'it''s'"),
            ("a: b", "'a: b'"),
            ("a\nb", r#""a\nb""#),
        ] {
            assert_eq!(scalar(typed), expected);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in any::<String>()) {
            for quoted in [scalar(&text), double_quoted(&text)] {
                let document = config::read_text(Path::new("p"), &format!("key: {quoted}\n")).unwrap();
                let value = document.written().into_entries().remove(0).value;
                prop_assert!(value == Written::Text(text.clone()), "{:?} as {}", text, quoted);
            }
        }
    }
}
