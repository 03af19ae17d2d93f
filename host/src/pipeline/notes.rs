//! Notes of instances in the log.

use crate::plugins::context::Context;
use crate::telemetry::without_controls;

/// Logs the notes of an instance.
pub(super) fn log_notes(instance: &str, context: &Context) {
    for (level, text, count) in context.take_notes() {
        let text = without_controls(&text);
        match level {
            0..=2 => tracing::warn!(instance, count, "{text}"),
            _ => tracing::info!(instance, count, "{text}"),
        }
    }
}
