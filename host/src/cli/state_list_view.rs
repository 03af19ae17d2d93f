//! Output of `state list`: the pipelines of a state directory.

use std::path::Path;

use serde_json::{Value, json};

use super::plugin_view::pretty;
use super::state_view::{KnownState, last_run_in_words};
use super::table::{Columns, render_columns};
use crate::pipeline::{grouped, show_bytes};
use crate::telemetry::without_controls;

/// One pipeline of a state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedState {
    /// Its state; empty if it cannot be read.
    pub known: KnownState,
    /// The user who owns it.
    pub owner: String,
    /// Size of its directory, in bytes.
    pub bytes: u64,
    /// Why it cannot be read.
    pub error: Option<String>,
}

/// Text output: one row for each pipeline, wrapped to `width` columns.
#[must_use]
pub fn list_states(all: &Path, pipelines: &[ListedState], width: usize) -> String {
    let rows = pipelines.iter().map(|ListedState { known, owner, bytes, error }| {
        let file =
            known.pipeline.as_ref().map(|file| without_controls(&file.display().to_string()).into_owned());
        let last = known.runs.last().map(|run| (run, run.ended.as_ref().unwrap_or(&run.started)));
        let (time, result) = match (last, error) {
            (_, Some(error)) => ("-".to_owned(), without_controls(error).into_owned()),
            (None, None) => ("-".to_owned(), "no run yet".to_owned()),
            (Some((run, time)), None) => (super::state_view::minutes(time), last_run_in_words(known, run)),
        };
        [
            known.name.clone(),
            time,
            result,
            grouped(letters(known)),
            owner.clone(),
            show_bytes(*bytes),
            file.unwrap_or_default(),
        ]
    });
    let header = ["PIPELINE", "LAST RUN", "RESULT", "LETTERS", "OWNER", "SIZE", "FILE"];
    format!(
        "state directory: {}\n\n{}",
        all.display(),
        render_columns(header, rows, width, Columns::WRAP_LAST)
    )
}

/// The same as JSON.
#[must_use]
pub fn export_states(pipelines: &[ListedState]) -> String {
    let entry = |listed: &ListedState| -> Value {
        let ListedState { known, owner, bytes, error } = listed;
        let last = known.runs.last().map(|run| {
            json!({
                "number": run.number,
                "started": run.started,
                "ended": run.ended,
                "state": run.state,
                "exit_code": run.exit_code,
                "findings": run.findings,
            })
        });
        json!({
            "name": known.name,
            "file": known.pipeline,
            "folder": known.folder,
            "last_run": last,
            "in_use_by": known.holder,
            "is_resumable": known.checkpoint.is_some(),
            "dead_letters": letters(known),
            "owner": owner,
            "bytes": bytes,
            "error": error,
        })
    };
    pretty(&json!(pipelines.iter().map(entry).collect::<Vec<_>>()))
}

fn letters(known: &KnownState) -> u64 {
    known.dead_letters.iter().map(|count| count.letters).sum()
}
