//! Text that the Defense Center can read: one line of printable ASCII, quoted. It goes into commands, not into
//! messages: those use [`scanbridge_plugin_api::printable`].

use deunicode::deunicode_char;

/// A text that is being cleaned. It is transliterated to printable ASCII. White space and control characters become
/// single spaces, spaces at both ends are removed, and long text is truncated. The buffer is reused.
#[derive(Debug, Default)]
pub(crate) struct CleanText {
    text: String,
    /// White space was found since the last character.
    gap: bool,
    /// The position at which the truncation mark would begin.
    limit: usize,
    truncated: bool,
}

impl CleanText {
    /// Begins a text of at most `limit` characters.
    pub(crate) fn begin(&mut self, limit: usize) {
        self.text.clear();
        self.gap = false;
        self.truncated = false;
        self.limit = limit;
    }

    /// Adds a character; false when the limit is reached.
    pub(crate) fn push(&mut self, character: char) -> bool {
        if character.is_whitespace() || character.is_control() {
            self.gap = true;
        } else if character.is_ascii() {
            self.push_word(character.encode_utf8(&mut [0; 4]));
        } else {
            // A character without counterpart (private use, new symbols) becomes a visible placeholder.
            for character in deunicode_char(character).unwrap_or("?").chars() {
                match character {
                    '!'..='~' => self.push_word(character.encode_utf8(&mut [0; 4])),
                    _ => self.gap = true,
                }
            }
        }
        !self.truncated
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() && !self.truncated {
            // Nearly all texts are words of ASCII.
            let end = rest.bytes().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            self.push_word(word);
            let mut characters = after.chars();
            if let Some(character) = characters.next() {
                self.push(character);
            }
            rest = characters.as_str();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the text is longer than its limit.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The text, with `...` at its end when it was truncated.
    pub(crate) fn finish(&mut self) -> &str {
        if self.truncated {
            self.text.truncate(self.limit.saturating_sub(CUT_MARK.len()));
            self.text.truncate(self.text.trim_end().len());
            self.text.push_str(CUT_MARK);
            self.truncated = false;
        }
        &self.text
    }

    /// Adds printable ASCII without spaces.
    fn push_word(&mut self, word: &str) {
        let has_gap = self.gap && !self.text.is_empty();
        let room = self.limit.saturating_sub(self.text.len() + usize::from(has_gap));
        let kept = word.len().min(room);
        self.truncated |= kept < word.len();
        if kept == 0 {
            return;
        }
        if has_gap {
            self.text.push(' ');
        }
        self.gap = false;
        self.text.push_str(&word[..kept]);
    }
}

const CUT_MARK: &str = "...";

/// Writes a clean text as a quoted field. `text` is printable ASCII.
pub(crate) fn push_quoted(line: &mut String, text: &str) {
    line.push('"');
    push_quoted_part(line, text);
    line.push('"');
}

/// The length of a clean text as a quoted field.
pub(crate) fn quoted_length(text: &str) -> usize {
    2 + text.len() + escapes(text).count()
}

/// Writes the beginning of a clean text as a quoted field of at most `length` bytes, at least 5. It ends in `...`.
pub(crate) fn push_cut(line: &mut String, text: &str, length: usize) {
    let room = length.saturating_sub(2 + CUT_MARK.len());
    let mut used = 0;
    let fits = |index: &usize| {
        used += 1 + usize::from(escape(text.as_bytes(), *index).is_some());
        used <= room
    };
    let end = (0..text.len()).take_while(fits).count();
    line.push('"');
    push_quoted_part(line, text[..end].trim_end());
    line.push_str(CUT_MARK);
    line.push('"');
}

/// Writes a part of a quoted field.
fn push_quoted_part(line: &mut String, text: &str) {
    let mut copied = 0;
    for (index, escape) in escapes(text) {
        line.push_str(&text[copied..=index]);
        line.push(escape);
        copied = index + 1;
    }
    line.push_str(&text[copied..]);
}

/// The characters that must be followed by another one in a quoted field: where they are, and the other ones.
fn escapes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'"', b'%', bytes).filter_map(|index| Some((index, escape(bytes, index)?)))
}

/// The character that must follow this one in a quoted field. Quotes are doubled. Some Defense Centers decode `%41` to
/// `A`, so a space separates a percent sign from two hexadecimal digits.
fn escape(text: &[u8], index: usize) -> Option<char> {
    match text[index] {
        b'"' => Some('"'),
        b'%' if is_hex(text.get(index + 1)) && is_hex(text.get(index + 2)) => Some(' '),
        _ => None,
    }
}

fn is_hex(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str, limit: usize) -> String {
        let mut clean = CleanText::default();
        clean.begin(limit);
        clean.push_str(text);
        clean.finish().to_owned()
    }

    fn quoted(text: &str) -> String {
        let mut line = String::new();
        push_quoted(&mut line, text);
        line
    }

    #[test]
    fn texts_become_one_line_of_printable_ascii() {
        for (text, expected) in [
            ("  a\r\n\tb\u{0}\u{7f}c\u{a0} d ", "a b c d"),
            ("Überprüfung “x” – 5 ‰", "Uberprufung \"x\" - 5 %"),
            ("Ошибка", "Oshibka"),
            ("a\u{200b}b\u{e000}c", "a b?c"),
            ("", ""),
            (" \n ", ""),
        ] {
            assert!(clean(text, 100).starts_with(expected), "{text:?}: {:?}", clean(text, 100));
        }
    }

    #[test]
    fn long_texts_are_truncated_with_a_mark() {
        assert_eq!(clean("1234567890", 10), "1234567890");
        assert_eq!(clean("1234567890 ", 10), "1234567890");
        assert_eq!(clean("12345678901", 10), "1234567...");
        assert_eq!(clean("123456 7890", 10), "123456...");
        assert_eq!(clean("123456789 0", 10), "1234567...");
        assert_eq!(clean(&"ж".repeat(50), 10), "zhzhzhz...");
    }

    #[test]
    fn cut_fields_have_at_most_their_length_and_a_mark() {
        let text = r#"a "b" %41 %%4f ""c"#;
        assert_eq!(quoted_length(text), quoted(text).len());
        for length in 5..30 {
            let mut line = String::new();
            push_cut(&mut line, text, length);
            assert!(line.len() <= length && line.ends_with("...\""), "{length}: {line}");
            assert_eq!(line[1..line.len() - 1].matches('"').count() % 2, 0, "{line}");
        }
        let mut line = String::new();
        push_cut(&mut line, "%41", 8);
        assert_eq!(line, "\"%4...\"");
    }

    #[test]
    fn quotes_are_doubled_and_percent_codes_broken() {
        assert_eq!(quoted("a \"b\" \\ 'c'"), r#""a ""b"" \ 'c'""#);
        assert_eq!(quoted("%41 %4g %% 100%"), "\"% 41 %4g %% 100%\"");
        assert_eq!(quoted("%%41%fF"), "\"%% 41% fF\"");
    }
}
