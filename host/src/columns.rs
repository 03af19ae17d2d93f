//! Text that fits into columns of a terminal.

use textwrap::core::display_width;

/// The text in exactly this many columns.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let used = display_width(&text);
    text + &" ".repeat(columns.saturating_sub(used))
}

/// The text in at most this many columns; a cut is shown.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if display_width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if display_width(&short) >= columns {
            short.pop();
            break;
        }
    }
    short + "…"
}

/// Paragraphs in lines of at most this many columns.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let options = textwrap::Options::new(columns).word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}
