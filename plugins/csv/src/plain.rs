//! Characters that would make programs read the file as something else than a table.

/// The text with a space for each control character except tab and line breaks, and for the line separators U+0085,
/// U+2028 and U+2029: readers that split lines at them see one record as several, and a terminal that shows the file
/// would execute escape sequences. `scratch` has the result if the text changes.
pub(crate) fn without_controls<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    if !may_have_controls(text.as_bytes()) || !text.contains(is_replaced) {
        return text;
    }
    scratch.clear();
    scratch.extend(text.chars().map(|c| if is_replaced(c) { ' ' } else { c }));
    scratch
}

fn is_replaced(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a byte is such a character or may be the first of one. Without early exit, so that the compiler can compare many
/// bytes at a time: this is done for every cell.
fn may_have_controls(bytes: &[u8]) -> bool {
    let is = u8::from;
    let is_stop = |byte: u8| {
        (is(byte < b' ') & is(byte != b'\t') & is(byte != b'\n') & is(byte != b'\r'))
            | is(byte == 0x7f)
            | is(byte == 0xc2)
            | is(byte == 0xe2)
    };
    // One comparison is enough for most cells: printable ASCII on one line.
    let is_other = |byte: u8| is(byte.wrapping_sub(b' ') > b'~' - b' ');
    bytes.iter().fold(0, |found, byte| found | is_other(*byte)) != 0
        && bytes.iter().fold(0, |found, byte| found | is_stop(*byte)) != 0
}

/// Whether a file that begins with this cell may be read as another format: `ID` is the beginning of a SYLK file, the others
/// are of HTML, XML, RTF, JSON and PDF. Inside quotes they are not.
pub(crate) fn looks_like_another_format(cell: &str) -> bool {
    cell.starts_with("ID") || cell.starts_with(['<', '{', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

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
