//! Characters that would make programs read the file as something else than a table.

use memchr::memchr2_iter;
use wide::u8x16;

/// The text with a space for each control character except tab and line breaks, and for the line separators U+0085,
/// U+2028 and U+2029: readers that split lines at them see one record as several, and a terminal that shows the file
/// would execute escape sequences. `scratch` has the result if the text changes.
pub(crate) fn without_controls<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    let bytes = text.as_bytes();
    if is_printable_ascii(bytes) || !has_controls(bytes) {
        return text;
    }
    scratch.clear();
    scratch.extend(text.chars().map(|c| if is_replaced(c) { ' ' } else { c }));
    scratch
}

fn is_replaced(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a text is the same as a cell, whatever the options are: printable ASCII without quotes and delimiters that
/// begins with a letter or digit. Most cells are, and need no other check.
#[inline]
pub(crate) fn is_plain(text: &str, delimiter: u8) -> bool {
    let is_plain = |bytes: u8x16| {
        let printable = at_most(bytes - u8x16::splat(b' '), b'~' - b' ');
        (!printable | equal(bytes, b'"') | equal(bytes, delimiter)).to_bitmask() == 0
    };
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && vectors(text.as_bytes()).all(is_plain)
}

/// Whether all bytes are printable ASCII, tabs or line feeds. Long results are, and need no other check.
fn is_printable_ascii(bytes: &[u8]) -> bool {
    const AFTER_LF: u8 = b'\n' + 1;
    let (mut least, mut least_after_lf, mut greatest) =
        (u8x16::splat(u8::MAX), u8x16::splat(u8::MAX), u8x16::splat(0));
    vectors(bytes).for_each(|bytes| {
        least = least.min(bytes);
        // LF and all before it come after the other bytes.
        least_after_lf = least_after_lf.min(bytes - u8x16::splat(AFTER_LF));
        greatest = greatest.max(bytes);
    });
    let controls = at_most(least, b'\t' - 1) | at_most(least_after_lf, b' ' - AFTER_LF - 1);
    (controls | !at_most(greatest, b'~')).to_bitmask() == 0
}

/// Whether a character is replaced.
fn has_controls(bytes: &[u8]) -> bool {
    let is_replaced =
        |at: usize| matches!(bytes[at..], [0xc2, 0x80..=0x9f, ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..]);
    let has_ascii_controls = vectors(bytes).any(|bytes| {
        let below_space = at_most(bytes, b' ' - 1);
        let kept = equal(bytes, b'\t') | equal(bytes, b'\n') | equal(bytes, b'\r');
        ((below_space & !kept) | equal(bytes, 0x7f)).to_bitmask() != 0
    });
    has_ascii_controls || memchr2_iter(0xc2, 0xe2, bytes).any(is_replaced)
}

fn at_most(bytes: u8x16, limit: u8) -> u8x16 {
    bytes.min(u8x16::splat(limit)).simd_eq(bytes)
}

fn equal(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// All bytes. The last vector overlaps the one before it; that of a short text is padded with digits.
#[inline]
fn vectors(bytes: &[u8]) -> impl Iterator<Item = u8x16> {
    let last = bytes.last_chunk().copied().unwrap_or_else(|| {
        let mut last = [b'0'; 16];
        last[..bytes.len()].copy_from_slice(bytes);
        last
    });
    bytes.as_chunks().0.iter().copied().chain([last]).map(u8x16::new)
}

/// Whether a file that begins with this cell may be read as another format: `ID` is the beginning of a SYLK file, the others
/// are of HTML, XML, RTF, JSON and PDF. Inside quotes they are not.
pub(crate) fn looks_like_another_format(cell: &str) -> bool {
    cell.starts_with("ID") || cell.starts_with(['<', '{', '%'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A plain text is not changed by any of the other steps.
        #[test]
        fn plain_text_needs_no_change(text in "[\\x20-\\x7e\u{e9}\t\n\r]{0,40}", delimiter in "[,;|\t]") {
            let delimiter = delimiter.as_bytes()[0];
            if is_plain(&text, delimiter) {
                let mut scratch = String::new();
                prop_assert_eq!(without_controls(&text, &mut scratch), &text);
                prop_assert!(!crate::formula::is_formula(&text));
                let mut rows = crate::row_buffer::RowBuffer::new(delimiter, false);
                rows.cell(&text);
                prop_assert_eq!(rows.rows(), text.as_bytes());
            }
        }
    }

    #[test]
    fn each_byte_is_examined_at_each_position() {
        for (byte, at) in (0..=0x7F_u8).flat_map(|byte| (1..40).map(move |at| (byte, at))) {
            let text = format!("{}{}{}", "a".repeat(at), char::from(byte), "b".repeat(40 - at));
            let is_ours = (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b';');
            assert_eq!(is_plain(&text, b';'), is_ours, "{byte:#x} at {at}");
        }
        assert!(!is_plain("caf\u{e9}", b','));
        assert!(!is_plain("=1", b','));
        assert!(!is_plain("", b','));
    }

    /// All characters, one by one.
    #[test]
    fn controls_and_line_separators_become_spaces() {
        let mut scratch = String::new();
        for c in '\0'..=char::MAX {
            let text = format!("a{c}b");
            let is_replaced = match c {
                '\t' | '\n' | '\r' => false,
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => true,
                _ => false,
            };
            let expected = if is_replaced { "a b" } else { &text };
            assert_eq!(without_controls(&text, &mut scratch), expected, "{c:?}");
        }
    }
}
