//! Tells open pages that something has changed (server-sent events).

use std::sync::LazyLock;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use tokio::sync::Semaphore;

use super::frame::Visitor;
use crate::http::context::Context;
use crate::request::Reply;

/// Streams at one time.
const STREAMS: usize = 16;
/// Pages load again at most this often.
const PAUSE: Duration = Duration::from_secs(2);
/// A line that keeps proxies from closing the connection, and notices a client that has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(STREAMS));

pub(super) async fn send(_: Visitor, State(Context { mut changes, .. }): State<Context>) -> Response {
    let Ok(place) = PLACES.try_acquire() else {
        return Reply::problem(503, "too many open pages", "close some of them").into_response();
    };
    let (mut body, channel) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        let _place = place;
        changes.mark_changed();
        loop {
            let line = match tokio::time::timeout(HEARTBEAT, changes.changed()).await {
                Ok(Ok(())) => "event: change\ndata: {}\n\n",
                Ok(Err(_)) => return,
                Err(_) => ": alive\n\n",
            };
            changes.mark_unchanged();
            if body.send_data(Bytes::from_static(line.as_bytes())).await.is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(channel)).into_response()
}
