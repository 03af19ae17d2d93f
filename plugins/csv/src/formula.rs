//! Detects cells that a spreadsheet would interpret as formulas.
//!
//! A scanned machine chooses its own name and its own responses. `=HYPERLINK(…)` in one of them would run on the
//! desktop of the person who opens the file. The rule is that of OWASP's page on CSV injection: cells that begin with
//! `=`, `+`, `-`, `@` or their full-width forms, also after white space and invisible characters, and cells that begin
//! with a tab or line break.

use scanbridge_plugin_api::is_printable;

/// Whether a spreadsheet may interpret the cell as a formula. Plain numbers are not formulas, whatever their sign.
pub(crate) fn is_formula(cell: &str) -> bool {
    // Most cells return here.
    if cell.as_bytes().first().is_none_or(u8::is_ascii_alphanumeric) {
        return false;
    }
    if cell.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let trimmed = cell.trim_start_matches(is_skipped);
    match trimmed.chars().next() {
        Some('=' | '@' | '＝' | '＋' | '－' | '＠') => true,
        Some('+' | '-') => !is_number_or_dash(&trimmed[1..]),
        _ => false,
    }
}

/// Characters that a spreadsheet skips, or may skip, before a formula: white space, and everything that shows nothing.
/// Besides the characters that are not printable these are Unicode's default ignorable ones and the empty pattern of
/// Braille.
fn is_skipped(character: char) -> bool {
    character.is_whitespace()
        || !is_printable(character)
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Whether the text after a plus or minus sign makes a plain number, or is empty: scanners write `-` for a missing
/// score.
fn is_number_or_dash(rest: &str) -> bool {
    let (integer, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || (digits(integer) && digits(fraction))
}

#[cfg(test)]
mod tests {
    use super::is_formula;

    #[test]
    fn formulas_are_found() {
        for cell in [
            "=1+1",
            "+1+1",
            "-1+1",
            "@SUM(1)",
            " =1",
            "\u{a0}=1",
            "\t",
            "\ta",
            "\r\n=1",
            "\nx",
            "\0=1",
            "\u{feff}=1",
            "＝1",
            "－1",
            "-1.5.6",
            "-.5",
            "+1e5",
            "--1",
            "-a",
            "=",
            "@",
            "+49 30",
            "\u{200b}=1",
        ] {
            assert!(is_formula(cell), "{cell:?}");
        }
    }

    /// Characters of the general category Cf, of other default ignorable characters, and spaces.
    #[test]
    fn formulas_after_invisible_characters_are_found() {
        for invisible in [
            '\u{ad}',
            '\u{600}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0100}',
            '\u{85}',
            '\u{9b}',
            '\u{34f}',
        ] {
            // A sign of Arabic numbers is of the category, but visible.
            let is_visible = invisible == '\u{600}';
            for formula in ["=1+1", "+1+1", "-1+1", "@SUM(1)", "＝1"] {
                for cell in [format!("{invisible}{formula}"), format!("{invisible} \u{2060}{formula}")] {
                    assert_eq!(is_formula(&cell), !is_visible, "{cell:?}");
                }
            }
            assert!(!is_formula(&format!("{invisible}1+1")));
        }
    }

    #[test]
    fn plain_texts_and_numbers_are_not_formulas() {
        for cell in ["", "a=1", "1+1", "-1", "+1.5", "-", "+", " -7", "<b>=</b>", "'=1", "\"=1", " ", "é"] {
            assert!(!is_formula(cell), "{cell:?}");
        }
    }
}
