//! Output of `state show` and `state export`: the saved state of a pipeline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scanbridge_plugin_api::{StoredReport, is_printable};
use serde_json::{Map, Value, json};

use super::plugin_view::pretty;
use super::state_findings_view::findings_of_last_run;
use super::table::{Columns, render, render_columns};
use crate::pipeline::grouped;
use crate::plugins::InterruptedCall;
use crate::state::{
    Checkpoint, DayCounts, DeadLetterCount, OutputCounts, OutputState, RunRecord, RunState, SentReport, Stage,
};

/// Saved state of one pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownState {
    /// Name of the pipeline.
    pub name: String,
    /// Number of the instance of a pipeline with several.
    pub run_instance: Option<u32>,
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
    /// The summaries of the last runs, oldest first.
    pub summaries: Vec<Value>,
    /// Counts by day, oldest first.
    pub days: Vec<(String, DayCounts)>,
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
    let pipeline = known.pipeline.clone().unwrap_or_default();
    let mut text = format!(
        "pipeline {} ({})\nstate directory: {}\n{}{}{}{dead_letters}{}",
        known.name,
        pipeline.display(),
        known.folder.display(),
        describe_next_run(known),
        describe_counts(known),
        describe_calls(known),
        describe_unconfirmed(known)
    );
    text.push('\n');
    text.push_str(&runs_table(known, width));
    text.push('\n');
    text.push_str(&reports_table(known, width));
    text + &findings_of_last_run(&known.summaries, width)
}

/// Terminals with fewer columns get tables with fewer columns.
const WIDE: usize = 100;

fn runs_table(known: &KnownState, width: usize) -> String {
    let runs = known.runs.iter().rev().take(SHOWN).map(|run| {
        let code = run.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let ended = run.ended.clone().unwrap_or_else(|| "-".to_owned());
        // Findings are counted when a run ends.
        let findings = run.ended.as_ref().map_or_else(|| "-".to_owned(), |_| grouped(run.findings));
        let state = word(run, running(known)).to_owned();
        [run.number.to_string(), run.started.clone(), ended, state, code, findings]
    });
    if width >= WIDE {
        return render(["RUN", "STARTED", "ENDED", "STATE", "EXIT CODE", "FINDINGS READ"], runs, width);
    }
    let runs =
        runs.map(|[run, started, _, state, code, findings]| [run, minutes(&started), code, findings, state]);
    render_columns(["RUN", "STARTED", "CODE", "FINDINGS", "STATE"], runs, width, Columns::WRAP_LAST)
}

fn reports_table(known: &KnownState, width: usize) -> String {
    let reports = known.reports.iter().rev().take(SHOWN).map(|report| {
        let name = if report.title.is_empty() { &report.id } else { &report.title };
        let completeness = if report.complete { "complete" } else { "incomplete" };
        let (name, path) = (printable(name), printable(&report.path));
        [report.sent.clone(), report.input.clone(), name, path, completeness.to_owned()]
    });
    if width >= WIDE {
        return render(["SENT", "INPUT", "REPORT", "FROM", "COMPLETENESS"], reports, width);
    }
    let reports = reports.map(|[sent, _, name, path, completeness]| {
        let of = if path.is_empty() { name } else { format!("{name}, {path}") };
        [minutes(&sent), completeness, of]
    });
    render_columns(["SENT", "COMPLETENESS", "REPORT"], reports, width, Columns::WRAP_LAST)
}

