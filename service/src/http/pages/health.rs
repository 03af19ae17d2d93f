//! The state of the service itself.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::assets::asset;
use super::frame::{Frame, Visitor, page, problem_page};
use super::values::{body, counts_in_words};
use super::words::time_of;
use crate::http::context::{Sender, reply};
use crate::request::Api;

/// The service, as `GET /api/v1/service` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    version: String,
    pid: u32,
    started: String,
    state_dir: String,
    socket: String,
    log: String,
    pipelines: BTreeMap<String, u64>,
    fips: String,
    crypto: String,
    reload: Option<LastReload>,
    listener: Option<ListenerOf>,
}

#[derive(Debug, Deserialize)]
struct LastReload {
    at: String,
    ok: bool,
}

#[derive(Debug, Deserialize)]
struct ListenerOf {
    url: String,
    certificate: Option<CertificateOf>,
}

#[derive(Debug, Deserialize)]
struct CertificateOf {
    sha256: String,
    expires: Option<String>,
}

#[derive(Template)]
#[template(path = "health.html")]
struct Health {
    frame: Frame,
    is_ok: bool,
    counts: String,
    service: Service,
}

pub(super) async fn show(Visitor(caller): Visitor, State(to): State<Sender>) -> Response {
    let frame = Frame::of(&caller, "Health");
    let is_ok = reply(&to, Api::Ready).await.status == 200;
    match body::<Service>(reply(&to, Api::Service).await) {
        Ok(service) => page(&Health { frame, is_ok, counts: counts_in_words(&service.pipelines), service }),
        Err(problem) => problem_page(frame, &problem, "/"),
    }
}
