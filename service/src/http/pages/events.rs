//! Tells open pages that something has changed (server-sent events).

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::frame::Visitor;
use crate::http::context::Context;
use crate::request::Reply;

/// Streams at one time.
const STREAMS: usize = 16;
/// Pages load again at most this often.
const PAUSE: Duration = Duration::from_secs(2);
/// A line that keeps proxies from closing the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(STREAMS));

pub(super) async fn send(_: Visitor, State(Context { changes, .. }): State<Context>) -> Response {
    let Ok(place) = PLACES.try_acquire() else {
        return Reply::problem(503, "too many open pages", "close some of them").into_response();
    };
    let next = Box::pin(async move { Some((changes, CHANGE)) });
    let events = Events { next, _place: place };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(events)).into_response()
}

const CHANGE: &str = "event: change\ndata: {}\n\n";
const ALIVE: &str = ": alive\n\n";

type Next = Option<(watch::Receiver<()>, &'static str)>;

/// The events of one page. Its place is free as soon as the connection is closed.
struct Events {
    next: Pin<Box<dyn Future<Output = Next> + Send>>,
    _place: SemaphorePermit<'static>,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = ready!(self.next.as_mut().poll(task));
        Poll::Ready(next.map(|(changes, line)| {
            self.next = Box::pin(following(changes));
            Ok(Frame::data(Bytes::from_static(line.as_bytes())))
        }))
    }
}

/// The next change, or a heartbeat. `None` when the service stops.
async fn following(mut changes: watch::Receiver<()>) -> Next {
    tokio::time::sleep(PAUSE).await;
    match tokio::time::timeout(HEARTBEAT, changes.changed()).await {
        Ok(Ok(())) => Some((changes, CHANGE)),
        Ok(Err(_)) => None,
        Err(_) => Some((changes, ALIVE)),
    }
}
