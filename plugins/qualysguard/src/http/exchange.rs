//! Sends requests and receives responses.

use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use scanbridge_http_route::{Cause, HttpError, Route, Routes};
use scanbridge_plugin_api::{Secret, Services};
use url::Url;

use super::body::{Body, Keep, Writer};
use crate::options::Network;

/// An HTTP request.
pub(crate) struct Request {
    pub(crate) url: Url,
    /// URL-encoded form; present: POST, otherwise GET.
    pub(crate) form: Option<Secret>,
    /// Headers; some contain credentials.
    pub(crate) headers: Vec<(&'static str, Secret)>,
}

/// An HTTP response with its body.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Makes calls one after the other and keeps connections open between them.
pub(crate) struct Exchange {
    network: Network,
    services: Services,
    routes: Routes,
}

impl Exchange {
    pub(crate) fn new(network: &Network, services: &Services) -> Self {
        let routes = Routes::new(network.route.clone(), services);
        Self { network: network.clone(), services: services.clone(), routes }
    }

    /// Sends a request and writes the body to a file while it arrives. A closed kept-alive connection is
    /// replaced.
    pub(crate) async fn call(&mut self, request: &Request, keep: &Keep) -> Result<Response, HttpError> {
        let route = self.routes.to(&request.url)?;
        let mut response = route.send(http_request(&route, request)).await?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = self.receive(response, &headers, keep, &route).await?;
        Ok(Response { status, headers, body })
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        headers: &HeaderMap,
        keep: &Keep,
        route: &Route,
    ) -> Result<Body, HttpError> {
        let at = |cause| route.failed(cause);
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let gzip = text(CONTENT_ENCODING).is_some_and(|value| value.eq_ignore_ascii_case("gzip"));
        let total = text(CONTENT_LENGTH).and_then(|value| value.parse().ok()).filter(|_| !gzip).unwrap_or(0);
        let mut writer = Writer::new(keep, &self.services, self.network.max_bytes, gzip).map_err(at)?;
        let (began, mut reported) = (Instant::now(), 0);
        loop {
            match route.chunk(&mut response).await? {
                None => break,
                Some(piece) => writer.write(piece.as_ref()).map_err(at)?,
            }
            if began.elapsed() > self.network.request_timeout {
                return Err(at(Cause::ResponseTimeout(self.network.request_timeout)));
            }
            if writer.length() >= reported + PROGRESS_BYTES {
                reported = writer.length();
                self.services.progress(reported, Some(total).filter(|total| *total >= reported));
            }
        }
        writer.finish().map_err(at)
    }
}

/// Number of bytes between two progress reports to the host.
const PROGRESS_BYTES: u64 = 1 << 20;

fn http_request(route: &Route, request: &Request) -> reqwest::RequestBuilder {
    let mut builder = match &request.form {
        None => route.client.get(request.url.clone()),
        Some(form) => route
            .client
            .post(request.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.expose().to_owned()),
    };
    // `Writer` decompresses the body, because it limits the decompressed size.
    builder = builder.header(ACCEPT_ENCODING, "gzip");
    for (name, value) in &request.headers {
        if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
    }
    builder
}

/// The number in a header.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The number of seconds to wait in a header.
pub(crate) fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    number(headers, name).map(to_wait)
}

/// A requested wait. Clamped to 30 days: larger values overflow `Instant`.
pub(crate) fn to_wait(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(30 * 86_400))
}
