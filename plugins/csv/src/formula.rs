//! Detects cells that a spreadsheet would interpret as formulas.
//!
//! A scanned machine chooses its own name and its own responses. `=HYPERLINK(…)` in one of them would run on the
//! desktop of the person who opens the file. The rule is that of OWASP's page on CSV injection: cells that begin with
//! `=`, `+`, `-`, `@` or their full-width forms, also after white space, and cells that begin with a tab or line
//! break.

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

/// Characters that a spreadsheet skips, or may skip, before a formula.
fn is_skipped(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{feff}')
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

    #[test]
    fn plain_texts_and_numbers_are_not_formulas() {
        for cell in ["", "a=1", "1+1", "-1", "+1.5", "-", "+", " -7", "<b>=</b>", "'=1", "\"=1", " ", "é"] {
            assert!(!is_formula(cell), "{cell:?}");
        }
    }
}
