//! What the host knows of a pipeline: its runs, its reports and its dead letters.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::context::{Context, reply};
use crate::history::LastRun;
use crate::request::{Api, Reply};

/// The view of a pipeline.
///
/// # Errors
/// The problem, if there is none or the main loop does not answer.
pub(super) async fn pipeline(context: &Context, name: &str) -> Result<Value, Reply> {
    let view = reply(&context.to, Api::Pipeline(name.to_owned())).await;
    if view.status == 200 { Ok(view.body) } else { Err(view) }
}

/// A command of the host about a pipeline.
///
/// # Errors
/// As for [`pipeline`].
pub(super) async fn command(
    context: &Context,
    name: &str,
    command: [&str; 2],
) -> Result<Vec<OsString>, Reply> {
    let view = pipeline(context, name).await?;
    Ok(context.host.of_pipeline(command, file_of(&view)))
}

/// The file of a pipeline, and the number of the instance if the file has several.
fn file_of(view: &Value) -> (&str, Option<u32>) {
    let number = view["instance"].as_u64().and_then(|number| u32::try_from(number).ok());
    (view["file"].as_str().unwrap_or_default(), number)
}

/// Without any run there is no state yet.
pub(super) fn or_empty(list: Result<Vec<Value>, Reply>) -> Result<Vec<Value>, Reply> {
    match list {
        Err(problem) if problem.body["exit_code"] == NO_STATE => Ok(Vec::new()),
        list => list,
    }
}

const NO_STATE: u8 = 66;

/// The summaries of runs with a lower number, newest first. Runs that ended before they could store a summary have a short
/// one.
///
/// # Errors
/// As for [`pipeline`], and when the host cannot read them.
pub(super) async fn summaries(
    context: &Context,
    name: &str,
    before: u64,
    limit: usize,
) -> Result<Vec<Value>, Reply> {
    let view = pipeline(context, name).await?;
    let mut command = context.host.of_pipeline(["state", "runs"], file_of(&view));
    command.extend([format!("--before={before}"), format!("--limit={limit}")].map(OsString::from));
    let mut summaries = or_empty(context.host.ask(command).await)?;
    let recent: Vec<LastRun> = serde_json::from_value(view["recent_runs"].clone()).unwrap_or_default();
    let oldest = summaries.last().filter(|_| summaries.len() == limit).and_then(|last| last["run"].as_u64());
    for run in recent.iter().filter(|run| run.run > 0 && run.run < before && run.run >= oldest.unwrap_or(0)) {
        let number = |summary: &Value| summary["run"].as_u64().unwrap_or_default();
        if !summaries.iter().any(|summary| number(summary) == run.run) {
            let at =
                summaries.iter().position(|summary| number(summary) < run.run).unwrap_or(summaries.len());
            summaries.insert(at, short(name, run));
        }
    }
    summaries.truncate(limit);
    Ok(summaries)
}

/// The summary of one run.
///
/// # Errors
/// As for [`summaries`], and when there is none.
pub(super) async fn summary(context: &Context, name: &str, number: u64) -> Result<Value, Reply> {
    let found = summaries(context, name, number.saturating_add(1), 1).await?;
    found.into_iter().find(|summary| summary["run"] == number).ok_or_else(|| {
        let detail = "the run may still be in progress; the ledger keeps the summaries of the last 200 runs";
        Reply::problem(404, &format!("no summary of run {number} of {name}"), detail)
    })
}

/// The summary of a run that stored none: it ended before it read anything, or was killed.
fn short(name: &str, run: &LastRun) -> Value {
    let elapsed = run.ended.map(|ended| ended.duration_since(run.started).as_millis()).unwrap_or_default();
    let failure =
        json!({ "instance": "run", "message": run.reason, "exit_code": run.exit_code.unwrap_or(KILLED) });
    let failures = if run.reason.is_empty() { Vec::new() } else { vec![failure] };
    json!({
        "schema": 1,
        "pipeline": name,
        "run": run.run,
        "started": run.started,
        "ended": run.ended,
        "status": run.status,
        "exit_code": run.exit_code.unwrap_or(KILLED),
        "interrupted": run.status == "interrupted",
        "elapsed_ms": u64::try_from(elapsed).unwrap_or_default(),
        "inputs": [],
        "outputs": [],
        "failures": failures,
    })
}

/// Exit code of a run that a signal ended.
const KILLED: u8 = 70;

/// Asks the source of a pipeline for its stored reports.
///
/// # Errors
/// As for [`pipeline`], and when the source cannot be listed.
pub(super) async fn reports(context: &Context, name: &str, options: Vec<String>) -> Result<Value, Reply> {
    let mut command = command(context, name, ["reports", "list"]).await?;
    command.push("--format=json".into());
    command.extend(options.into_iter().map(OsString::from));
    context.host.ask(command).await.map_err(|mut problem| {
        // The request or the pipeline is the cause, not the source.
        problem.status = match problem.body["exit_code"].as_u64() {
            Some(64) => 400,
            Some(78) => 422,
            _ => return problem,
        };
        problem.body["status"] = problem.status.into();
        problem
    })
}

/// The numbers of dead letters by reason.
///
/// # Errors
/// As for [`pipeline`], and when the host cannot read them.
pub(super) async fn dead_letters(context: &Context, name: &str) -> Result<Value, Reply> {
    let mut command = command(context, name, ["dead-letters", "list"]).await?;
    command.push("--format=json".into());
    Ok(or_empty(context.host.ask(command).await)?.into())
}
