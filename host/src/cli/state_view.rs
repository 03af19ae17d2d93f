//! `state show` and `state export`: what is remembered of a pipeline's runs.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::plugin_view::pretty;
use super::table::render;
use crate::state::{Checkpoint, LetterFile, OutputState, RunRecord, RunState, SentReport};

/// What is remembered of one pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownState {
    /// The name under which it is kept.
    pub name: String,
    /// The folder in which it is kept.
    pub folder: PathBuf,
    /// The pipeline file; none when nothing is remembered.
    pub pipeline: Option<PathBuf>,
    /// What the next run goes on with.
    pub checkpoint: Option<Checkpoint>,
    /// The last runs, oldest first.
    pub runs: Vec<RunRecord>,
    /// The last reports that were delivered, oldest first.
    pub reports: Vec<SentReport>,
    /// Files of dead letters.
    pub letters: Vec<LetterFile>,
}

/// How many runs and reports are shown.
const SHOWN: usize = 10;

/// For people: what the next run does, and the last runs and reports.
#[must_use]
pub fn show_state(known: &KnownState, width: usize) -> String {
    let Some(pipeline) = &known.pipeline else {
        return format!("nothing is remembered of {} in {}\n", known.name, known.folder.display());
    };
    let mut text = format!(
        "pipeline {} ({})\nstate in {}\n{}",
        known.name,
        pipeline.display(),
        known.folder.display(),
        next_run(known)
    );
    for file in &known.letters {
        text.push_str(&format!("dead letters of {}: {} bytes\n", file.output, file.bytes));
    }
    let runs = known.runs.iter().rev().take(SHOWN).map(|run| {
        let code = run.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let ended = run.ended.clone().unwrap_or_else(|| "-".to_owned());
        [
            run.number.to_string(),
            run.started.clone(),
            ended,
            word(run).to_owned(),
            code,
            run.findings.to_string(),
        ]
    });
    text.push('\n');
    text.push_str(&render(["RUN", "STARTED", "ENDED", "STATE", "EXIT", "FINDINGS"], runs, width));
    let reports = known.reports.iter().rev().take(SHOWN).map(|report| {
        let name = if report.title.is_empty() { &report.id } else { &report.title };
        let whole = if report.complete { "whole" } else { "incomplete" };
        [
            report.sent.clone(),
            report.input.clone(),
            printable(name),
            printable(&report.path),
            whole.to_owned(),
        ]
    });
    text.push('\n');
    text + &render(["SENT", "INPUT", "REPORT", "FROM", ""], reports, width)
}

/// For programs: everything.
#[must_use]
pub fn export_state(known: &KnownState) -> String {
    let letters: Vec<Value> = known
        .letters
        .iter()
        .map(|file| json!({ "output": file.output, "path": file.path, "bytes": file.bytes }))
        .collect();
    pretty(&json!({
        "name": known.name,
        "folder": known.folder,
        "pipeline": known.pipeline,
        "checkpoint": known.checkpoint.as_ref().map(checkpoint),
        "runs": known.runs,
        "reports": known.reports,
        "dead_letters": letters,
    }))
}

fn next_run(known: &KnownState) -> String {
    match (&known.checkpoint, known.runs.last()) {
        (Some(checkpoint), Some(run)) => {
            let place = match &checkpoint.under_way {
                Some(input) => format!("inside a report of {input}"),
                None => "between two reports".to_owned(),
            };
            format!("the next run goes on where run {} was interrupted, {place}\n", run.number)
        }
        _ => "the next run starts over\n".to_owned(),
    }
}

fn word(run: &RunRecord) -> &'static str {
    match run.state {
        // The lock is ours, so nothing is under way.
        RunState::Running => "killed",
        RunState::Interrupted => "interrupted",
        RunState::Finished => "finished",
    }
}

fn checkpoint(checkpoint: &Checkpoint) -> Value {
    let positions: Map<String, Value> =
        checkpoint.positions.iter().map(|(id, position)| (id.clone(), opaque(position))).collect();
    let outputs: Map<String, Value> =
        checkpoint.outputs.iter().map(|(id, state)| (id.clone(), output(state))).collect();
    json!({ "positions": positions, "outputs": outputs, "under_way": checkpoint.under_way })
}

fn output(state: &OutputState) -> Value {
    json!({
        "receipt": opaque(&state.receipt),
        "has_gap": state.has_gap,
        "dead_letter_bytes": state.dead_letters,
    })
}

/// Bytes in a plugin's own words: JSON if they are that, else text, else hexadecimal digits.
fn opaque(bytes: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => json!(text),
        _ => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// Titles are somebody else's: nothing in them steers a terminal.
fn printable(text: &str) -> String {
    crate::telemetry::without_controls(text).into_owned()
}
