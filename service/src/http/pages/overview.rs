//! The first page: all pipelines.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::assets::asset;
use super::forms::ChangeForm;
use super::frame::{Frame, Visitor, page, problem_page};
use super::values::{Pipeline, body, counts_in_words};
use super::words::{grouped, result_class, time, time_at};
use crate::http::context::{Sender, reply};
use crate::request::{Api, ReloadMode};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    counts: String,
    pipelines: Vec<Pipeline>,
}

pub(super) async fn show(Visitor(caller): Visitor, State(to): State<Sender>) -> Response {
    let frame = Frame::of(&caller, "Overview");
    let pipelines: Vec<Pipeline> = match body(reply(&to, Api::Overview).await) {
        Ok(pipelines) => pipelines,
        Err(problem) => return problem_page(frame, &problem, "/"),
    };
    let mut counts = BTreeMap::new();
    for pipeline in &pipelines {
        *counts.entry(pipeline.state.clone()).or_insert(0) += 1;
    }
    page(&Overview { frame, counts: counts_in_words(&counts), pipelines })
}

pub(super) async fn reload(State(to): State<Sender>, form: ChangeForm) -> Response {
    let answer = reply(&to, Api::Reload(ReloadMode::default())).await;
    if answer.status < 400 {
        Redirect::to("/").into_response()
    } else {
        problem_page(Frame::of(&form.caller, ""), &answer, "/")
    }
}
