//! Names and texts from outside, made fit to be shown.

use std::fmt;

/// Shows a text from a report in a message: short, on one line, without anything that moves a cursor.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// More would hide the rest of the sentence.
const LONGEST: usize = 160;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.trim();
        for (count, c) in text.chars().enumerate() {
            if count == LONGEST {
                return f.write_str("…");
            }
            let plain = if c.is_whitespace() { ' ' } else { c };
            let plain = if plain.is_control() || is_hidden(plain) { '\u{FFFD}' } else { plain };
            std::fmt::Write::write_char(f, plain)?;
        }
        Ok(())
    }
}

/// Whether a character shows nothing, or turns the direction of what follows.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn nothing_from_outside_moves_a_cursor_or_fills_the_screen() {
        assert_eq!(Shown(" a\n\x1b[2J\u{202E}b ").to_string(), "a \u{FFFD}[2J\u{FFFD}b");
        assert_eq!(Shown(&"x".repeat(500)).to_string().chars().count(), 161);
    }
}
