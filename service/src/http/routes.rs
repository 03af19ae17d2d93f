//! The routes of the service.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, FromRef, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http_body_util::channel::Channel;
use scanbridge_observe::{MetricsFormat, Role};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::access::Access;
use super::audit::identify;
use super::caller::{Caller, Operator, Reader};
use super::connection::whole_body;
use super::headers::add_headers;
use super::host_check::check_host;
use super::requests::{Requests, count};
use super::token_routes;
use crate::dead_letter_request::DeadLetterRequest;
use crate::log_sink::Level;
use crate::machine::Request;
use crate::message::Message;
use crate::request::{Api, ReloadMode, Reply, TapQuery};

/// How long the main loop may take. A reload starts a process of the host.
const LIMIT: Duration = Duration::from_secs(90);

type Sender = SyncSender<Message>;

/// What handlers need.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) to: Sender,
    pub(super) access: Arc<Access>,
}

impl FromRef<Context> for Sender {
    fn from_ref(context: &Context) -> Self {
        context.to.clone()
    }
}

impl FromRef<Context> for Arc<Access> {
    fn from_ref(context: &Context) -> Self {
        Arc::clone(&context.access)
    }
}

pub(super) fn router(context: Context, requests: Arc<Requests>) -> Router {
    let read = |request: fn() -> Api| {
        get(async move |_: Reader, State(to): State<Sender>| ask(&to, request()).await)
    };
    Router::new()
        .route("/health/live", get(async |State(to): State<Sender>| ask(&to, Api::Live).await))
        .route("/health/ready", get(async |State(to): State<Sender>| ask(&to, Api::Ready).await))
        .route("/metrics", get(metrics))
        .route("/api/v1/service", read(|| Api::Service))
        .route("/api/v1/pipelines", read(|| Api::Pipelines))
        .route("/api/v1/pipelines/{name}", get(pipeline))
        .route("/api/v1/pipelines/{name}/dead-letters", post(dead_letters))
        .route("/api/v1/pipelines/{name}/{action}", post(act))
        .route("/api/v1/pipelines/{name}/tap", post(tap))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/statistics", post(statistics))
        .route("/api/v1/log", get(log))
        .route("/api/v1/tokens", get(token_routes::list).post(token_routes::add))
        .route("/api/v1/tokens/{name}", delete(token_routes::revoke))
        .fallback(async |uri: Uri| {
            Reply::problem(404, &format!("no route {}", uri.path()), "").into_response()
        })
        .layer(from_fn(whole_body))
        .layer(from_fn_with_state(context.clone(), identify))
        .layer(from_fn_with_state(context.clone(), check_host))
        .layer(from_fn(add_headers))
        .layer(from_fn_with_state(requests, count))
        .with_state(context)
}

/// The metrics in the format that the client asks for.
async fn metrics(
    State(Context { to, access }): State<Context>,
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

async fn pipeline(_: Reader, State(to): State<Sender>, UrlPath(name): UrlPath<String>) -> Response {
    ask(&to, Api::Pipeline(name)).await
}

async fn act(
    _: Operator,
    State(to): State<Sender>,
    UrlPath((name, action)): UrlPath<(String, String)>,
) -> Response {
    let request = match action.as_str() {
        "run" => Request::Run,
        "pause" => Request::Pause,
        "resume" => Request::Resume,
        "stop" => Request::Stop,
        other => return Reply::problem(404, &format!("no action `{other}`"), "").into_response(),
    };
    ask(&to, Api::Act(name, request)).await
}

/// Responds when the replay or purge has ended.
async fn dead_letters(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<DeadLetterRequest>,
) -> Response {
    reply_within(Duration::MAX, &to, Api::DeadLetters(name, request)).await.into_response()
}

/// Lines of JSON, one for each record, until the run has sent all or the time is over.
async fn tap(
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

async fn reload(_: Operator, State(to): State<Sender>, Query(mode): Query<ReloadMode>) -> Response {
    ask(&to, Api::Reload(mode)).await
}

async fn statistics(_: Operator, State(to): State<Sender>) -> Response {
    ask(&to, Api::Statistics).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogQuery {
    pipeline: Option<String>,
    level: Option<String>,
    since: u64,
}

async fn log(_: Reader, State(to): State<Sender>, Query(query): Query<LogQuery>) -> Response {
    let level = query.level.map_or(Level::Warn, |level| Level::read(&level));
    ask(&to, Api::Log { pipeline: query.pipeline, level, since: query.since }).await
}

async fn ask(to: &Sender, request: Api) -> Response {
    reply(to, request).await.into_response()
}

/// Passes a request to the main loop and waits for its reply.
async fn reply(to: &Sender, request: Api) -> Reply {
    reply_within(LIMIT, to, request).await
}

async fn reply_within(limit: Duration, to: &Sender, request: Api) -> Reply {
    let (sender, receiver) = oneshot::channel();
    match to.try_send(Message::Api(request, sender)) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            return Reply::problem(503, "the service is busy", "try again");
        }
        Err(TrySendError::Disconnected(_)) => {
            return Reply::problem(503, "the service is stopping", "");
        }
    }
    match tokio::time::timeout(limit, receiver).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::problem(503, "the service is stopping", ""),
        Err(_) => Reply::problem(504, "the service timed out", ""),
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if self.status < 400 || self.body.get("title").is_none() {
            "application/json"
        } else {
            "application/problem+json"
        };
        (status, [(header::CONTENT_TYPE, kind)], self.body.to_string()).into_response()
    }
}
