//! One request and its answer.

use std::error::Error;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
};
use hyper_util::rt::TokioIo;
use scanbridge_plugin_api::{ErrorKind, PluginError, Secret, Services};
use tokio::time::timeout;
use url::Url;

use super::body::{Body, Keep, Writer};
use super::connect::{Connector, host_and_port};
use super::trouble::{Cause, Peer, Trouble};
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
    connector: Connector,
    services: Services,
    kept: Option<Kept>,
}

struct Kept {
    host: (String, u16),
    sender: SendRequest<Full<Bytes>>,
}

impl Exchange {
    pub(crate) fn new(network: &Network, services: &Services) -> Self {
        Self { connector: Connector::new(network), services: services.clone(), kept: None }
    }

    /// Asks, and keeps the body as it comes. A kept connection that turns out to be closed is replaced once.
    pub(crate) async fn call(&mut self, request: &Request, keep: &Keep) -> Result<Response, Trouble> {
        let kept = self.kept.is_some();
        match self.call_once(request, keep).await {
            Err(Trouble { cause: Cause::Stale, .. }) if kept => self.call_once(request, keep).await,
            done => done,
        }
    }

    async fn call_once(&mut self, request: &Request, keep: &Keep) -> Result<Response, Trouble> {
        let (host, port) = host_and_port(&request.url);
        let address = format!("{host}:{port}");
        let at = |cause| Trouble { peer: Peer::Qualys, address: address.clone(), cause };
        let mut kept = match self.reuse(&(host.clone(), port)).await {
            Some(kept) => kept,
            None => self.open(&request.url).await?,
        };
        let limit = self.connector.network.read_timeout;
        let sent = kept.sender.try_send_request(http_request(request));
        let mut response = match timeout(limit, sent).await {
            Err(_) => return Err(at(Cause::Silence(limit))),
            Ok(Ok(response)) => response,
            // The request comes back only if nothing of it was sent.
            Ok(Err(mut error)) => match error.take_message() {
                Some(_) => return Err(at(Cause::Stale)),
                None => return Err(self.failed(&address, error.error())),
            },
        };
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = self.receive(response.into_body(), &headers, keep, &address).await?;
        self.kept = Some(kept);
        Ok(Response { status, headers, body })
    }

    /// The kept connection, if it leads there and the other side has not closed it meanwhile.
    async fn reuse(&mut self, host: &(String, u16)) -> Option<Kept> {
        let kept = self.kept.take().filter(|kept| kept.host == *host)?;
        // Nothing was read from it since the last call: now its end is noticed, if it has come.
        tokio::time::sleep(Duration::from_millis(1)).await;
        (kept.sender.is_ready() && !kept.sender.is_closed()).then_some(kept)
    }

    /// Sorts an error that came over a connection.
    fn failed(&mut self, address: &str, error: &(dyn Error + 'static)) -> Trouble {
        let tls = self.connector.tls(Peer::Qualys, address);
        Trouble::of_error(address, error, |error| match tls {
            Ok(tls) => tls.explain(error),
            Err(_) => PluginError::new(ErrorKind::Unavailable, error.to_string()),
        })
    }

    async fn open(&mut self, url: &Url) -> Result<Kept, Trouble> {
        let stream = self.connector.connect(url).await?;
        let host = host_and_port(url);
        let address = format!("{}:{}", host.0, host.1);
        let (sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
            Ok(parts) => parts,
            Err(error) => return Err(self.failed(&address, &error)),
        };
        // Its errors reach the request that is under way.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Kept { host, sender })
    }

    async fn receive(
        &mut self,
        mut body: Incoming,
        headers: &HeaderMap,
        keep: &Keep,
        address: &str,
    ) -> Result<Body, Trouble> {
        let at = |cause| Trouble { peer: Peer::Qualys, address: address.to_owned(), cause };
        let network = self.connector.network.clone();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let gzip = text(CONTENT_ENCODING).is_some_and(|value| value.eq_ignore_ascii_case("gzip"));
        let total = text(CONTENT_LENGTH).and_then(|value| value.parse().ok()).filter(|_| !gzip).unwrap_or(0);
        let mut writer = Writer::new(keep, &self.services, network.max_bytes, gzip).map_err(at)?;
        let (began, mut told) = (Instant::now(), 0);
        loop {
            let frame = timeout(network.read_timeout, body.frame()).await;
            let frame = match frame.map_err(|_| at(Cause::Silence(network.read_timeout)))? {
                None => break,
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(self.failed(address, &error)),
            };
            if let Ok(piece) = frame.into_data() {
                writer.write(&piece).map_err(at)?;
            }
            if began.elapsed() > network.request_timeout {
                return Err(at(Cause::TooLong(network.request_timeout)));
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

fn http_request(request: &Request) -> hyper::Request<Full<Bytes>> {
    let mut builder = hyper::Request::builder();
    let path = match request.url.query() {
        Some(query) => format!("{}?{query}", request.url.path()),
        None => request.url.path().to_owned(),
    };
    builder = builder.uri(path).header(HOST, host_header(&request.url)).header(ACCEPT_ENCODING, "gzip");
    for (name, value) in &request.headers {
        if let Ok(mut value) = hyper::header::HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
    }
    let body = match &request.form {
        None => Full::default(),
        Some(form) => {
            builder = builder.method("POST").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            Full::new(Bytes::copy_from_slice(form.expose().as_bytes()))
        }
    };
    builder.body(body).expect("path and headers are of characters that HTTP takes")
}

fn host_header(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}

/// A header's number.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// How long `Retry-After` asks to wait, where it gives seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    number(headers, "retry-after").map(Duration::from_secs)
}
