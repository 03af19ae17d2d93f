//! Output of `state show` and `state export`: the saved state of a pipeline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scanbridge_plugin_api::{StoredReport, is_printable};
use serde_json::{Map, Value, json};

use super::plugin_view::pretty;
use super::table::render;
use crate::plugins::InterruptedCall;
use crate::state::{Checkpoint, DeadLetterCount, OutputState, RunRecord, RunState, SentReport, Stage};

/// Saved state of one pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownState {
    /// Name of the pipeline.
    pub name: String,
    /// State directory of the pipeline.
    pub folder: PathBuf,
    /// The pipeline file; `None` when no state is saved.
    pub pipeline: Option<PathBuf>,
    /// Description of the process that holds the lock; `None` when the pipeline is not in use.
    pub holder: Option<String>,
    /// Checkpoint from which the next run resumes.
    pub checkpoint: Option<Checkpoint>,
    /// Time of the checkpoint, in UTC.
    pub stored: Option<String>,
    /// The last runs, oldest first.
    pub runs: Vec<RunRecord>,
    /// The last delivered reports, oldest first.
    pub reports: Vec<SentReport>,
    /// The dead letters of each output that has any.
    pub dead_letters: Vec<DeadLetterCount>,
    /// Number of keys of each input and output that has any.
    pub keys: BTreeMap<String, u64>,
    /// Plugin calls in progress: of the run, or of one that was killed.
    pub calls: Vec<InterruptedCall>,
    /// Reports that an input has not confirmed yet, by the `id` of the input.
    pub unconfirmed: BTreeMap<String, Vec<StoredReport>>,
}

/// Maximum number of runs, and of reports, in the text output.
const SHOWN: usize = 10;

/// Text output: what the next run does, then the last runs and reports. Wrapped to `width` columns.
#[must_use]
pub fn show_state(known: &KnownState, width: usize) -> String {
    let count = |count: &DeadLetterCount| {
        let DeadLetterCount { stage, letters, bytes, missed_reports, .. } = count;
        let (id, is_input) = (stage.instance(), matches!(stage, Stage::Input { .. }));
        let mut lines = String::new();
        if *letters > 0 {
            let what = if is_input { "invalid rows" } else { "dead letters" };
            lines = format!("{what} of {id}: {letters} ({bytes} bytes)\n");
        }
        if *missed_reports > 0 {
            let reports = if *missed_reports == 1 { "report" } else { "reports" };
            lines.push_str(&if is_input {
                format!(
                    "{id} sent too many invalid rows in {missed_reports} {reports} to keep all: abandon them with \
                     `scanbridge dead-letters purge`\n"
                )
            } else {
                format!(
                    "{id} lacks findings of {missed_reports} {reports}: send them with `scanbridge dead-letters \
                     replay`, or abandon them with `purge`\n"
                )
            });
        }
        lines
    };
    let dead_letters = known.dead_letters.iter().map(count).collect::<String>();
    let Some(pipeline) = &known.pipeline else {
        let nothing = format!("no saved state for pipeline {} in {}\n", known.name, known.folder.display());
        return nothing;
    };
    let mut text = format!(
        "pipeline {} ({})\nstate directory: {}\n{}{}{dead_letters}{}",
        known.name,
        pipeline.display(),
        known.folder.display(),
        describe_next_run(known),
        describe_calls(known),
        describe_unconfirmed(known)
    );
    let running = known.runs.last().filter(|_| known.holder.is_some()).map(|run| run.number);
    let runs = known.runs.iter().rev().take(SHOWN).map(|run| {
        let code = run.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let ended = run.ended.clone().unwrap_or_else(|| "-".to_owned());
        [
            run.number.to_string(),
            run.started.clone(),
            ended,
            word(run, running).to_owned(),
            code,
            // Findings are counted when a run ends.
            run.ended.as_ref().map_or_else(|| "-".to_owned(), |_| run.findings.to_string()),
        ]
    });
    text.push('\n');
    text.push_str(&render(["RUN", "STARTED", "ENDED", "STATE", "EXIT CODE", "FINDINGS READ"], runs, width));
    let reports = known.reports.iter().rev().take(SHOWN).map(|report| {
        let name = if report.title.is_empty() { &report.id } else { &report.title };
        let completeness = if report.complete { "complete" } else { "incomplete" };
        [
            report.sent.clone(),
            report.input.clone(),
            printable(name),
            printable(&report.path),
            completeness.to_owned(),
        ]
    });
    text.push('\n');
    text + &render(["SENT", "INPUT", "REPORT", "FROM", "COMPLETENESS"], reports, width)
}

