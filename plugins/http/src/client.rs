//! Makes requests: one after the other, over a connection that stays open.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use scanbridge_http_route::{Cause, HttpError, NetworkOptions, Route, Routes, Runtime};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Secret, Services};
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

use crate::answer::Response;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Makes requests.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    routes: Routes,
    services: Services,
    timeout: Duration,
    /// Between the starts of two requests.
    interval: Duration,
    last: Option<Instant>,
}

/// Maximum size of a response that is kept, in bytes. That of `_bulk` has less than 1 KiB for each record.
const MAX_RESPONSE: usize = 32 << 20;
/// Interval between two reports to the host during a long request.
const ALIVE: Duration = Duration::from_secs(10);

impl Client {
    /// `interval` is the shortest time between the starts of two requests.
    pub(crate) fn new(
        network: NetworkOptions,
        timeout: Duration,
        interval: Duration,
        services: &Services,
    ) -> Result<Self> {
        Ok(Self {
            runtime: Runtime::new(services)?,
            routes: Routes::new(network, services),
            services: services.clone(),
            timeout,
            interval,
            last: None,
        })
    }

    /// Sends a request and reads the response.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if there is no complete response; what became of the request is then not known.
    pub(crate) fn send(&mut self, request: Request) -> Result<Response> {
        self.wait_for_turn()?;
        let route = self.routes.to(&request.url)?;
        let (services, timeout) = (&self.services, self.timeout);
        let exchange = async {
            let mut ticks = interval(ALIVE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut exchange = std::pin::pin!(exchange(&route, request, timeout));
            loop {
                tokio::select! {
                    done = &mut exchange => return done,
                    _ = ticks.tick() => services.alive(),
                }
            }
        };
        Ok(self.runtime.run(exchange)??)
    }

    fn wait_for_turn(&mut self) -> Result<()> {
        if let Some(last) = self.last {
            let wait = self.interval.saturating_sub(last.elapsed());
            if !wait.is_zero() {
                self.services.sleep(wait)?;
            }
        }
        self.last = Some(Instant::now());
        Ok(())
    }
}

async fn exchange(
    route: &Route,
    request: Request,
    timeout: Duration,
) -> std::result::Result<Response, HttpError> {
    let builder = route.client.request(request.method, request.url).headers(request.headers);
    let mut response = route.send(builder.timeout(timeout).body(request.body)).await?;
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(piece) = route.chunk(&mut response).await? {
        let piece = piece.as_ref();
        if body.len() + piece.len() > MAX_RESPONSE {
            return Err(route.failed(Cause::TooLarge("32 MiB".to_owned())));
        }
        body.extend_from_slice(piece);
    }
    Ok(Response { address: route.address.clone(), status, headers, body })
}

/// A header whose value is not logged.
///
/// # Errors
/// [`ErrorKind::Config`] naming the option: the value has characters that a header cannot have.
pub(crate) fn secret_header(option: &str, value: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
        PluginError::new(
            ErrorKind::Config,
            format!("option `{option}` has a character that a header cannot have"),
        )
        .with_option(option)
        .with_hint("remove line breaks and control characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The name of a header.
pub(crate) fn header_name(option: &str, name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        PluginError::config(format!("option `{option}`: `{name}` is not the name of a header"))
            .with_option(option)
    })
}
