//! Text and JSON of `preview`.

use serde_json::{Value, json};

use crate::pipeline::{OutputPreview, Preview, grouped};
use crate::telemetry::without_controls;

/// The records of each output, and how many findings were read for them.
pub(crate) fn show_preview(preview: &Preview) -> String {
    preview.outputs.iter().map(show_output).collect::<Vec<_>>().join("\n")
}

fn show_output(output: &OutputPreview) -> String {
    let OutputPreview { id, plugin, rendered, read, filtered, findings, records } = output;
    let how = if *rendered { "" } else { ", as JSON: the plugin cannot show its records" };
    let mut text = format!("{id} ({plugin}){how}\n");
    let mut report = "";
    for record in records {
        if record.report != report {
            report = &record.report;
            text += &format!("  of {}\n", without_controls(report));
        }
        for line in record.text.lines() {
            text += &format!("    {}\n", without_controls(line));
        }
        if record.text.is_empty() {
            text += &format!("    (no record: {})\n", without_controls(&record.omitted));
        }
    }
    let [read, filtered, findings] = [read, filtered, findings].map(|count| grouped(*count));
    text + &format!("  {findings} of {read} findings read until then; {filtered} filtered out\n")
}

/// As JSON.
pub(crate) fn preview_to_json(pipeline: &str, preview: &Preview) -> Value {
    json!({ "pipeline": pipeline, "outputs": preview.outputs, "failures": preview.failures })
}
