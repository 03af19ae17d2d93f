//! The entities of HTML.

use htmlize::{ENTITIES, ENTITY_MAX_LENGTH};

/// Decodes the entity whose text after the `&` is `after`. Returns its characters, perhaps in `buffer`, and the text
/// after its `;`. None for anything else: a lone `&` is common in URLs and is kept.
pub(crate) fn decode<'b, 'a>(after: &'a str, buffer: &'b mut [u8; 4]) -> Option<(&'b str, &'a str)> {
    let window = &after.as_bytes()[..after.len().min(ENTITY_MAX_LENGTH - 1)];
    let end = memchr::memchr(b';', window)?;
    let (name, rest) = (&after[..end], &after[end + 1..]);
    let text = match name.strip_prefix('#') {
        Some(number) => decode_number(number)?.encode_utf8(buffer),
        None => named(&window[..=end])?,
    };
    Some((text, rest))
}

/// The characters of an entity, given as `name;`.
fn named(name: &[u8]) -> Option<&'static str> {
    match name {
        // Nearly all, without the cost of the table.
        b"lt;" => return Some("<"),
        b"gt;" => return Some(">"),
        b"amp;" => return Some("&"),
        b"quot;" => return Some("\""),
        b"apos;" => return Some("'"),
        _ => {}
    }
    let mut entity = [b'&'; ENTITY_MAX_LENGTH];
    entity[1..=name.len()].copy_from_slice(name);
    let text = std::str::from_utf8(ENTITIES.get(&entity[..=name.len()])?).ok()?;
    // A plain space, because searches would not find text with a no-break space.
    Some(if text.trim().is_empty() { " " } else { text })
}

fn decode_number(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    // A number that is too large for a `u32` is not a character.
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    Some(match code {
        0 => char::REPLACEMENT_CHARACTER,
        0x80..=0x9F => WINDOWS_1252[code as usize - 0x80],
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    })
}

/// Authors write `&#146;` for a quotation mark. Browsers decode 128 to 159 as Windows-1252, and so does this crate.
const WINDOWS_1252: [char; 32] = [
    '€', ' ', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', ' ', 'Ž', ' ', ' ', '‘', '’', '“', '”',
    '•', '–', '—', '˜', '™', 'š', '›', 'œ', ' ', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_html_are_known() {
        for (after, text) in [
            ("lt;b", "<"),
            ("nbsp;b", " "),
            ("ensp;b", " "),
            ("NewLine;b", " "),
            ("szlig;b", "ß"),
            ("Zcaron;b", "Ž"),
            ("frac12;b", "½"),
            ("rightarrow;b", "→"),
            ("NotEqualTilde;b", "≂\u{338}"),
            ("CounterClockwiseContourIntegral;b", "∳"),
            ("#x00000000000000000000041;b", "A"),
        ] {
            assert_eq!(decode(after, &mut [0; 4]), Some((text, "b")), "{after}");
        }
    }

    #[test]
    fn other_texts_are_not_decoded() {
        for after in ["", ";", "lt", "lt b;", "LT ;", "notit;", "nosuch;", "amp=1;", "#;", "#-1;", "é;"] {
            assert_eq!(decode(after, &mut [0; 4]), None, "{after}");
        }
        let long = format!("{};", "a".repeat(ENTITY_MAX_LENGTH));
        assert_eq!(decode(&long, &mut [0; 4]), None);
    }
}
