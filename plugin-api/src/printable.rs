//! Text from outside in a message.

use std::borrow::Cow;

/// Makes a text from outside fit for a message: one line, without characters that control a terminal or change how the
/// rest of the line reads, and of limited length.
///
/// White space, also line breaks, becomes one space, and is removed at both ends. A character that is not
/// [printable](is_printable) becomes `�`. Of a longer text the first `max_chars` characters remain, followed by `…`.
///
/// Names of files, responses of peers and texts of reports belong in messages only like this. It is not meant for data:
/// formats have rules of their own for what they escape.
///
/// ```
/// use scanbridge_plugin_api::printable;
///
/// assert_eq!(printable(" no such\nreport ", 100), "no such report");
/// assert_eq!(printable("a\u{1b}[2J\u{202E}b", 100), "a�[2J�b");
/// assert_eq!(printable("a long title", 6), "a long…");
/// ```
#[must_use]
pub fn printable(text: &str, max_chars: usize) -> Cow<'_, str> {
    let text = text.trim();
    let is_plain = |c: char| c == ' ' || (is_printable(c) && !c.is_whitespace());
    // A text has at most as many characters as bytes.
    if text.len() <= max_chars && text.chars().all(is_plain) && !text.contains("  ") {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut count, mut gap) = (String::new(), 0, false);
    for c in text.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        count += 1 + usize::from(gap);
        if count > max_chars {
            shown.push('…');
            break;
        }
        if std::mem::take(&mut gap) {
            shown.push(' ');
        }
        shown.push(if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER });
    }
    Cow::Owned(shown)
}

/// Whether a character may be shown as it is: it is not a control character, separates no lines, is not invisible, and
/// does not change the direction of the text that follows.
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_becomes_one_line_without_hidden_characters() {
        for (text, shown) in [
            ("", ""),
            (" \r\n\t", ""),
            ("a  b\u{a0}\u{2028}c\u{85}d", "a b c d"),
            ("\u{0}\u{7f}\u{9b}", "���"),
            ("user\u{202E}nimda\u{2066}\u{200B}\u{FEFF}\u{061C}\u{E0041}", "user�nimda�����"),
            ("Größe 1 € – “ok” \u{1F600}", "Größe 1 € – “ok” \u{1F600}"),
        ] {
            assert_eq!(printable(text, 100), shown, "{text:?}");
        }
    }

    #[test]
    fn length_is_limited_in_characters() {
        assert_eq!(printable("äöü", 3), "äöü");
        assert_eq!(printable("äöüß", 3), "äöü…");
        assert_eq!(printable("ab  cd", 3), "ab…", "a space before the cut is removed");
        assert_eq!(printable(&"x".repeat(500), 160).chars().count(), 161);
        assert_eq!(printable("x", 0), "…");
        assert!(matches!(printable("as it is", 100), Cow::Borrowed("as it is")));
    }

    proptest! {
        #[test]
        fn result_is_printable_and_stays_as_it_is(text in any::<String>(), max_chars in 0_usize..40) {
            let shown = printable(&text, max_chars);
            prop_assert!(shown.chars().all(|c| is_printable(c) && (c == ' ' || !c.is_whitespace())), "{:?}", shown);
            prop_assert!(shown.chars().count() <= max_chars + 1);
            prop_assert_eq!(shown.trim(), &*shown);
            prop_assert_eq!(printable(&shown, max_chars + 1), shown.clone());
        }
    }
}
