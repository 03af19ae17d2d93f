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
    /// The process that uses it now, as it describes itself; none when nobody does.
    pub holder: Option<String>,
    /// What the next run goes on with.
    pub checkpoint: Option<Checkpoint>,
    /// When that was stored, in UTC.
    pub stored: Option<String>,
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
    let letters = known
        .letters
        .iter()
        .map(|file| format!("dead letters of {}: {} bytes\n", file.output, file.bytes))
        .collect::<String>();
    let Some(pipeline) = &known.pipeline else {
        let nothing = format!("no saved state for pipeline {} in {}\n", known.name, known.folder.display());
        return nothing + &letters;
    };
    let mut text = format!(
        "pipeline {} ({})\nstate directory: {}\n{}{letters}",
        known.name,
        pipeline.display(),
        known.folder.display(),
        describe_next_run(known)
    );
    let under_way = known.runs.last().filter(|_| known.holder.is_some()).map(|run| run.number);
    let runs = known.runs.iter().rev().take(SHOWN).map(|run| {
        let code = run.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let ended = run.ended.clone().unwrap_or_else(|| "-".to_owned());
        [
            run.number.to_string(),
            run.started.clone(),
            ended,
            word(run, under_way).to_owned(),
            code,
            // They are counted when a run ends.
            run.ended.as_ref().map_or_else(|| "-".to_owned(), |_| run.findings.to_string()),
        ]
    });
    text.push('\n');
    text.push_str(&render(["RUN", "STARTED", "ENDED", "STATE", "EXIT", "FINDINGS"], runs, width));
    let reports = known.reports.iter().rev().take(SHOWN).map(|report| {
        let name = if report.title.is_empty() { &report.id } else { &report.title };
        let whole = if report.complete { "complete" } else { "incomplete" };
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
        "in_use_by": known.holder,
        "checkpoint_stored": known.stored,
        "checkpoint": known.checkpoint.as_ref().map(checkpoint),
        "runs": known.runs,
        "reports": known.reports,
        "dead_letters": letters,
    }))
}

/// What goes on now, or what the next run will do.
fn describe_next_run(known: &KnownState) -> String {
    let place = known.checkpoint.as_ref().map(|checkpoint| {
        let place = match &checkpoint.under_way {
            Some(input) => format!("in the middle of a report of {input}"),
            None => "between reports".to_owned(),
        };
        let stored = known.stored.as_ref().map(|time| format!(", saved {time}"));
        place + &stored.unwrap_or_default()
    });
    match (&known.holder, known.runs.last(), place) {
        (Some(holder), Some(run), place) if run.state == RunState::Running => {
            let place = place.unwrap_or_else(|| "none yet".to_owned());
            format!("run {} is in progress: {holder}\nlast checkpoint: {place}\n", run.number)
        }
        // It is about to begin a run, or sends dead letters again.
        (Some(holder), ..) => format!("in use by {holder}\n"),
        (None, Some(run), Some(place)) => {
            format!("the next run resumes the interrupted run {}, {place}\n", run.number)
        }
        _ => "the next run starts from the beginning\n".to_owned(),
    }
}

fn word(run: &RunRecord, under_way: Option<u64>) -> &'static str {
    match run.state {
        RunState::Running if under_way == Some(run.number) => "running",
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
        "report": state.report,
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
