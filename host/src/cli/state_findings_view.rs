//! The part of `state show` about findings: assets by severity, and the most frequent definitions.

use serde_json::Value;

use super::table::{Columns, render_columns};
use crate::pipeline::grouped;
use crate::telemetry::without_controls;

/// Maximum number of definitions in the text output.
const SHOWN: usize = 10;

/// What the findings of the last run were about: assets by severity, and the most frequent definitions.
pub(super) fn findings_of_last_run(summaries: &[Value], width: usize) -> String {
    let Some(summary) = summaries.last() else { return String::new() };
    let inputs = || summary["inputs"].as_array().into_iter().flatten();
    let of_severity = |severity: &str| -> u64 {
        inputs().filter_map(|input| input["assets_by_severity"][severity].as_u64()).sum()
    };
    let assets = ["5", "4", "3", "2", "1", "0"].map(|severity| (severity, of_severity(severity)));
    let assets: Vec<String> = assets
        .into_iter()
        .filter(|(_, assets)| *assets > 0)
        .map(|(severity, assets)| match severity {
            "0" => format!("none: {}", grouped(assets)),
            severity => format!("{severity}: {}", grouped(assets)),
        })
        .collect();
    let mut text = String::new();
    if !assets.is_empty() {
        text = format!("\nassets of the last run by their highest severity: {}\n", assets.join(", "));
    }
    let rows: Vec<[String; 3]> = summary["top_definitions"]
        .as_array()
        .into_iter()
        .flatten()
        .take(SHOWN)
        .map(|definition| {
            let cell =
                |key: &str| without_controls(definition[key].as_str().unwrap_or_default()).into_owned();
            [grouped(definition["findings"].as_u64().unwrap_or_default()), cell("id"), cell("title")]
        })
        .collect();
    if !rows.is_empty() {
        text += "\nmost frequent vulnerabilities of the last run:\n";
        let titles = ["FINDINGS", "ID", "TITLE"];
        text += &render_columns(titles, rows.into_iter(), width, Columns::WRAP_LAST);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn last_run_has_its_assets_and_definitions() {
        let definition = |number: u64| json!({ "scheme": "qid", "id": number.to_string(), "title": format!("title\u{1b} {number}"), "findings": 5000 - number });
        let summary = json!({
            "inputs": [
                { "assets_by_severity": { "0": 1200, "1": 0, "5": 7 } },
                { "assets_by_severity": { "0": 0, "5": 1 } },
            ],
            "top_definitions": (1..=20).map(definition).collect::<Vec<_>>(),
        });
        let text = findings_of_last_run(&[json!({}), summary], 60);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "assets of the last run by their highest severity: 5: 8, none: 1,200");
        assert_eq!(
            lines[3..6],
            [
                "most frequent vulnerabilities of the last run:",
                "FINDINGS  ID  TITLE",
                "4,999     1   title\\u{1b} 1"
            ]
        );
        assert_eq!(lines.len(), 5 + SHOWN);
        assert_eq!(findings_of_last_run(&[json!({ "inputs": [] })], 80), "", "a summary of an older release");
    }
}
