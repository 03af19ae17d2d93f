//! Command lines: Perl's Text::CSV with `allow_whitespace`, as unmodified centers and a patched one read them.

use super::behavior::LineReader;

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Empty, one white-space character, or a comment.
    Ignored,
    /// Invalid: the center drops it silently.
    Unreadable,
    /// Its fields; the first one names the command.
    Fields(Vec<String>),
}

impl Line {
    pub(super) fn read(line: &[u8], reader: LineReader) -> Self {
        let first = line.iter().position(|byte| !byte.is_ascii_whitespace());
        if line.is_empty() || line.len() == 1 && first.is_none() || first.is_some_and(|at| line[at] == b'#') {
            return Self::Ignored;
        }
        let Some(fields) = readable(line, reader).and_then(fields) else { return Self::Unreadable };
        Self::Fields(match reader {
            LineReader::Stock => fields,
            LineReader::Tolerant => fields.iter().map(|field| percent_decoded(field)).collect(),
        })
    }
}

fn readable(line: &[u8], reader: LineReader) -> Option<&str> {
    let is_allowed = |byte: &u8| match reader {
        LineReader::Stock => (0x20..0x7f).contains(byte) || *byte == b'\t',
        LineReader::Tolerant => *byte != b'\r',
    };
    line.iter().all(is_allowed).then(|| std::str::from_utf8(line).ok()).flatten()
}

fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(SPACES);
        let (field, after) = match rest.strip_prefix('"') {
            Some(text) => quoted(text)?,
            None => bare(rest)?,
        };
        fields.push(field);
        let Some(after) = after else { return Some(fields) };
        rest = after;
    }
}

/// A quoted field and what follows its comma.
fn quoted(text: &str) -> Option<(String, Option<&str>)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        let Some(after_escape) = after.strip_prefix('"') else {
            rest = after.trim_start_matches(SPACES);
            break;
        };
        field.push('"');
        rest = after_escape;
    }
    match rest.strip_prefix(',') {
        Some(after) => Some((field, Some(after))),
        None => rest.is_empty().then_some((field, None)),
    }
}

fn bare(text: &str) -> Option<(String, Option<&str>)> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    (!field.contains('"')).then(|| (field.trim_end_matches(SPACES).to_owned(), after))
}

fn percent_decoded(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const SPACES: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(line: &str) -> Line {
        Line::read(line.as_bytes(), LineReader::Stock)
    }

    fn line_of(fields: &[&str]) -> Line {
        Line::Fields(fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn both_readers_accept_valid_lines() {
        for reader in [LineReader::Stock, LineReader::Tolerant] {
            let read = |line: &str| Line::read(line.as_bytes(), reader);
            assert_eq!(read(r#" A, b c ,"d,""e""" ,,'x"#), line_of(&["A", "b c", "d,\"e\"", "", "'x"]));
            assert_eq!(read(r"a\b"), line_of(&[r"a\b"]));
            assert_eq!(read("  "), line_of(&[""]));
            for ignored in ["", " ", "\t", "# a", "  #"] {
                assert_eq!(read(ignored), Line::Ignored, "{ignored:?}");
            }
            for invalid in ["a\r", r#"a"b"#, r#""a"b"#, r#""a"#, r#""a\"b""#] {
                assert_eq!(read(invalid), Line::Unreadable, "{invalid:?}");
            }
        }
    }

    #[test]
    fn only_the_patched_reader_accepts_other_bytes() {
        for (line, field) in [("é", "é"), ("%41%4", "A%4"), ("a\u{1}", "a\u{1}")] {
            assert_eq!(Line::read(line.as_bytes(), LineReader::Tolerant), line_of(&[field]));
        }
        for invalid in ["é", "a\u{7f}", "a\u{1}"] {
            assert_eq!(stock(invalid), Line::Unreadable);
        }
        assert_eq!(stock("%41"), line_of(&["%41"]));
    }
}
