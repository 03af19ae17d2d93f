//! Wording of numbers in the text summary.

use std::fmt::Write as _;

/// Adds the counts that are not zero.
pub(super) fn add_counts(line: &mut String, counts: [(u64, &str); 2]) {
    for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
        // Writing to a String cannot fail.
        let _ = write!(line, ", {number} {what}");
    }
}

/// A size with at most one decimal.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub(in crate::pipeline) fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A number with its noun.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
