//! Output of `dead-letters list` and `dead-letters show`.

use serde_json::{Value, json};

use super::arguments::Format;
use super::plugin_view::pretty;
use super::table::render;
use crate::state::DeadLetter;
use crate::telemetry::without_controls;

/// Number, size and age of the dead letters of one output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// The `id:` of the output.
    pub output: String,
    /// Number of dead letters.
    pub dead_letters: u64,
    /// Size of the dead letter file, in bytes.
    pub bytes: u64,
    /// Time of the first dead letter, in UTC; empty when there is none.
    pub oldest: String,
    /// Time of the last dead letter, in UTC; empty when there is none.
    pub newest: String,
}

/// The counts, one line per output. Text is wrapped to `width` columns.
#[must_use]
pub fn list_dead_letter_counts(counts: &[DeadLetterCount], format: Format, width: usize) -> String {
    if format == Format::Json {
        let counts: Vec<Value> = counts
            .iter()
            .map(|count| {
                let DeadLetterCount { output, dead_letters, bytes, oldest, newest } = count;
                json!({
                    "output": output, "letters": dead_letters, "bytes": bytes, "oldest": oldest, "newest": newest,
                })
            })
            .collect();
        return pretty(&json!(counts));
    }
    if counts.is_empty() {
        return no_dead_letters(None);
    }
    let rows = counts.iter().map(|count| {
        [
            count.output.clone(),
            count.dead_letters.to_string(),
            count.bytes.to_string(),
            count.oldest.clone(),
            count.newest.clone(),
        ]
    });
    render(["OUTPUT", "LETTERS", "BYTES", "OLDEST", "NEWEST"], rows, width)
}

/// Message for an empty list, optionally of one output.
#[must_use]
pub fn no_dead_letters(output: Option<&str>) -> String {
    let of_output = output.map(|id| format!(" of output `{id}`")).unwrap_or_default();
    format!("no dead letters{of_output}\n")
}

/// One dead letter: time, output, finding, rejection reason, run, attempts and report.
#[must_use]
pub fn show_dead_letter(letter: &DeadLetter, format: Format) -> String {
    if format == Format::Json {
        return serde_json::to_string(letter).expect("a dead letter consists of strings and numbers") + "\n";
    }
    let field = |fields: &std::collections::BTreeMap<String, String>, name: &str| {
        let text = fields.get(name).map_or("-", String::as_str);
        without_controls(text).into_owned()
    };
    let record = &letter.record;
    format!(
        "{} {}: {} QID {} port {}: {} (run {}, attempts {}, report {})\n",
        letter.time,
        letter.output,
        field(&record.asset, "address"),
        field(&record.definition, "qid"),
        field(&record.finding, "port"),
        without_controls(&letter.reason),
        letter.run,
        letter.attempts,
        without_controls(&letter.report.path),
    )
}
