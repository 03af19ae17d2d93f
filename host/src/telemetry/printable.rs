//! Text from other programs, made safe for a line of the log.

use std::borrow::Cow;

use scanbridge_plugin_api::is_printable;

/// The text with line breaks, control characters and hidden characters escaped, so that it can neither forge a log line
/// nor control the terminal. Unlike [`printable`](scanbridge_plugin_api::printable), it keeps the whole text and shows
/// which characters it had.
pub(crate) fn without_controls(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) { text.into() } else { text.escape_debug().to_string().into() }
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
            ("a\u{2028}b\u{FEFF}\u{200B}", "a\\u{2028}b\\u{feff}\\u{200b}"),
        ] {
            assert_eq!(without_controls(text), shown, "{text:?}");
        }
    }
}
