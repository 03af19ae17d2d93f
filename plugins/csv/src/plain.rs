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

/// Whether a byte is such a character or may be the first of one. This is done for every cell: a chunk is examined without
/// early exit, so that the compiler uses vector instructions.
fn may_have_controls(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks();
    let mut last = [b' '; CHUNK];
    last[..rest.len()].copy_from_slice(rest);
    chunks.iter().chain([&last]).any(|chunk| {
        // One comparison is enough for most cells: printable ASCII on one line.
        has(chunk, |byte| byte.wrapping_sub(b' ') > b'~' - b' ') && has(chunk, is_stop)
    })
}

const CHUNK: usize = 16;

fn has(chunk: &[u8; CHUNK], is_searched: impl Fn(u8) -> bool) -> bool {
    chunk.iter().fold(false, |found, byte| found | is_searched(*byte))
}

fn is_stop(byte: u8) -> bool {
    ((byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r'))
        | (byte == 0x7f)
        | (byte == 0xc2)
        | (byte == 0xe2)
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
