//! Java properties: `key=value` lines with continuation lines and `\uXXXX`.

/// A property, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: String,
    /// Number of its first line.
    pub(super) line: usize,
}

/// All properties of a text. A key can be there several times.
pub(super) fn properties(text: &str) -> Vec<Property> {
    let mut found = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start_matches(SPACES);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_odd_backslashes(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(SPACES)),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        found.push(Property { key: unescaped(key), value: unescaped(value), line: number + 1 });
    }
    found
}

const SPACES: [char; 3] = [' ', '\t', '\u{c}'];

fn ends_in_odd_backslashes(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// Splits at the first `=`, `:` or space that has no backslash before it.
fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !is_escaped && (matches!(c, '=' | ':') || SPACES.contains(c));
        is_escaped = !is_escaped && *c == '\\';
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(SPACES);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(SPACES))
}

fn unescaped(text: &str) -> String {
    // Characters outside the basic plane are two escapes.
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', None) => break,
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\u{c}',
            ('\\', Some('u')) => match code(rest.as_str()) {
                Some(code) => {
                    units.push(code);
                    rest.nth(3);
                    continue;
                }
                None => 'u',
            },
            (_, Some(other)) => other,
            (other, None) => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// The four hexadecimal digits that a text begins with.
fn code(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_of_a_property_is_read() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("a = b ", "a", "b "),
            ("  a:b", "a", "b"),
            ("a b=c", "a", "b=c"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("a==b", "a", "=b"),
            ("a\\=b=c", "a=b", "c"),
            ("a\\ b:c", "a b", "c"),
            ("a=b\\\n   c", "a", "bc"),
            ("a=b\\\\\nc=d", "a", "b\\"),
            ("a=b\\", "a", "b"),
            ("a=\\u00e4\\n", "a", "\u{e4}\n"),
            ("a=\\ud83d\\ude00", "a", "\u{1f600}"),
            ("a=\\u00g1", "a", "u00g1"),
            ("a=\\u+0e4", "a", "u+0e4"),
            ("a=C\\:\\\\x", "a", "C:\\x"),
            ("# c\n! d\n\na=b", "a", "b"),
        ] {
            let found = properties(text);
            assert_eq!((found[0].key.as_str(), found[0].value.as_str()), (key, value), "{text:?}");
        }
        let twice = properties("a=1\n\na=2\n");
        assert_eq!(twice.iter().map(|one| one.line).collect::<Vec<_>>(), [1, 3]);
    }

    proptest! {
        #[test]
        fn no_text_is_a_fault(text in any::<String>()) {
            let lines = text.split('\n').count();
            prop_assert!(properties(&text).len() <= lines);
        }
    }
}
