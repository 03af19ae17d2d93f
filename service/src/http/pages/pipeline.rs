//! The page of a pipeline.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::assets::asset;
use super::forms::ChangeForm;
use super::frame::{ConfirmPage, Frame, Visitor, page, problem_page};
use super::values::{LogLine, Pipeline, body, pipeline};
use super::words::{
    count, grouped, input_state, level_class, output_class, output_state, percent, plain, result_class, time,
    time_at, time_of, took,
};
use crate::http::context::{Sender, reply};
use crate::http::encoded;
use crate::log_sink::Level;
use crate::machine::Request;
use crate::request::{Api, Reply};

/// Lines of the log that the page shows.
const LINES: usize = 50;

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    frame: Frame,
    pipeline: Pipeline,
    lines: Vec<LogLine>,
}

pub(super) async fn show(
    Visitor(caller): Visitor,
    State(to): State<Sender>,
    Path(name): Path<String>,
) -> Response {
    let frame = Frame::of(&caller, "");
    let pipeline = match pipeline(&to, &name).await {
        Ok(pipeline) => pipeline,
        Err(problem) => return problem_page(frame, &problem, "/"),
    };
    let log = Api::Log { pipeline: Some(name), level: Level::Warn, since: 0 };
    let lines: Vec<LogLine> = body(reply(&to, log).await).unwrap_or_default();
    let lines = lines.into_iter().rev().take(LINES).collect();
    page(&PipelinePage { frame, pipeline, lines })
}

pub(super) async fn act(
    State(to): State<Sender>,
    Path((name, action)): Path<(String, String)>,
    form: ChangeForm,
) -> Response {
    match Request::of_word(&action) {
        Some(request) => change(&to, &name, request, &form).await,
        None => {
            let problem = Reply::problem(404, &format!("no action `{action}`"), "");
            problem_page(Frame::of(&form.caller, ""), &problem, "/")
        }
    }
}

pub(super) async fn stop(State(to): State<Sender>, Path(name): Path<String>, form: ChangeForm) -> Response {
    change(&to, &name, Request::Stop, &form).await
}

async fn change(to: &Sender, name: &str, request: Request, form: &ChangeForm) -> Response {
    let back = format!("/pipelines/{}", encoded(name));
    let answer = reply(to, Api::Act(name.to_owned(), request)).await;
    if answer.status < 400 {
        Redirect::to(&back).into_response()
    } else {
        problem_page(Frame::of(&form.caller, ""), &answer, &back)
    }
}

/// Asks once more before a run is stopped.
pub(super) async fn confirm_stop(Visitor(caller): Visitor, Path(name): Path<String>) -> Response {
    let back = format!("/pipelines/{}", encoded(&name));
    page(&ConfirmPage {
        frame: Frame::of(&caller, ""),
        question: format!("Stop the run of {name}?"),
        consequence: "It stops at its next checkpoint, and the next run continues there. If it is stopping already, it \
                      stops at once: what was sent since the last checkpoint is repeated."
            .to_owned(),
        items: Vec::new(),
        action: format!("{back}/stop"),
        fields: Vec::new(),
        word: "Stop",
        back,
    })
}
