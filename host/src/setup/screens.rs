//! Texts of the wizard.

use crate::columns::wrapped;

/// The page of the manual that is the first screen.
pub(crate) const WHAT_TO_HAVE_READY: &str = include_str!("../../../docs/what-to-have-ready.md");

/// A page of the manual for a terminal: each paragraph and list item in lines of at most this many columns.
pub(super) fn screen(page: &str, columns: usize) -> String {
    let mut text = String::new();
    for block in blocks(page) {
        let heading = block.starts_with('#');
        if heading || !block.starts_with("- ") {
            text.push('\n');
        }
        let (indent, block) =
            if block.starts_with("- ") { ("  ", block.as_str()) } else { ("", block.as_str()) };
        let options = textwrap::Options::new(columns)
            .subsequent_indent(indent)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        text += &textwrap::fill(block.trim_start_matches('#').trim_start(), options);
        text.push('\n');
    }
    text
}

/// Headings, paragraphs and list items, each in one line.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut continues = false;
    for line in page.lines() {
        let begins = line.starts_with('#') || line.starts_with("- ");
        match blocks.last_mut().filter(|_| continues && !begins && !line.is_empty()) {
            Some(block) => {
                block.push(' ');
                block.push_str(line.trim());
            }
            None if !line.is_empty() => blocks.push(line.to_owned()),
            None => {}
        }
        continues = !line.is_empty() && !line.starts_with('#');
    }
    blocks
}

/// The name and help of something that is asked for.
pub(super) fn heading(name: &str, help: &str, columns: usize) -> String {
    let help = if help.is_empty() { String::new() } else { wrapped(help, columns) + "\n" };
    format!("\n{}\n{help}", wrapped(name, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The screen has every word of the page, in its order, and no other.
    #[test]
    fn first_screen_is_the_page_of_the_manual() {
        let words = |text: &str| -> Vec<String> {
            text.split_whitespace().filter(|word| !word.starts_with('#')).map(str::to_owned).collect()
        };
        for columns in [60, 200] {
            let screen = screen(WHAT_TO_HAVE_READY, columns);
            assert_eq!(words(&screen), words(WHAT_TO_HAVE_READY));
            assert!(screen.lines().all(|line| line.chars().count() <= columns), "{screen}");
            assert!(screen.contains("\n- Reports as files"), "{screen}");
        }
    }
}
