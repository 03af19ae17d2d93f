//! What must not be shown of a line that the YAML parser refuses. There is no tree, so the text decides: the values of
//! keys that may be secret, and what follows an open quote.

use std::ops::Range;

/// The part of the line at this offset that must be redacted. `is_secret` judges the name of a key.
pub(super) fn hidden_part(text: &str, at: usize, is_secret: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let line = &text[start..end];
    let whole = || Some(start + (line.len() - line.trim_start().len())..end);
    let quotes = Quotes::before(text, start);
    if quotes.is_open() || continues_secret(&text[..start], line, &is_secret) {
        return whole();
    }
    let parts = [secret_value(line, &is_secret), quotes.open_in(line), login(line)];
    let from = parts.into_iter().flatten().min()?;
    Some(start + from..end)
}

/// Offset of the first text that follows a secret word and a colon, an equals sign or a space.
fn secret_value(line: &str, is_secret: &impl Fn(&str) -> bool) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut rest = 0;
    while let Some(begin) = line[rest..].find(is_word) {
        let begin = rest + begin;
        let end = line[begin..].find(|c| !is_word(c)).map_or(line.len(), |length| begin + length);
        if is_secret(&line[begin..end]) {
            let value = line[end..].find(|c: char| !c.is_whitespace() && !":='\"".contains(c));
            return value.map(|skipped| end + skipped);
        }
        rest = end;
    }
    None
}

/// Offset of the login in a URL.
fn login(line: &str) -> Option<usize> {
    let from = line.find("://")? + 3;
    line[from..].contains('@').then_some(from)
}

/// Whether the line belongs to the value of a secret key above it: it is indented deeper, or follows the key and has no
/// key of its own.
fn continues_secret(before: &str, line: &str, is_secret: &impl Fn(&str) -> bool) -> bool {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t', '-', '\u{a0}']).len();
    let has_key = line.contains(':');
    let mut limit = indent(line);
    let mut is_previous = true;
    for above in before.lines().rev().filter(|line| !line.trim().is_empty()) {
        let depth = indent(above);
        let belongs = depth < limit || (is_previous && !has_key && depth <= limit);
        if belongs && secret_key(above, is_secret) {
            return true;
        }
        limit = limit.min(depth);
        is_previous = is_previous && !above.contains(':');
        if limit == 0 && !is_previous {
            return false;
        }
    }
    false
}

/// Whether a line contains a secret key.
fn secret_key(line: &str, is_secret: &impl Fn(&str) -> bool) -> bool {
    secret_value(&format!("{line} x"), is_secret).is_some()
}

/// The quote that is open at some point. A quote opens a value only where a value can begin.
#[derive(Clone, Copy)]
struct Quotes {
    open: Option<char>,
    /// Whether a value can begin here.
    begins: bool,
}

impl Quotes {
    fn before(text: &str, end: usize) -> Self {
        let mut quotes = Self { open: None, begins: true };
        let mut previous = '\n';
        let mut characters = text[..end].chars().peekable();
        let mut in_comment = false;
        while let Some(c) = characters.next() {
            if in_comment {
                in_comment = c != '\n';
            } else if quotes.open.is_none() && c == '#' && previous.is_whitespace() {
                in_comment = true;
            } else if quotes.skips_pair(c, characters.peek().copied()) {
                characters.next();
            } else {
                quotes.step(c);
            }
            previous = c;
        }
        quotes
    }

    fn is_open(self) -> bool {
        self.open.is_some()
    }

    /// Offset of the text after a quote that this line opens and does not close.
    fn open_in(mut self, line: &str) -> Option<usize> {
        let mut opened = None;
        let mut characters = line.char_indices().peekable();
        while let Some((index, c)) = characters.next() {
            if self.skips_pair(c, characters.peek().map(|(_, c)| *c)) {
                characters.next();
                continue;
            }
            let was_open = self.is_open();
            self.step(c);
            if self.is_open() && !was_open {
                opened = Some(index + c.len_utf8());
            }
        }
        opened.filter(|_| self.is_open())
    }

    /// Whether this character and the next one are an escape: `''` or `\"`.
    fn skips_pair(self, c: char, next: Option<char>) -> bool {
        match self.open {
            Some('\'') => c == '\'' && next == Some('\''),
            Some(_) => c == '\\',
            None => false,
        }
    }

    fn step(&mut self, c: char) {
        match self.open {
            Some(quote) => {
                if c == quote {
                    (self.open, self.begins) = (None, false);
                }
            }
            None if self.begins && (c == '\'' || c == '"') => self.open = Some(c),
            None if c == ' ' || c == '\t' => {}
            None => self.begins = ":-[{,\n".contains(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_secrets_and_open_quotes_are_hidden() {
        let is_secret = |key: &str| key.contains("pass");
        for (text, shown) in [
            ("- id: reports", "- id: reports"),
            ("a: it's b: c", "a: it's b: c"),
            ("path: {x", "path: {x"),
            ("password: abc", "password: ~"),
            ("password abc", "password ~"),
            ("{ id: a, \"password\": 'b, c', d: e", "{ id: a, \"password\": '~"),
            ("url: 'https://a", "url: '~"),
            ("url: 'a' b", "url: 'a' b"),
            ("url: https://u:p@host: x", "url: https://~"),
            ("url: 'it''s' b", "url: 'it''s' b"),
            ("url: 'a\n  b: c", "  ~"),
            ("password: |\n  first\n  second: x", "  ~"),
            ("password:\nabc", "~"),
            ("password: x\nother: y", "other: y"),
            ("  password: x\n  other: y", "  other: y"),
            ("with:\n  password: >-\n    a\n\n    b", "    ~"),
            ("# it's\nname: a: b", "name: a: b"),
        ] {
            let at = text.rfind('\n').map_or(0, |newline| newline + 1);
            let line = &text[at..];
            let found = match hidden_part(text, at, is_secret) {
                Some(hidden) => format!("{}~{}", &text[at..hidden.start], &text[hidden.end..]),
                None => line.to_owned(),
            };
            assert_eq!(found, shown, "{text}");
        }
    }
}
