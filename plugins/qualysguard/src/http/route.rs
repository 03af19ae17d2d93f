//! The way to one host: a reqwest client that does what the settings say and nothing by itself.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::ClientConfig;
use scanbridge_plugin_api::PluginError;
use scanbridge_tls_identity::{ClientTls, TlsOptions};
use url::Url;

use super::hops::{self, HandshakeOrder};
use super::http_error::{Cause, HttpError, Peer};
use super::names::Names;
use super::tunnel::basic;
use crate::options::{Network, Proxy};

/// How one host is reached.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) client: Client,
    /// Host and port of Qualys.
    pub(super) address: String,
    pub(super) tls: ClientTls,
    pub(super) proxy: Option<ViaProxy>,
    pub(super) names: Names,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
}

/// The proxy on the way.
#[derive(Debug, Clone)]
pub(super) struct ViaProxy {
    pub(super) proxy: Proxy,
    /// If it speaks TLS itself. The client certificate is not in it, nor what is expected of Qualys alone.
    pub(super) tls: Option<ClientTls>,
}

impl Route {
    /// Opens no connection yet.
    pub(super) fn new(network: &Network, url: &Url) -> Result<Self, HttpError> {
        let address = address(url);
        let at = |cause| HttpError { peer: Peer::Qualys, address: address.clone(), cause };
        let tls = network.tls.client(&address).map_err(Cause::Tls).map_err(at)?;
        let proxy = network.proxy.clone().filter(|proxy| proxy.serves(url.host_str().unwrap_or_default()));
        let proxy = proxy.map(|proxy| ViaProxy::new(proxy, &network.tls)).transpose()?;
        let (config, turn) = match proxy.as_ref().and_then(|via| via.tls.as_ref()) {
            Some(to_proxy) => {
                let (config, turn) = hops::two_in_one(to_proxy, &tls);
                (config, Some(turn))
            }
            None => (ClientConfig::clone(&tls.config()), None),
        };
        let names = Names { first: network.ip_version };
        let mut builder = builder(network, names).tls_backend_preconfigured(config);
        if let Some(via) = &proxy {
            builder = builder.proxy(via.for_reqwest(turn)?);
        }
        let client = builder.build().map_err(|error| {
            at(Cause::Settings(PluginError::bug(format!("cannot create the HTTP client: {error}"))))
        })?;
        let (connect_timeout, read_timeout) = (network.connect_timeout, network.read_timeout);
        Ok(Self { client, address, tls, proxy, names, connect_timeout, read_timeout })
    }
}

impl ViaProxy {
    fn new(proxy: Proxy, options: &TlsOptions) -> Result<Self, HttpError> {
        let options = TlsOptions { ca_file: options.ca_file.clone(), ..TlsOptions::default() };
        let tls = proxy.tls.then(|| options.client(&proxy.shown())).transpose();
        let tls = tls.map_err(|error| trouble(&proxy, Cause::Tls(error)))?;
        Ok(Self { proxy, tls })
    }

    fn for_reqwest(&self, turn: Option<HandshakeOrder>) -> Result<reqwest::Proxy, HttpError> {
        let Proxy { tls, host, port, login, .. } = &self.proxy;
        let scheme = if *tls { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = Url::parse(&format!("{scheme}://{host}:{port}"))
            .map_err(|error| trouble(&self.proxy, Cause::Name(error.to_string())))?;
        // Asked for each connection, and only then.
        let proxy = reqwest::Proxy::custom(move |_| {
            if let Some(turn) = &turn {
                turn.begin();
            }
            Some(url.clone())
        });
        let Some((user, password)) = login else { return Ok(proxy) };
        let mut login = HeaderValue::from_str(basic(user, password).expose())
            .expect("base64 is of characters that HTTP takes");
        login.set_sensitive(true);
        Ok(proxy.custom_http_auth(login))
    }
}

/// A client that follows, asks, repeats and unpacks nothing on its own account.
fn builder(network: &Network, names: Names) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .https_only(true)
        .http1_only()
        .dns_resolver(names)
        .connect_timeout(network.connect_timeout)
        .read_timeout(network.read_timeout)
        .pool_max_idle_per_host(1)
        // Reports take minutes in which nothing is said; firewalls forget connections sooner.
        .tcp_keepalive(Duration::from_secs(30))
}

/// `host:port`.
pub(super) fn address(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443))
}

fn trouble(proxy: &Proxy, cause: Cause) -> HttpError {
    HttpError { peer: Peer::Proxy, address: proxy.shown(), cause }
}
