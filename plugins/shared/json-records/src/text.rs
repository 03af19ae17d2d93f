//! Encodes texts as JSON strings.

use wide::u8x16;

/// Appends a JSON string. Control characters, also U+007F to U+009F, and the line separators U+2028 and U+2029 are
/// escaped: readers that split lines at any of them find one line per record, and a terminal does not interpret them.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    let mut at = 0;
    while let Some(length) = next_stop(&bytes[at..]) {
        at += length;
        let (code, width) = match bytes[at..] {
            [0xc2, second @ 0x80..=0x9f, ..] => (u32::from(second), 2),
            [0xe2, 0x80, third @ (0xa8 | 0xa9), ..] => (0x2000 + u32::from(third) - 0x80, 3),
            // The first byte of another character.
            [0xc2 | 0xe2, ..] => {
                at += 1;
                continue;
            }
            [byte, ..] => (u32::from(byte), 1),
            [] => break,
        };
        out.extend_from_slice(&bytes[copied..at]);
        push_escape(out, code);
        at += width;
        copied = at;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// The position of the next byte at which the copying of a text stops: one that is escaped, or the first byte of longer
/// characters of which some are escaped.
fn next_stop(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks();
    let mut last = [b' '; CHUNK];
    last[..rest.len()].copy_from_slice(rest);
    let mut at = 0;
    for chunk in chunks.iter().chain([&last]) {
        match stops(chunk) {
            0 => at += CHUNK,
            stops => return Some(at + stops.trailing_zeros() as usize),
        }
    }
    None
}

const CHUNK: usize = 16;

/// One bit for each byte of the chunk that is a stop.
fn stops(chunk: &[u8; CHUNK]) -> u32 {
    let bytes = u8x16::new(*chunk);
    let equals = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let controls = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes) | equals(0x7f);
    // 0xC2 and 0xE2 differ in this bit.
    let high = (bytes | u8x16::splat(0x20)).simd_eq(u8x16::splat(0xe2));
    (controls | equals(b'"') | equals(b'\\') | high).to_bitmask()
}

fn push_escape(out: &mut Vec<u8>, code: u32) {
    let letter = match code {
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        0x22 => b'"',
        0x5c => b'\\',
        _ => {
            let digit = |shift: u32| b"0123456789abcdef"[(code >> shift & 0xf) as usize];
            out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    /// All characters, one by one: what is read is what was written, and no separator or control remains.
    #[test]
    fn every_character_is_read_back_and_no_control_remains() {
        for c in '\0'..=char::MAX {
            let text = format!("a{c}b");
            let json = encoded(&text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text, "{c:?}");
            let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
            assert!(json.chars().all(is_plain), "{c:?}");
            let is_escaped = c.is_control() || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}');
            assert_eq!(json.contains('\\'), is_escaped, "{c:?}");
        }
    }

    #[test]
    fn separators_and_controls_are_escaped() {
        for (text, json) in [
            ("a\u{2028}b\u{2029}", r#""a\u2028b\u2029""#),
            ("\u{85}\u{9b}\u{7f}", r#""\u0085\u009b\u007f""#),
            ("\"\\\u{8}\t\n\u{c}\r\u{1b}", r#""\"\\\b\t\n\f\r\u001b""#),
            ("“ok” € £ \u{a0}", "\"“ok” € £ \u{a0}\""),
            ("", r#""""#),
        ] {
            assert_eq!(encoded(text), json);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in "[\\x00-\\x24\\\\\\x7f-\\xa1\\u{2020}-\\u{2030}a€💥]{0,40}") {
            prop_assert_eq!(serde_json::from_str::<String>(&encoded(&text)).unwrap(), text);
        }
    }
}
