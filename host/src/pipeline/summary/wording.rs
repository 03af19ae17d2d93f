//! Wording of numbers in the text summary.

use std::fmt::Write as _;

pub(crate) use scanbridge_observe::{grouped, show_bytes};

/// Adds the counts that are not zero.
pub(super) fn add_counts(line: &mut String, counts: [(u64, &str); 2]) {
    for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
        // Writing to a String cannot fail.
        let _ = write!(line, ", {} {what}", grouped(number));
    }
}

/// A number with its noun.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}
