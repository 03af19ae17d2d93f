//! The report of a run.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use scanbridge_observe::{RunContent, RunStatus, RunSummary, Samples};
use serde::Deserialize;
use serde_json::Value;

use super::assets::asset;
use super::frame::{Frame, Visitor, page, problem_page};
use super::values::pipeline;
use crate::http::context::Context;
use crate::request::Reply;

/// What `scanbridge state export` prints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Exported {
    summaries: Vec<Value>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage<'a> {
    frame: Frame,
    name: String,
    number: u64,
    status: RunStatus,
    summary: &'a RunSummary,
    content: RunContent<'a>,
}

pub(super) async fn show(
    Visitor(caller): Visitor,
    State(Context { to, host, .. }): State<Context>,
    Path((name, number)): Path<(String, u64)>,
) -> Response {
    let frame = Frame::of(&caller, "");
    let pipeline = match pipeline(&to, &name).await {
        Ok(pipeline) => pipeline,
        Err(problem) => return problem_page(frame, &problem, "/"),
    };
    let state = match host.ask::<Exported>(host.of_pipeline(["state", "export"], &pipeline.file)).await {
        Ok(state) => state,
        Err(problem) => return problem_page(frame, &problem, "/"),
    };
    let found = state.summaries.iter().find(|summary| summary["run"] == number);
    let Some(summary) = found.and_then(|summary| RunSummary::printable(summary).ok()) else {
        let detail = "the run may still be in progress, or it ended before it read anything: the page of the pipeline has \
                      the reason. The ledger keeps the summaries of the last 200 runs";
        let problem = Reply::problem(404, &format!("no summary of run {number} of {name}"), detail);
        return problem_page(frame, &problem, "/");
    };
    let status = RunStatus::of(if summary.interrupted { "interrupted" } else { &summary.status });
    let content = RunContent::of(&summary, &Samples::default());
    page(&RunPage { frame, name, number, status, summary: &summary, content })
}
