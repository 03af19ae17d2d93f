//! Notes of instances, in the log and in the summary.

use std::fmt::Write as _;

use serde::Serialize;

use crate::plugins::context::Context;
use crate::telemetry::without_controls;

/// A note of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceNote {
    /// Whether it is a warning; otherwise it is information.
    pub warning: bool,
    /// The text.
    pub text: String,
    /// Number of times, or another number that the text explains.
    pub count: u64,
}

/// Logs the notes of an instance, and returns them for its summary.
pub(super) fn log_notes(instance: &str, context: &Context) -> Vec<InstanceNote> {
    let notes = context.take_notes().into_iter().map(|(level, text, count)| {
        let text = without_controls(&text).into_owned();
        let warning = level <= 2;
        match warning {
            true => tracing::warn!(instance, count, "{text}"),
            false => tracing::info!(instance, count, "{text}"),
        }
        InstanceNote { warning, text, count }
    });
    notes.collect()
}

/// The warnings among the notes, a line each, for the text summary.
pub(super) fn warning_lines(instance: &str, notes: &[InstanceNote]) -> String {
    let mut lines = String::new();
    for InstanceNote { text, count, .. } in notes.iter().filter(|note| note.warning) {
        let times = if *count == 1 { String::new() } else { format!(" ({count})") };
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "note    {instance}: {text}{times}");
    }
    lines
}
