//! The report of a run.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use scanbridge_observe::{RunContent, RunStatus, RunSummary, Samples};

use super::assets::asset;
use super::frame::{Frame, Visitor, page, problem_page};
use crate::http::context::Context;
use crate::http::{encoded, ledger};
use crate::request::Reply;

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
    State(context): State<Context>,
    Path((name, number)): Path<(String, u64)>,
) -> Response {
    let frame = Frame::of(&caller, "");
    let back = format!("/pipelines/{}", encoded(&name));
    let summary = match ledger::summary(&context, &name, number).await {
        Ok(summary) => summary,
        Err(problem) => return problem_page(frame, &problem, &back),
    };
    let Ok(summary) = RunSummary::printable(&summary) else {
        let problem = Reply::problem(500, "the summary of the run has an unknown form", "");
        return problem_page(frame, &problem, &back);
    };
    let status = RunStatus::of(if summary.interrupted { "interrupted" } else { &summary.status });
    let content = RunContent::of(&summary, &Samples::default());
    page(&RunPage { frame, name, number, status, summary: &summary, content })
}
