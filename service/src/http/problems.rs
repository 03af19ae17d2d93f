//! Errors that are found before a handler is called, such as an invalid query, in the form of all others (RFC 9457).

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::request::Reply;

/// Such a text is a sentence.
const MAX_TEXT: usize = 4 << 10;

/// Replaces the body of an error response that is neither a problem nor a page.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let (status, kind) = (response.status(), response.headers().get(header::CONTENT_TYPE));
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !is_plain {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let text = scanbridge_observe::without_controls(&String::from_utf8_lossy(&text)).into_owned();
    let title = match status {
        StatusCode::BAD_REQUEST => "the request is invalid",
        StatusCode::UNPROCESSABLE_ENTITY => "the body is invalid",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body has another type",
        StatusCode::METHOD_NOT_ALLOWED => "the route has no such method",
        status => status.canonical_reason().unwrap_or("error"),
    };
    let mut problem = Reply::problem(status.as_u16(), title, text.trim()).into_response();
    for name in [header::ALLOW, header::RETRY_AFTER, header::VARY] {
        if let Some(value) = parts.headers.get(&name) {
            let value: HeaderValue = value.clone();
            problem.headers_mut().insert(name, value);
        }
    }
    problem
}
