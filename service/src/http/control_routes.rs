//! States of the service and its pipelines, and what changes them.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use scanbridge_observe::{MetricsFormat, Role};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::caller::{Caller, Operator, Reader};
use super::context::{Context, Sender, ask, reply, reply_within};
use crate::dead_letter_request::DeadLetterRequest;
use crate::job_request::JobRequest;
use crate::log_sink::Level;
use crate::machine::Request;
use crate::request::{Api, ReloadMode, Reply, TapQuery};

/// The metrics in the format that the client asks for.
pub(super) async fn metrics(
    State(Context { to, access, .. }): State<Context>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if !access.keys().anonymous_metrics
        && let Err(problem) = caller.require(Role::Read)
    {
        return problem.into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = MetricsFormat::accepted(accept);
    match reply(&to, Api::Metrics(format)).await {
        Reply { body: Value::String(text), .. } => {
            ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
        }
        problem => problem.into_response(),
    }
}

pub(super) async fn service(_: Reader, State(to): State<Sender>) -> Response {
    ask(&to, Api::Service).await
}

pub(super) async fn pipelines(_: Reader, State(to): State<Sender>) -> Response {
    ask(&to, Api::Pipelines).await
}

pub(super) async fn pipeline(
    _: Reader,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
) -> Response {
    ask(&to, Api::Pipeline(name)).await
}

pub(super) async fn act(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    request: Request,
) -> Response {
    ask(&to, Api::Act(name, request)).await
}

/// Responds when the replay or purge has ended.
pub(super) async fn dead_letters(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<DeadLetterRequest>,
) -> Response {
    let request = Api::Begin(name, JobRequest::DeadLetters(request), true);
    reply_within(Duration::MAX, &to, request).await.into_response()
}

/// Lines of JSON, one for each record, until the run has sent all or the time is over.
pub(super) async fn tap(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    Query(query): Query<TapQuery>,
) -> Response {
    let query = query.limited();
    let (lines, mut sent) = mpsc::unbounded_channel();
    let end = Instant::now() + Duration::from_secs(query.seconds.into());
    let answer = reply(&to, Api::Tap(name, query, lines)).await;
    if answer.status != 200 {
        return answer.into_response();
    }
    let (mut body, channel) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        while let Ok(Some(line)) = tokio::time::timeout_at(end, sent.recv()).await {
            if body.send_data(Bytes::from(format!("{line}\n"))).await.is_err() {
                return;
            }
        }
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(channel)).into_response()
}

pub(super) async fn reload(
    _: Operator,
    State(to): State<Sender>,
    Query(mode): Query<ReloadMode>,
) -> Response {
    ask(&to, Api::Reload(mode)).await
}

pub(super) async fn statistics(_: Operator, State(to): State<Sender>) -> Response {
    ask(&to, Api::Statistics).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogQuery {
    pipeline: Option<String>,
    level: Option<String>,
    since: u64,
}

pub(super) async fn log(_: Reader, State(to): State<Sender>, Query(query): Query<LogQuery>) -> Response {
    let level = query.level.map_or(Level::Warn, |level| Level::read(&level));
    ask(&to, Api::Log { pipeline: query.pipeline, level, since: query.since }).await
}
