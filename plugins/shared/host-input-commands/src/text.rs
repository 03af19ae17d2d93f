//! Texts as the Defense Center can read them: one line of printable ASCII, quoted.

use deunicode::deunicode_char;

/// A text that is being cleaned: transliterated to printable ASCII, white space and control characters replaced by
/// single spaces, no space at either end, and truncated when it is too long. Its memory is reused for the next one.
#[derive(Debug, Default)]
pub(crate) struct CleanText {
    text: String,
    /// White space was found since the last character.
    gap: bool,
    /// Where the mark of a cut would begin.
    limit: usize,
    cut: bool,
}

impl CleanText {
    /// Begins a text of at most `limit` characters.
    pub(crate) fn begin(&mut self, limit: usize) {
        self.text.clear();
        self.gap = false;
        self.cut = false;
        self.limit = limit;
    }

    /// Adds a character; false when the limit is reached.
    pub(crate) fn push(&mut self, letter: char) -> bool {
        if letter.is_whitespace() || letter.is_control() {
            self.gap = true;
        } else if letter.is_ascii() {
            self.push_ascii(letter);
        } else {
            // What has no counterpart at all (private use, the newest signs) shows that something was there.
            for letter in deunicode_char(letter).unwrap_or("?").chars() {
                match letter {
                    '!'..='~' => self.push_ascii(letter),
                    _ => self.gap = true,
                }
            }
        }
        !self.cut
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        for letter in text.chars() {
            if !self.push(letter) {
                return;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text, with `...` at its end when it was truncated.
    pub(crate) fn finish(&mut self) -> &str {
        if self.cut {
            self.text.truncate(self.limit.saturating_sub(CUT_MARK.len()));
            self.text.truncate(self.text.trim_end().len());
            self.text.push_str(CUT_MARK);
            self.cut = false;
        }
        &self.text
    }

    fn push_ascii(&mut self, letter: char) {
        if self.text.len() + usize::from(self.gap) >= self.limit {
            self.cut = true;
            return;
        }
        if self.gap && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.gap = false;
        self.text.push(letter);
    }
}

const CUT_MARK: &str = "...";

/// Writes a clean text as a quoted field. `text` is printable ASCII.
pub(crate) fn push_quoted(line: &mut String, text: &str) {
    line.push('"');
    push_quoted_part(line, text);
    line.push('"');
}

/// Writes a part of a quoted field. Quotes are doubled. Some Defense Centers decode `%41` to `A`, so a space
/// separates a percent sign from two hexadecimal digits.
pub(crate) fn push_quoted_part(line: &mut String, text: &str) {
    let bytes = text.as_bytes();
    for (index, letter) in text.char_indices() {
        line.push(letter);
        match letter {
            '"' => line.push('"'),
            '%' if is_hex(bytes.get(index + 1)) && is_hex(bytes.get(index + 2)) => line.push(' '),
            _ => {}
        }
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
    fn long_texts_are_cut_with_a_mark_and_short_ones_are_not() {
        assert_eq!(clean("1234567890", 10), "1234567890");
        assert_eq!(clean("1234567890 ", 10), "1234567890");
        assert_eq!(clean("12345678901", 10), "1234567...");
        assert_eq!(clean("123456 7890", 10), "123456...");
        assert_eq!(clean("123456789 0", 10), "1234567...");
        assert_eq!(clean(&"ж".repeat(50), 10), "zhzhzhz...");
    }

    #[test]
    fn quotes_are_doubled_and_percent_codes_broken() {
        assert_eq!(quoted("a \"b\" \\ 'c'"), r#""a ""b"" \ 'c'""#);
        assert_eq!(quoted("%41 %4g %% 100%"), "\"% 41 %4g %% 100%\"");
        assert_eq!(quoted("%%41%fF"), "\"%% 41% fF\"");
    }
}
