//! Sends requests and receives responses.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use scanbridge_http_route::{Cause, HttpError, Peer, Route, address, classify};
use scanbridge_plugin_api::{Secret, Services};
use scanbridge_tls_identity::PeerExpiry;
use url::Url;

use super::body::{Body, Keep, Writer};
use crate::options::{Network, WORDING};

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
    expiry: PeerExpiry,
    /// By `host:port`.
    routes: HashMap<String, Route>,
}

impl Exchange {
    pub(crate) fn new(network: &Network, services: &Services) -> Self {
        let expiry = PeerExpiry::new(services);
        Self { network: network.clone(), services: services.clone(), expiry, routes: HashMap::new() }
    }

    /// Sends a request and writes the body to a file while it arrives. A closed kept-alive connection is
    /// replaced.
    pub(crate) async fn call(&mut self, request: &Request, keep: &Keep) -> Result<Response, HttpError> {
        let route = self.route(&request.url)?;
        // Lets the runtime poll the idle connection, so that a close by the peer is noticed before it is
        // reused.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut response = match http_request(&route, request).send().await {
            Ok(response) => response,
            Err(error) => return Err(classify(&route, &error).await),
        };
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = self.receive(response, &headers, keep, &route).await?;
        Ok(Response { status, headers, body })
    }

    fn route(&mut self, url: &Url) -> Result<Route, HttpError> {
        let address = address(url);
        if let Some(route) = self.routes.get(&address) {
            return Ok(route.clone());
        }
        let route = Route::new(&self.network.route, &self.services, &self.expiry, url)?;
        self.routes.insert(address, route.clone());
        Ok(route)
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        headers: &HeaderMap,
        keep: &Keep,
        route: &Route,
    ) -> Result<Body, HttpError> {
        let at = |cause| HttpError {
            peer: Peer::Destination,
            address: route.address.clone(),
            cause,
            wording: &WORDING,
        };
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let gzip = text(CONTENT_ENCODING).is_some_and(|value| value.eq_ignore_ascii_case("gzip"));
        let total = text(CONTENT_LENGTH).and_then(|value| value.parse().ok()).filter(|_| !gzip).unwrap_or(0);
        let mut writer = Writer::new(keep, &self.services, self.network.max_bytes, gzip).map_err(at)?;
        let (began, mut reported) = (Instant::now(), 0);
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(piece)) => writer.write(&piece).map_err(at)?,
                Err(error) => return Err(classify(route, &error).await),
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
