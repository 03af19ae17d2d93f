//! Cleans, escapes and truncates an external text for a CEF line, in one pass over its bytes.
//!
//! Each control character becomes a space; a line break becomes `\n` in an extension and a space in the
//! header; what shows nothing is removed at both ends. A character that changes the direction of the text after it
//! becomes `�`: otherwise an operator reads another order than the bytes have. Limits count escaped bytes, the longest
//! of all ways in which a receiver may count.

use scanbridge_plugin_api::is_printable;
use wide::u8x16;

/// Result of writing a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EscapeResult {
    /// The cleaned text is empty; nothing was written.
    Empty,
    /// The complete text was written.
    Complete,
    /// The text was truncated and ends with `...`.
    Truncated,
}

/// The last bytes of every truncated text.
pub(crate) const TRUNCATION_MARK: &[u8] = b"...";

/// Appends a header field of at most `limit` bytes.
pub(crate) fn header(out: &mut Vec<u8>, text: &str, limit: usize) -> EscapeResult {
    encode::<b'|'>(out, text, limit)
}

/// Appends an extension value of at most `limit` bytes.
pub(crate) fn extension(out: &mut Vec<u8>, text: &str, limit: usize) -> EscapeResult {
    encode::<b'='>(out, text, limit)
}

/// The text without what shows nothing at its ends; empty if all of it shows nothing. CEF has its own rules, because a
/// receiver decodes them again; texts for messages use [`scanbridge_plugin_api::printable`].
pub(crate) fn trimmed(text: &str) -> &str {
    let shows = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if shows(text.as_bytes().first()) && shows(text.as_bytes().last()) {
        return text; // Nearly all texts.
    }
    let text = text.trim_matches(is_margin);
    if text.chars().all(is_blank) { "" } else { text }
}

/// Whether a character is removed at the ends of a text.
fn is_margin(character: char) -> bool {
    if character.is_ascii() {
        return character <= ' ' || character == '\u{7F}';
    }
    character.is_whitespace()
        || !is_printable(character)
        || matches!(
            character,
            '\u{AD}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'
                ..='\u{180F}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}'
        )
}

