//! HTTP on the control socket. The file permissions of the socket decide who may connect, the user of the other process
//! decides what it may do.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;
use std::{fs, thread};

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use http_body_util::channel::Channel;
use scanbridge_observe::MetricsFormat;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::dead_letter_request::DeadLetterRequest;
use crate::log_sink::Level;
use crate::machine::Request;
use crate::message::Message;
use crate::request::{Api, ReloadMode, Reply, TapQuery};
use crate::requests::{Requests, count};

/// How long the main loop may take. A reload starts a process of the host.
const LIMIT: Duration = Duration::from_secs(90);

/// A control socket that accepts connections.
pub(crate) struct Control {
    listener: std::os::unix::net::UnixListener,
}

impl Control {
    /// Replaces a socket that a killed service has left. The caller holds the lock of the state directory.
    ///
    /// # Errors
    /// When the socket cannot be created.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Answers requests in a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn serve(self, sender: SyncSender<Message>, requests: Arc<Requests>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = move || {
            runtime.block_on(async {
                if let Ok(listener) = UnixListener::from_std(self.listener) {
                    let router = router(sender, requests).into_make_service_with_connect_info::<Peer>();
                    let _ = axum::serve(listener, router).await;
                }
            });
        };
        thread::Builder::new().name("control".to_owned()).spawn(serve)?;
        Ok(())
    }
}

/// The user of the process at the other end.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

impl Peer {
    /// Root and the user of the service may do this; members of its group may read.
    fn may_operate(self) -> bool {
        self.0.is_some_and(|user| user == 0 || user == rustix::process::geteuid().as_raw())
    }
}

type Sender = SyncSender<Message>;

fn router(sender: Sender, requests: Arc<Requests>) -> Router {
    Router::new()
        .route("/health/live", get(async |State(to): State<Sender>| ask(&to, Api::Live).await))
        .route("/health/ready", get(async |State(to): State<Sender>| ask(&to, Api::Ready).await))
        .route("/metrics", get(metrics))
        .route("/api/v1/service", get(async |State(to): State<Sender>| ask(&to, Api::Service).await))
        .route("/api/v1/pipelines", get(async |State(to): State<Sender>| ask(&to, Api::Pipelines).await))
        .route("/api/v1/pipelines/{name}", get(pipeline))
        .route("/api/v1/pipelines/{name}/dead-letters", post(dead_letters))
        .route("/api/v1/pipelines/{name}/{action}", post(act))
        .route("/api/v1/pipelines/{name}/tap", post(tap))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/statistics", post(statistics))
        .route("/api/v1/log", get(log))
        .fallback(async |uri: Uri| {
            Reply::problem(404, &format!("no route {}", uri.path()), "").into_response()
        })
        .with_state(sender)
        .layer(from_fn_with_state(requests, count))
}

/// The metrics in the format that the client asks for.
async fn metrics(State(to): State<Sender>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = MetricsFormat::accepted(accept);
    match reply(&to, Api::Metrics(format)).await {
        Reply { body: Value::String(text), .. } => {
            ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
        }
        problem => problem.into_response(),
    }
}

async fn pipeline(State(to): State<Sender>, UrlPath(name): UrlPath<String>) -> Response {
    ask(&to, Api::Pipeline(name)).await
}

async fn act(
    State(to): State<Sender>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath((name, action)): UrlPath<(String, String)>,
) -> Response {
    let request = match action.as_str() {
        "run" => Request::Run,
        "pause" => Request::Pause,
        "resume" => Request::Resume,
        "stop" => Request::Stop,
        other => return Reply::problem(404, &format!("no action `{other}`"), "").into_response(),
    };
    change(&to, peer, Api::Act(name, request)).await
}

/// Responds when the replay or purge has ended.
async fn dead_letters(
    State(to): State<Sender>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<DeadLetterRequest>,
) -> Response {
    if !peer.may_operate() {
        return not_permitted().into_response();
    }
    reply_within(Duration::MAX, &to, Api::DeadLetters(name, request)).await.into_response()
}

/// Lines of JSON, one for each record, until the run has sent all or the time is over.
async fn tap(
    State(to): State<Sender>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath(name): UrlPath<String>,
    Query(query): Query<TapQuery>,
) -> Response {
    if !peer.may_operate() {
        return not_permitted().into_response();
    }
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

async fn reload(
    State(to): State<Sender>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(mode): Query<ReloadMode>,
) -> Response {
    change(&to, peer, Api::Reload(mode)).await
}

async fn statistics(State(to): State<Sender>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    change(&to, peer, Api::Statistics).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogQuery {
    pipeline: Option<String>,
    level: Option<String>,
    since: u64,
}

async fn log(State(to): State<Sender>, Query(query): Query<LogQuery>) -> Response {
    let level = query.level.map_or(Level::Warn, |level| Level::read(&level));
    ask(&to, Api::Log { pipeline: query.pipeline, level, since: query.since }).await
}

async fn change(to: &Sender, peer: Peer, request: Api) -> Response {
    if !peer.may_operate() {
        return not_permitted().into_response();
    }
    ask(to, request).await
}

fn not_permitted() -> Reply {
    Reply::problem(403, "permission denied", "only root and the user of the service may do this")
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
