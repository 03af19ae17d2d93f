//! What handlers need, and how they ask the main loop.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use axum::extract::FromRef;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{oneshot, watch};

use super::access::Access;
use super::host::Host;
use super::lists::Lists;
use crate::message::Message;
use crate::request::{Api, Reply};

/// How long the main loop may take. A reload starts a process of the host.
const LIMIT: Duration = Duration::from_secs(90);

/// The main loop.
pub(crate) type Sender = SyncSender<Message>;

/// What handlers need.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) to: Sender,
    pub(crate) access: Arc<Access>,
    pub(crate) host: Host,
    /// The lists of stored reports that were asked for.
    pub(crate) lists: Lists,
    /// Notified when pages may have changed.
    pub(crate) changes: watch::Receiver<()>,
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

/// The response of the main loop.
pub(super) async fn ask(to: &Sender, request: Api) -> Response {
    reply(to, request).await.into_response()
}

/// Passes a request to the main loop and waits for its reply.
pub(super) async fn reply(to: &Sender, request: Api) -> Reply {
    reply_within(LIMIT, to, request).await
}

/// Like [`reply`], with another time limit.
pub(super) async fn reply_within(limit: Duration, to: &Sender, request: Api) -> Reply {
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
