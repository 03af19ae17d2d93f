//! `dead-letters list` and `dead-letters show`.

use serde_json::{Value, json};

use super::arguments::Format;
use super::plugin_view::pretty;
use super::table::render;
use crate::state::Letter;
use crate::telemetry::without_controls;

/// The dead letters of one output, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterCount {
    /// The `id:` of the output.
    pub output: String,
    /// How many letters there are.
    pub letters: u64,
    /// How large their file is.
    pub bytes: u64,
    /// When the first one was written.
    pub oldest: String,
    /// When the last one was written.
    pub newest: String,
}

/// One line an output.
#[must_use]
pub fn list_letter_counts(counts: &[LetterCount], format: Format, width: usize) -> String {
    if format == Format::Json {
        let counts: Vec<Value> = counts
            .iter()
            .map(|count| {
                let LetterCount { output, letters, bytes, oldest, newest } = count;
                json!({
                    "output": output, "letters": letters, "bytes": bytes, "oldest": oldest, "newest": newest,
                })
            })
            .collect();
        return pretty(&json!(counts));
    }
    if counts.is_empty() {
        return no_letters(None);
    }
    let rows = counts.iter().map(|count| {
        [
            count.output.clone(),
            count.letters.to_string(),
            count.bytes.to_string(),
            count.oldest.clone(),
            count.newest.clone(),
        ]
    });
    render(["OUTPUT", "LETTERS", "BYTES", "OLDEST", "NEWEST"], rows, width)
}

/// That there are none, or none of this output.
#[must_use]
pub fn no_letters(output: Option<&str>) -> String {
    let whose = output.map(|id| format!(" of `{id}`")).unwrap_or_default();
    format!("no dead letters{whose}\n")
}

/// One letter: when, what, where, why.
#[must_use]
pub fn show_letter(letter: &Letter, format: Format) -> String {
    if format == Format::Json {
        return serde_json::to_string(letter).expect("plain data serialises") + "\n";
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
