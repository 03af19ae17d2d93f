//! Counts HTTP requests and their durations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use scanbridge_observe::HttpMetrics;

/// What was counted since the service has started.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<HttpMetrics>);

impl Requests {
    pub(crate) fn metrics(&self) -> HttpMetrics {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Passes a request on, and counts it.
pub(crate) async fn count(State(requests): State<Arc<Requests>>, request: Request, next: Next) -> Response {
    // The pattern of the route, and only known methods: a client must not make more and more labels.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("other", MatchedPath::as_str).to_owned();
    let is_known =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE);
    let method = if is_known { request.method().as_str() } else { "other" }.to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let mut metrics = requests.0.lock().unwrap_or_else(PoisonError::into_inner);
    metrics.durations.entry(route.clone()).or_default().add(begun.elapsed());
    *metrics.requests.entry((route, method, response.status().as_u16())).or_default() += 1;
    response
}