/// `2026-01-31 12:00` of `2026-01-31T12:00:00Z`.
pub(super) fn minutes(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// The state of the last run, and its exit code if that is not 0.
pub(super) fn last_run_in_words(known: &KnownState, run: &RunRecord) -> String {
    let word = word(run, running(known));
    match run.exit_code {
        Some(code) if code != 0 => format!("{word} ({code})"),
        _ => word.to_owned(),
    }
}

fn running(known: &KnownState) -> Option<u64> {
    known.runs.last().filter(|_| known.holder.is_some()).map(|run| run.number)
}

/// What each output has committed up to the checkpoint of a run that is in progress or interrupted.
fn describe_counts(known: &KnownState) -> String {
    let outputs = known.checkpoint.iter().flat_map(|checkpoint| &checkpoint.outputs);
    let line = |(id, state): (&String, &OutputState)| {
        let OutputCounts { records, filtered, rejected, derived, .. } = state.counts;
        let mut line = format!("{id} up to this checkpoint: {} findings delivered", grouped(records));
        for (count, what) in [(derived, "derived"), (filtered, "filtered out"), (rejected, "rejected")] {
            if count > 0 {
                line.push_str(&format!(", {} {what}", grouped(count)));
            }
        }
        line + "\n"
    };
    outputs.map(line).collect()
}

/// The complete state as JSON.
#[must_use]
pub fn export_state(known: &KnownState) -> String {
    pretty(&state_to_json(known))
}

/// The complete states of several instances of a pipeline as a JSON array.
#[must_use]
pub fn export_instances(all: &[KnownState]) -> String {
    pretty(&all.iter().map(state_to_json).collect())
}

fn state_to_json(known: &KnownState) -> Value {
    let mut state = json!({
        "name": known.name,
        "folder": known.folder,
        "pipeline": known.pipeline,
        "in_use_by": known.holder,
        "checkpoint_stored": known.stored,
        "checkpoint": known.checkpoint.as_ref().map(checkpoint),
        "runs": known.runs,
        "summaries": known.summaries,
        "days": known.days.iter().map(|(day, counts)| day_to_json(day, counts)).collect::<Vec<_>>(),
        "reports": known.reports,
        "dead_letters": known.dead_letters,
        "keys": known.keys,
        "calls": known.calls.iter().map(call).collect::<Vec<_>>(),
        "unconfirmed": known.unconfirmed,
    });
    if let Some(number) = known.run_instance {
        state["run_instance"] = number.into();
    }
    state
}

fn day_to_json(day: &str, counts: &DayCounts) -> Value {
    let mut value = json!(counts);
    value["day"] = json!(day);
    value
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
        "counts": state.counts,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Fingerprint;

    fn known() -> KnownState {
        let run = RunRecord {
            number: 412,
            started: "2026-01-31T12:00:00Z".to_owned(),
            ended: Some("2026-01-31T12:03:11Z".to_owned()),
            state: RunState::Finished,
            fingerprint: Fingerprint::default(),
            exit_code: Some(65),
            findings: 1_234_567,
            choice: None,
        };
        let report = SentReport {
            input: "scans".to_owned(),
            id: "scan/1".to_owned(),
            title: "Weekly scan of all sites in Europe, the Middle East and Africa".to_owned(),
            time: "2026-01-31T11:00:00Z".to_owned(),
            path: "in/weekly.xml".to_owned(),
            complete: true,
            sent: "2026-01-31T12:03:10Z".to_owned(),
        };
        let counts = OutputCounts { records: 41_180, rejected: 3, ..OutputCounts::default() };
        let output = OutputState { counts, ..OutputState::default() };
        let checkpoint =
            Checkpoint { outputs: [("siem".to_owned(), output)].into(), ..Checkpoint::default() };
        KnownState {
            name: "nightly".to_owned(),
            folder: "/var/lib/scanbridge/nightly".into(),
            pipeline: Some("nightly.yaml".into()),
            checkpoint: Some(checkpoint),
            runs: vec![run],
            reports: vec![report],
            ..KnownState::default()
        }
    }

    /// Times and numbers are not broken into several lines.
    #[test]
    fn state_is_readable_in_60_columns() {
        for width in [60, 80, 110] {
            let shown = show_state(&known(), width);
            let tables = shown.split_once("\n\n").unwrap().1;
            assert!(tables.lines().all(|line| line.chars().count() <= width), "{width}: {tables}");
            let started = if width < WIDE { "2026-01-31 12:00" } else { "2026-01-31T12:00:00Z" };
            assert!(tables.contains(started) && tables.contains("1,234,567"), "{width}: {tables}");
            assert!(tables.contains("COMPLETENESS"), "{width}: {tables}");
        }
    }

    #[test]
    fn counts_up_to_the_checkpoint_are_shown() {
        let shown = show_state(&known(), 80);
        assert!(
            shown.contains("siem up to this checkpoint: 41,180 findings delivered, 3 rejected\n"),
            "{shown}"
        );
    }
}
