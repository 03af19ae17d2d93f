//! Characters of names and texts from outside: which ones are allowed, and how they are displayed.

use std::fmt;

use scanbridge_plugin_api::printable;

/// Displays a text from a report in a message: short, on one line, without control characters.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// A longer text would hide the rest of the sentence.
const MAX_CHARACTERS: usize = 160;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(self.0, MAX_CHARACTERS))
    }
}

/// Whether XML 1.0 allows a character.
pub(crate) fn is_xml_character(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
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
