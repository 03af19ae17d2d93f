//! What can be in a unit of systemd.

use std::path::Path;

/// Whether a path can be in a unit of systemd as it is: systemd splits at spaces, and `%` and quotes have a meaning.
#[must_use]
pub fn is_unit_path(path: &Path) -> bool {
    let is_special = |c: char| c.is_control() || " %\"'\\:$".contains(c);
    path.is_absolute() && path.to_str().is_some_and(|text| !text.contains(is_special))
}

/// What [`is_unit_path`] requires: the end of a sentence.
pub const UNIT_PATH_RULE: &str = "an absolute path without spaces, quotes, `%`, `:`, `$` and `\\`";

/// Whether a text can be the description of a unit: one line that is not empty.
#[must_use]
pub fn is_unit_description(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 200 && !text.contains(char::is_control)
}

/// What [`is_unit_description`] requires: the end of a sentence.
pub const UNIT_DESCRIPTION_RULE: &str = "one line of 1 to 200 bytes without control characters";
