//! One request and its answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use scanbridge_plugin_api::{Secret, Services};
use url::Url;

use super::body::{Body, Keep, Writer};
use super::http_error::{Cause, HttpError, Peer};
use super::route::{Route, address};
use super::sorting::sort;
use crate::options::Network;

/// What is asked.
pub(crate) struct Request {
    pub(crate) url: Url,
    /// A form makes it a POST.
    pub(crate) form: Option<Secret>,
    /// Headers, some of which are secret.
    pub(crate) headers: Vec<(&'static str, Secret)>,
}

/// What came.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Makes calls, one after the other, and keeps the connection between them.
pub(crate) struct Exchange {
    network: Network,
    services: Services,
    /// By `host:port`.
    ways: HashMap<String, Route>,
}

impl Exchange {
    pub(crate) fn new(network: &Network, services: &Services) -> Self {
        Self { network: network.clone(), services: services.clone(), ways: HashMap::new() }
    }

    /// Asks, and keeps the body as it comes. A kept connection that turns out to be closed is replaced.
    pub(crate) async fn call(&mut self, request: &Request, keep: &Keep) -> Result<Response, HttpError> {
        let way = self.way(&request.url)?;
        // Nothing was read from a kept connection since the last call: now its end is noticed, if it has come.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut response = match http_request(&way, request).send().await {
            Ok(response) => response,
            Err(error) => return Err(sort(&way, &error).await),
        };
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = self.receive(response, &headers, keep, &way).await?;
        Ok(Response { status, headers, body })
    }

    fn way(&mut self, url: &Url) -> Result<Route, HttpError> {
        let address = address(url);
        if let Some(way) = self.ways.get(&address) {
            return Ok(way.clone());
        }
        let way = Route::new(&self.network, url)?;
        self.ways.insert(address, way.clone());
        Ok(way)
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        headers: &HeaderMap,
        keep: &Keep,
        way: &Route,
    ) -> Result<Body, HttpError> {
        let at = |cause| HttpError { peer: Peer::Qualys, address: way.address.clone(), cause };
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let gzip = text(CONTENT_ENCODING).is_some_and(|value| value.eq_ignore_ascii_case("gzip"));
        let total = text(CONTENT_LENGTH).and_then(|value| value.parse().ok()).filter(|_| !gzip).unwrap_or(0);
        let mut writer = Writer::new(keep, &self.services, self.network.max_bytes, gzip).map_err(at)?;
        let (began, mut told) = (Instant::now(), 0);
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(piece)) => writer.write(&piece).map_err(at)?,
                Err(error) => return Err(sort(way, &error).await),
            }
            if began.elapsed() > self.network.request_timeout {
                return Err(at(Cause::TooLong(self.network.request_timeout)));
            }
            if writer.length() >= told + TOLD_EVERY {
                told = writer.length();
                self.services.progress(told, if told > total { 0 } else { total });
            }
        }
        writer.finish().map_err(at)
    }
}

/// The host is told of so many bytes at a time.
const TOLD_EVERY: u64 = 1 << 20;

fn http_request(way: &Route, request: &Request) -> reqwest::RequestBuilder {
    let mut builder = match &request.form {
        None => way.client.get(request.url.clone()),
        Some(form) => way
            .client
            .post(request.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.expose().to_owned()),
    };
    // It is unpacked on its way to the file, where its size is bounded.
    builder = builder.header(ACCEPT_ENCODING, "gzip");
    for (name, value) in &request.headers {
        if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
    }
    builder
}

/// A header's number.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A header's number of seconds to wait.
pub(crate) fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    number(headers, name).map(to_wait)
}

/// How long somebody asks to wait. Nobody means more than a month, and no clock has room for every number.
pub(crate) fn to_wait(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(30 * 86_400))
}