/// Whether a character shows nothing on its own. A variation selector changes the character before it.
fn is_blank(character: char) -> bool {
    is_margin(character) || matches!(character, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

fn encode<const DELIMITER: u8>(out: &mut Vec<u8>, text: &str, limit: usize) -> EscapeResult {
    let text = trimmed(text);
    if text.is_empty() {
        return EscapeResult::Empty;
    }
    // Each written byte replaces at most three read bytes, so everything after this offset is truncated in
    // any case.
    let text = &text.as_bytes()[..text.floor_char_boundary(3 * limit + 4)];
    let start = out.len();
    let written = copy::<DELIMITER>(out, text, limit);
    if written <= limit {
        return EscapeResult::Complete;
    }
    truncate_value(out, start, limit);
    EscapeResult::Truncated
}

/// Copies a text and replaces characters as needed; stops shortly after `limit` bytes. Returns the bytes
/// written.
///
/// Results are long and this is the innermost loop of the encoder, so it copies a vector of bytes at a time, and removes
/// what follows a stop.
fn copy<const DELIMITER: u8>(out: &mut Vec<u8>, text: &[u8], limit: usize) -> usize {
    let start = out.len();
    out.reserve(text.len().min(limit) + 2 * VECTOR);
    let mut rest = text;
    while out.len() - start <= limit {
        let Some((bytes, after)) = rest.split_first_chunk() else {
            copy_last::<DELIMITER>(out, rest);
            break;
        };
        out.extend_from_slice(bytes);
        let stops = stops::<DELIMITER>(bytes);
        if stops == 0 {
            rest = after;
            continue;
        }
        let plain = stops.trailing_zeros() as usize;
        out.truncate(out.len() - VECTOR + plain);
        rest = &rest[plain..];
        let replaced = match rest {
            // Nearly all stops of a long text.
            [b'\n', ..] => {
                out.extend_from_slice(line_break::<DELIMITER>());
                1
            }
            _ => replace::<DELIMITER>(out, rest),
        };
        rest = &rest[replaced..];
    }
    out.len() - start
}

/// The bytes of a vector.
const VECTOR: usize = 16;

/// Copies the end of a text, which is shorter than a vector.
fn copy_last<const DELIMITER: u8>(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let mut bytes = [0; VECTOR];
        bytes[..rest.len()].copy_from_slice(rest);
        // The padding is a stop.
        let plain = (stops::<DELIMITER>(&bytes).trailing_zeros() as usize).min(rest.len());
        let (plain, stopped) = rest.split_at(plain);
        out.extend_from_slice(plain);
        if stopped.is_empty() {
            return;
        }
        rest = &stopped[replace::<DELIMITER>(out, stopped)..];
    }
}

/// One bit for each byte that is a stop: escapes, control characters, the first bytes of U+0080 to U+009F, of U+2028 to
/// U+202E and of U+2066 to U+2069.
#[inline]
fn stops<const DELIMITER: u8>(bytes: &[u8; VECTOR]) -> u32 {
    let bytes = u8x16::new(*bytes);
    let equals = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let controls = bytes.min(u8x16::splat(0x1F)).simd_eq(bytes) | equals(0x7F);
    // 0xC2 and 0xE2 differ in this bit.
    let high = (bytes | u8x16::splat(0x20)).simd_eq(u8x16::splat(0xE2));
    (controls | equals(DELIMITER) | equals(b'\\') | high).to_bitmask()
}

/// Truncates the value that begins at `start` to `limit` bytes, including the mark.
fn truncate_value(out: &mut Vec<u8>, start: usize, limit: usize) {
    out.truncate(truncation_end(out, start, limit));
    out.extend_from_slice(TRUNCATION_MARK);
}

/// Offset at which to truncate the value that begins at `start`, so that it has at most `limit` bytes
/// including the mark: between two characters, never inside an escape.
pub(crate) fn truncation_end(out: &[u8], start: usize, limit: usize) -> usize {
    let mut end = start + limit - TRUNCATION_MARK.len();
    while end > start && out[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    // Each escape is a pair that begins with a backslash: after an odd number of them, `end` is inside a
    // pair.
    let backslashes = out[start..end].iter().rev().take_while(|byte| **byte == b'\\').count();
    end - backslashes % 2
}

/// Appends the replacement for the first bytes of `rest`, and returns how many bytes it replaces.
#[inline]
fn replace<const DELIMITER: u8>(out: &mut Vec<u8>, rest: &[u8]) -> usize {
    match *rest {
        [b'\r', b'\n', ..] => {
            out.extend_from_slice(line_break::<DELIMITER>());
            2
        }
        [b'\r' | b'\n', ..] => {
            out.extend_from_slice(line_break::<DELIMITER>());
            1
        }
        [0..=0x1F | 0x7F, ..] => {
            out.push(b' ');
            1
        }
        [byte, ..] if byte == b'\\' || byte == DELIMITER => {
            out.extend_from_slice(&[b'\\', byte]);
            1
        }
        [0xC2, 0x80..=0x9F, ..] => {
            out.push(b' ');
            2
        }
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => {
            out.push(b' ');
            3
        }
        // U+202A to U+202E and U+2066 to U+2069.
        [0xE2, 0x80, 0xAA..=0xAE, ..] | [0xE2, 0x81, 0xA6..=0xA9, ..] => {
            out.extend_from_slice("\u{FFFD}".as_bytes());
            3
        }
        // The first byte of a character that is not replaced; its other bytes are never stops.
        [byte, ..] => {
            out.push(byte);
            1
        }
        [] => 0,
    }
}

fn line_break<const DELIMITER: u8>() -> &'static [u8] {
    if DELIMITER == b'|' { b" " } else { b"\\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension_of(text: &str, limit: usize) -> (String, EscapeResult) {
        let mut out = Vec::new();
        let result = extension(&mut out, text, limit);
        (String::from_utf8(out).unwrap(), result)
    }

    fn header_of(text: &str) -> String {
        let mut out = Vec::new();
        header(&mut out, text, 1000);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn header_and_extension_escape_their_own_delimiters() {
        assert_eq!(extension_of("a=b|c\\d", 99).0, r"a\=b|c\\d");
        assert_eq!(header_of("a=b|c\\d"), r"a=b\|c\\d");
    }

    #[test]
    fn all_line_break_types_become_one_break() {
        assert_eq!(extension_of("a\nb\rc\r\nd", 99).0, r"a\nb\nc\nd");
        assert_eq!(header_of("a\nb\rc\r\nd"), "a b c d");
    }

    #[test]
    fn controls_become_spaces_and_ends_are_trimmed() {
        assert_eq!(extension_of("\t a\tb\0c\u{7f}d\u{85}e\u{2028}f\u{9f}g \r\n", 99).0, "a b c d e f g");
        assert_eq!(extension_of("\t\r\n \u{2029}\0", 99), (String::new(), EscapeResult::Empty));
    }

    #[test]
    fn neighbors_of_replaced_characters_are_unchanged() {
        let text = "\u{a0}\u{a1}\u{bf}\u{2027}\u{202f}\u{2065}\u{206a}\u{20ac}é\u{10ffff}x";
        assert_eq!(extension_of(text, 99).0, text.trim_start());
    }

    /// F-078: the nine characters that change the direction of a text are visible, wherever they are.
    #[test]
    fn direction_controls_become_visible() {
        for control in ('\u{202A}'..='\u{202E}').chain('\u{2066}'..='\u{2069}') {
            for before in 1..40 {
                let (text, shown) =
                    (format!("{}{control}b", "a".repeat(before)), format!("{}�b", "a".repeat(before)));
                assert_eq!(extension_of(&text, 99).0, shown);
                assert_eq!(header_of(&text), shown);
            }
            assert_eq!(extension_of(&format!("{control}a{control}"), 99).0, "a");
        }
        let hebrew = "\u{200F}שלום\u{200E} a";
        assert_eq!(extension_of(hebrew, 99).0, "שלום\u{200E} a", "marks inside a text are kept");
    }

    /// F-076: what shows nothing is absent.
    #[test]
    fn text_that_shows_nothing_is_empty() {
        for text in [
            "\u{feff}\u{200b}",
            "\u{200b}",
            " \u{a0}\u{3000} ",
            "\u{2060}\u{ad}",
            "\u{202e}\u{2066}",
            "\u{fe0f}",
            "\u{200b}\u{fe0f} ",
            "\u{180e}",
            "\u{3164}\u{115f}",
            "\u{2800}",
            "\u{e0041}",
            "\u{61c}",
            "\u{34f}",
            "\0\u{1f}",
            "\u{fff9}",
        ] {
            assert_eq!(extension_of(text, 99), (String::new(), EscapeResult::Empty), "{text:?}");
            assert_eq!(header_of(text), "", "{text:?}");
            // A variation selector changes the character before it, so it stays.
            if !text.contains('\u{fe0f}') {
                assert_eq!(extension_of(&format!("{text}a{text}"), 99).0, "a", "{text:?}");
            }
        }
        for text in ["\u{2764}\u{fe0f}", "-", "\u{301}", "a\u{200b}b", "\u{fffd}"] {
            assert_eq!(extension_of(text, 99).0, text);
        }
    }

    #[test]
    fn every_byte_is_replaced_at_every_position_of_a_word() {
        for (byte, position) in (0..=0x7f_u8).flat_map(|byte| (1..17).map(move |position| (byte, position))) {
            let replaced = match byte {
                b'\n' | b'\r' => "\\n".to_owned(),
                b'\\' | b'=' => format!("\\{}", char::from(byte)),
                0..0x20 | 0x7f => " ".to_owned(),
                _ => char::from(byte).to_string(),
            };
            for neighbor in ["x", "é", "𝄞"] {
                let (before, after) = (neighbor.repeat(position), neighbor.repeat(17 - position));
                let written = extension_of(&format!("{before}{}{after}", char::from(byte)), 99);
                assert_eq!(
                    written,
                    (format!("{before}{replaced}{after}"), EscapeResult::Complete),
                    "{byte:#x} at {position}"
                );
            }
        }
    }

    #[test]
    fn truncation_never_splits_an_escape_or_a_character() {
        assert_eq!(extension_of("=====", 10), (r"\=\=\=\=\=".to_owned(), EscapeResult::Complete));
        assert_eq!(extension_of("======", 10), (r"\=\=\=...".to_owned(), EscapeResult::Truncated));
        assert_eq!(extension_of(r"a\\\\\\\\", 10), (r"a\\\\\\...".to_owned(), EscapeResult::Truncated));
        assert_eq!(extension_of("ééééééé", 10), ("ééé...".to_owned(), EscapeResult::Truncated));
        assert_eq!(extension_of("a𝄞𝄞𝄞𝄞", 10), ("a𝄞...".to_owned(), EscapeResult::Truncated));
    }

    #[test]
    fn text_that_shrinks_below_the_limit_is_not_truncated() {
        let text = format!("a{}b", "\u{2028}".repeat(8));
        assert_eq!(extension_of(&text, 10), ("a        b".to_owned(), EscapeResult::Complete));
    }
}