/// The complete state as JSON.
#[must_use]
pub fn export_state(known: &KnownState) -> String {
    pretty(&json!({
        "name": known.name,
        "folder": known.folder,
        "pipeline": known.pipeline,
        "in_use_by": known.holder,
        "checkpoint_stored": known.stored,
        "checkpoint": known.checkpoint.as_ref().map(checkpoint),
        "runs": known.runs,
        "reports": known.reports,
        "dead_letters": known.dead_letters,
        "keys": known.keys,
        "calls": known.calls.iter().map(call).collect::<Vec<_>>(),
        "unconfirmed": known.unconfirmed,
    }))
}

/// The plugin calls in progress, or those in which the last run was killed.
fn describe_calls(known: &KnownState) -> String {
    let line = |call: &InterruptedCall| {
        let (instance, name, since) = (printable(&call.instance), printable(&call.call), time(call.since));
        match known.holder {
            Some(_) => format!("{instance} has been in `{name}` since {since}\n"),
            None => format!(
                "the last run was killed or crashed while {instance} was in `{name}` (since {since})\n"
            ),
        }
    };
    known.calls.iter().map(line).collect()
}

/// Reports that their input has not confirmed, for example because a source could not be moved.
fn describe_unconfirmed(known: &KnownState) -> String {
    let line = |(input, report): (&String, &StoredReport)| {
        let (path, outcome) = (printable(&report.key.path), report.outcome.word());
        format!("{input} has not confirmed {path} ({outcome}) yet: the next run asks again\n")
    };
    let reports =
        known.unconfirmed.iter().flat_map(|(input, reports)| reports.iter().map(move |r| (input, r)));
    reports.map(line).collect()
}

/// Seconds since 1970 in UTC, as in the other columns.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

fn call(call: &InterruptedCall) -> Value {
    json!({ "instance": call.instance, "call": call.call, "since": time(call.since) })
}

/// The run in progress, or what the next run will do.
fn describe_next_run(known: &KnownState) -> String {
    let position = known.checkpoint.as_ref().map(|checkpoint| {
        let position = match &checkpoint.active_input {
            Some(input) => format!("in the middle of a report of {input}"),
            None => "between reports".to_owned(),
        };
        let stored = known.stored.as_ref().map(|time| format!(", saved {time}"));
        position + &stored.unwrap_or_default()
    });
    match (&known.holder, known.runs.last(), position) {
        (Some(holder), Some(run), position) if run.state == RunState::Running => {
            let position = position.unwrap_or_else(|| "none yet".to_owned());
            format!("run {} is in progress: {holder}\nlast checkpoint: {position}\n", run.number)
        }
        // The process is about to start a run, or replays dead letters.
        (Some(holder), ..) => format!("in use by {holder}\n"),
        (None, Some(run), Some(position)) => {
            format!("the next run resumes the interrupted run {}, {position}\n", run.number)
        }
        _ => "the next run starts from the beginning\n".to_owned(),
    }
}

fn word(run: &RunRecord, running: Option<u64>) -> &'static str {
    match run.state {
        RunState::Running if running == Some(run.number) => "running",
        RunState::Running => "killed",
        RunState::Interrupted => "interrupted",
        RunState::Finished if run.exit_code.is_some_and(|code| code != 0) => "finished with errors",
        RunState::Finished => "finished",
    }
}

fn checkpoint(checkpoint: &Checkpoint) -> Value {
    let positions: Map<String, Value> =
        checkpoint.positions.iter().map(|(id, position)| (id.clone(), opaque(position))).collect();
    let outputs: Map<String, Value> =
        checkpoint.outputs.iter().map(|(id, state)| (id.clone(), output(state))).collect();
    json!({ "positions": positions, "outputs": outputs, "under_way": checkpoint.active_input })
}

fn output(state: &OutputState) -> Value {
    json!({
        "receipt": state.receipt.as_deref().map(opaque),
        "has_gap": state.has_gap,
        "report": state.report,
        "ahead": state.ahead,
        "dead_letter_bytes": state.dead_letters.bytes,
    })
}

/// Bytes whose format only the plugin knows: shown as JSON if possible, else as text, else as hexadecimal
/// digits.
fn opaque(bytes: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_printable) => json!(text),
        _ => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// Escapes control characters: report titles come from outside and must not control the terminal.
fn printable(text: &str) -> String {
    crate::telemetry::without_controls(text).into_owned()
}
