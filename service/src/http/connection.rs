//! One HTTP connection, with limits on what a client can occupy.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::caller::Origin;
use super::timed::Timed;
use crate::request::Reply;

/// Time for a request, also for the next one of a connection that stays open.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_HEADER: usize = 16 << 10;
const MAX_BODY: usize = 64 << 10;
/// A list of thousands of reports from a command on the machine itself.
const MAX_LOCAL_BODY: usize = 8 << 20;

/// Answers the requests of a connection until the client closes it or becomes too slow.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    origin: Origin,
) {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(origin.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(Timed::new(stream)), answer);
    // The client has gone, or sent what is not HTTP: hyper has answered that.
    let _ = connection.await;
}

/// Reads the whole body before the request is handled, so that a slow or endless one does not delay other requests.
pub(super) async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_local = matches!(parts.extensions.get(), Some(Origin::Socket(_)));
    let limit = if is_local { MAX_LOCAL_BODY } else { MAX_BODY };
    let body = match tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("at most {limit} bytes");
            return Reply::problem(413, "the body is too large", &detail).into_response();
        }
        Ok(Err(_)) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => return Reply::problem(408, "the request timed out", "").into_response(),
    };
    next.run(Request::from_parts(parts, Body::from(body))).await
}
