//! JSON Schema of the summary of a run.

use scanbridge_plugin_api::model::FindingKind;
use serde_json::{Map, Value, json};

use super::head::Head;
use super::severities::SEVERITIES;

/// The schema (draft 2020-12) of the JSON summary that this version prints. Later versions may add fields.
#[must_use]
pub fn summary_schema() -> Value {
    let mut fields = head();
    fields.extend(object(json!({
        "status": one_of(&["ok", "partial", "failed"], "Result of the run."),
        "exit_code": { "type": "integer", "minimum": 0, "maximum": 255, "description": "Exit code of the command." },
        "interrupted": flag("Whether the run was stopped before its end, or the next run resumes it."),
        "inputs": list(input(), "Inputs, in the order of the pipeline file."),
        "outputs": list(output(), "Outputs, in the order of the pipeline file."),
        "failures": list(failure(), "Failures, in the order in which they happened."),
        "top_definitions": list(definition(), "The most frequent definitions of confirmed and potential vulnerabilities, \
                                               at most 20."),
        "compared": compared(),
        "elapsed_ms": count("Duration, in milliseconds."),
    })));
    let mut schema = closed(fields, &["connector", "dry_run"]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Summary of a Scanbridge run");
    schema
}

fn head() -> Map<String, Value> {
    object(json!({
        "schema": { "const": Head::SCHEMA, "description": "Format version of the summary." },
        "pipeline": text("Name of the pipeline."),
        "file": text("The pipeline file, as it was named."),
        "run": { "type": ["integer", "null"], "minimum": 1, "description": "Number of the run; null if it was not \
                 started, and for a replay." },
        "started": text("When it started, in UTC (RFC 3339)."),
        "ended": text("When it ended, in UTC (RFC 3339)."),
        "version": text("Version of Scanbridge."),
        "host": text("Name of the machine."),
        "connector": text("What the operator calls this installation (`connector.name`); absent without a name."),
        "digest": text("Hash of what the pipeline delivers: plugins, options without secrets, filters. Empty if the run \
                        was not started."),
        "trigger": one_of(&["command", "schedule", "manual", "reload", "choice"], "What started the run."),
        "dry_run": flag("Whether nothing was delivered on purpose (`run --dry-run`)."),
    }))
}

fn input() -> Value {
    let fields = json!({
        "id": text("The `id` in the pipeline file."),
        "plugin": text("Name of the plugin."),
        "reports": count("Reports that were read, completely or in part."),
        "assets": count("Assets in them."),
        "assets_by_severity": by_severity("Assets in them, by the highest severity of their findings; 0 also without \
                                           findings."),
        "findings": by_kind("Valid findings in them, by kind."),
        "severities": by_severity("Valid findings in them, by severity; 0 also without a severity."),
        "findings_by_severity": by_kind_and_severity(),
        "invalid": counts("Invalid rows, by reason."),
        "odd_cells": counts("Cells that do not have the form of their column, by column."),
        "bytes": count("Bytes read."),
        "incomplete": count("Truncated or damaged reports."),
        "not_found": count("Reports that do not exist, and directories or patterns without a report."),
        "refused": count("Reports that were not read for another reason."),
        "refused_known": count("Reports that an earlier run refused and that have not changed."),
        "unfinished": count("Reports that the next run resumes."),
        "resumed": flag("Whether this run resumed an interrupted one."),
        "reports_list": list(report(), "The first 200 reports."),
        "reports_omitted": count("Number of further reports."),
        "metrics": list(metric(), "What the plugin measured."),
        "notes": list(note(), "Notes of the plugin."),
    });
    closed(object(fields), &["metrics", "notes"])
}

fn definition() -> Value {
    let fields = json!({
        "scheme": text("Scheme of the ID, for example `qid`."),
        "id": text("ID of the definition."),
        "title": text("Title of the definition; a long one is truncated."),
        "findings": count("Confirmed and potential vulnerabilities with it."),
        "lack": count("Number of findings that this count may lack; 0 unless a run has more than 8,192 definitions."),
    });
    closed(object(fields), &[])
}

fn compared() -> Value {
    let fields = json!({
        "against_run": { "type": ["integer", "null"], "minimum": 1, "description": "The run before; null if there is \
                         none to compare with, and then the counts are 0." },
        "new": count("Findings that the run before did not have."),
        "gone": count("Findings that only the run before has, although a complete report of this run has their asset."),
        "same": count("Findings that both runs have."),
    });
    let description = "Findings against those of the run before. Null if the run failed or compares nothing.";
    let mut compared = with_description(closed(object(fields), &[]), description);
    compared["type"] = json!(["object", "null"]);
    compared
}

fn report() -> Value {
    let results = ["complete", "incomplete", "not_found", "refused", "unfinished"];
    let fields = json!({
        "id": text("ID of the report in its source."),
        "title": text("Title of the report."),
        "path": text("File or URL."),
        "result": one_of(&results, "Outcome of the report."),
        "findings": count("Valid findings in it."),
        "bytes": count("Bytes read of it."),
        "duration_ms": count("Time from its start to its end, in milliseconds."),
    });
    closed(object(fields), &[])
}

fn output() -> Value {
    let fields = json!({
        "id": text("The `id` in the pipeline file."),
        "plugin": text("Name of the plugin."),
        "records": count("Findings delivered."),
        "would_deliver": count("In a dry run: findings that a run would deliver."),
        "records_by_kind": by_kind("Findings delivered, by kind."),
        "derived": count("Records in addition to the findings."),
        "rejected": count("Findings that the output rejected."),
        "filtered": count("Findings that were filtered out."),
        "retried": count("Repetitions of findings after a failure."),
        "diverted": count("Findings that were sent to the failover output."),
        "dead_letters_lost": count("Rejected findings that were not stored."),
        "undelivered": count("Findings that were not delivered."),
        "bytes": count("Bytes written."),
        "resumed_total": resumed_total(),
        "unconfirmed": count("Records that no receiver has confirmed, because the transport has no confirmation."),
        "delivered_before": count("Findings of reports that were published before the interruption."),
        "metrics": list(metric(), "What the plugin measured."),
        "notes": list(note(), "Notes of the plugin."),
    });
    closed(object(fields), &["metrics", "notes", "resumed_total", "would_deliver"])
}

fn resumed_total() -> Value {
    let fields = json!({
        "records": count("Findings delivered."),
        "derived": count("Records in addition to the findings."),
        "filtered": count("Findings that were filtered out."),
        "rejected": count("Findings that the output rejected."),
        "bytes": count("Bytes written."),
    });
    let description = "Counts of this run and of the interrupted runs that it resumes together.";
    with_description(closed(object(fields), &[]), description)
}

fn failure() -> Value {
    let fields = json!({
        "instance": text("The `id` of the input or output, or `run`, `state`, `pipeline`."),
        "message": text("What failed."),
        "hint": text("What you can do."),
        "exit_code": count("The exit code that this failure alone would have."),
    });
    closed(object(fields), &["hint"])
}

fn metric() -> Value {
    let fields = json!({
        "name": text("Name of the metric."),
        "kind": one_of(&["counter", "gauge"], "A sum, or a value that changes."),
        "help": text("Meaning of the metric."),
        "value": { "type": "number" },
    });
    closed(object(fields), &[])
}

fn note() -> Value {
    let fields = json!({
        "warning": flag("Whether it is a warning."),
        "text": text("The note."),
        "count": count("Number of times, or another number that the text explains."),
    });
    closed(object(fields), &[])
}

/// An object with these fields and no other. All are required except `optional` ones.
fn closed(fields: Map<String, Value>, optional: &[&str]) -> Value {
    let required: Vec<&String> = fields.keys().filter(|name| !optional.contains(&name.as_str())).collect();
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": fields })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

fn one_of(words: &[&str], description: &str) -> Value {
    json!({ "enum": words, "description": description })
}

fn list(items: Value, description: &str) -> Value {
    json!({ "type": "array", "items": items, "description": description })
}

fn counts(description: &str) -> Value {
    let values = json!({ "type": "integer", "minimum": 0 });
    json!({ "type": "object", "additionalProperties": values, "description": description })
}

fn by_kind(description: &str) -> Value {
    let kinds = FindingKind::ALL.map(|kind| (kind.word().to_owned(), count("Findings of this kind.")));
    with_description(closed(kinds.into_iter().collect(), &[]), description)
}

fn by_severity(description: &str) -> Value {
    let severities =
        (0..SEVERITIES).map(|severity| (severity.to_string(), count("Findings of this severity.")));
    with_description(closed(severities.collect(), &[]), description)
}

fn by_kind_and_severity() -> Value {
    let kinds = FindingKind::ALL.map(|kind| (kind.word().to_owned(), by_severity("Findings of this kind.")));
    let description = "Valid findings in them, by kind and severity; 0 also without a severity.";
    with_description(closed(kinds.into_iter().collect(), &[]), description)
}

fn with_description(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}
