//! The plugins that the host finds.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::assets::asset;
use super::frame::{Frame, Visitor, page, problem_page};
use super::words::plain;
use crate::http::context::Context;

/// What `scanbridge plugin list` prints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    plugins: Vec<Plugin>,
    refused: Vec<Refused>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plugin {
    name: String,
    kind: String,
    version: String,
    crypto: String,
    summary: String,
    file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refused {
    file: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "plugins.html")]
struct Plugins {
    frame: Frame,
    plugins: Vec<Plugin>,
    refused: Vec<Refused>,
}

pub(super) async fn show(Visitor(caller): Visitor, State(Context { host, .. }): State<Context>) -> Response {
    let frame = Frame::of(&caller, "Plugins");
    match host.ask::<List>(["plugin", "list", "--format=json"].map(Into::into).to_vec()).await {
        Ok(List { plugins, refused }) => page(&Plugins { frame, plugins, refused }),
        Err(problem) => problem_page(frame, &problem, "/"),
    }
}
