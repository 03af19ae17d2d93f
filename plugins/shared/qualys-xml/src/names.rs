//! Makes names and texts from outside safe to display.

use std::fmt;

/// Displays a text from a report in a message: short, on one line, without control characters.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// A longer text would hide the rest of the sentence.
const MAX_CHARACTERS: usize = 160;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.trim();
        for (count, c) in text.chars().enumerate() {
            if count == MAX_CHARACTERS {
                return f.write_str("…");
            }
            let plain = if c.is_whitespace() { ' ' } else { c };
            let plain = if plain.is_control() || is_hidden(plain) { '\u{FFFD}' } else { plain };
            std::fmt::Write::write_char(f, plain)?;
        }
        Ok(())
    }
}

/// Whether a character is invisible, or changes the direction of the text that follows.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn control_characters_are_replaced_and_length_is_limited() {
        assert_eq!(Shown(" a\n\x1b[2J\u{202E}b ").to_string(), "a \u{FFFD}[2J\u{FFFD}b");
        assert_eq!(Shown(&"x".repeat(500)).to_string().chars().count(), 161);
    }
}
