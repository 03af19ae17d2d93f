//! Text from other programs, made safe for a line of a log or a terminal.

use std::borrow::Cow;

/// The text with line breaks, control characters and hidden characters escaped, so that it can neither forge a log line
/// nor control a terminal. Nothing is lost: the escapes show which characters it had.
#[must_use]
pub fn without_controls(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown.into()
}

/// Like [`without_controls`], but keeps line breaks: for texts of several lines that stand by themselves.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(without_controls).collect();
    lines.join("\n")
}

/// Whether a character may be shown as it is: it is not a control character, separates no lines, is not invisible, and
/// does not change the direction of the text that follows. The plugin API, on which this crate must not depend, has the
/// same rule; a test of the host compares them.
#[must_use]
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{061C}'
                | '\u{180E}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_hidden_characters_are_escaped_and_nothing_is_lost() {
        for (text, shown) in [
            ("Größe „1“ \\ \"x\"", "Größe „1“ \\ \"x\""),
            ("a\nERROR b\u{1b}[2J", "a\\nERROR b\\u{1b}[2J"),
            ("user\u{202E}nimda", "user\\u{202e}nimda"),
            ("a\u{2028}b\u{FEFF}\u{200B}\u{61C}", "a\\u{2028}b\\u{feff}\\u{200b}\\u{61c}"),
        ] {
            assert_eq!(without_controls(text), shown, "{text:?}");
        }
        assert_eq!(printable_lines("a\n\nb\r\n\u{1b}[2J\n"), "a\n\nb\n\\u{1b}[2J");
    }
}
