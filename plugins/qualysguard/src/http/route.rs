//! The route to one host: a reqwest client with all implicit behavior disabled.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::ClientConfig;
use scanbridge_dialer::{Dialer, SourceAddress};
use scanbridge_plugin_api::{PluginError, Services};
use scanbridge_tls_identity::{ClientTls, PeerExpiry, TlsOptions};
use url::Url;

use super::dns::DnsResolver;
use super::hops::{self, HandshakeOrder};
use super::http_error::{Cause, HttpError, Peer};
use crate::options::{Network, Proxy, basic};

/// The route to one host.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) client: Client,
    /// Host and port of Qualys.
    pub(super) address: String,
    pub(super) tls: ClientTls,
    pub(super) proxy: Option<ViaProxy>,
    pub(super) dialer: Dialer,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
}

/// The proxy on a route.
#[derive(Debug, Clone)]
pub(super) struct ViaProxy {
    pub(super) proxy: Proxy,
    /// TLS settings of an `https://` proxy, without the client certificate and the rules that apply only to
    /// Qualys.
    pub(super) tls: Option<ClientTls>,
}

impl Route {
    /// Creates a route; opens no connection yet.
    pub(super) fn new(
        network: &Network,
        services: &Services,
        expiry: &PeerExpiry,
        url: &Url,
    ) -> Result<Self, HttpError> {
        let address = address(url);
        let at = |cause| HttpError { peer: Peer::Qualys, address: address.clone(), cause };
        let tls = network.tls.client(&address).map_err(|error| Cause::Tls(Box::new(error))).map_err(at)?;
        let proxy = network.proxy.clone().filter(|proxy| proxy.serves(url.host_str().unwrap_or_default()));
        let proxy = proxy.map(|proxy| ViaProxy::new(proxy, &network.tls)).transpose()?;
        let to_proxy = proxy.as_ref().and_then(|via| via.tls.as_ref());
        [Some(&tls), to_proxy].into_iter().flatten().for_each(|tls| tls.measure_peer(expiry));
        let (config, order) = match to_proxy {
            Some(to_proxy) => {
                let (config, order) = hops::config_for_both_hops(to_proxy, &tls);
                (config, Some(order))
            }
            None => (ClientConfig::clone(&tls.config()), None),
        };
        let dialer = Dialer::new(services).prefer(network.ip_version).from_address(network.source);
        let mut builder = builder(network, DnsResolver(dialer.clone())).tls_backend_preconfigured(config);
        if let Some(via) = &proxy {
            builder = builder.proxy(via.for_reqwest(order)?);
        }
        let client = builder.build().map_err(|error| {
            at(Cause::Settings(Box::new(PluginError::bug(format!("cannot create the HTTP client: {error}")))))
        })?;
        let (connect_timeout, read_timeout) = (network.connect_timeout, network.read_timeout);
        Ok(Self { client, address, tls, proxy, dialer, connect_timeout, read_timeout })
    }
}

impl ViaProxy {
    fn new(proxy: Proxy, options: &TlsOptions) -> Result<Self, HttpError> {
        let (ca_file, fips) = (options.ca_file.clone(), options.fips);
        let options = TlsOptions { ca_file, fips, ..TlsOptions::default() };
        let tls = proxy.tls.then(|| options.client(&proxy.shown())).transpose();
        let tls = tls.map_err(|error| proxy_error(&proxy, Cause::Tls(Box::new(error))))?;
        Ok(Self { proxy, tls })
    }

    fn for_reqwest(&self, order: Option<HandshakeOrder>) -> Result<reqwest::Proxy, HttpError> {
        let Proxy { tls, host, port, login, .. } = &self.proxy;
        let scheme = if *tls { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = Url::parse(&format!("{scheme}://{host}:{port}"))
            .map_err(|error| proxy_error(&self.proxy, Cause::Dns(error.to_string())))?;
        // reqwest calls this once per new connection, and at no other time.
        let proxy = reqwest::Proxy::custom(move |_| {
            if let Some(order) = &order {
                order.begin();
            }
            Some(url.clone())
        });
        let Some((user, password)) = login else { return Ok(proxy) };
        let mut login = HeaderValue::from_str(basic(user, password).expose())
            .expect("base64 consists of valid header characters");
        login.set_sensitive(true);
        Ok(proxy.custom_http_auth(login))
    }
}

/// A client without redirects, retries and environment proxies.
fn builder(network: &Network, dns: DnsResolver) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .https_only(true)
        .http1_only()
        .dns_resolver(dns)
        .local_address(network.source.map(SourceAddress::ip))
        .connect_timeout(network.connect_timeout)
        .read_timeout(network.read_timeout)
        .pool_max_idle_per_host(1)
        // Qualys may prepare a report for minutes without sending data; firewalls drop idle connections
        // sooner.
        .tcp_keepalive(Duration::from_secs(30))
}

/// `host:port`.
pub(super) fn address(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443))
}

fn proxy_error(proxy: &Proxy, cause: Cause) -> HttpError {
    HttpError { peer: Peer::Proxy { tls: proxy.tls }, address: proxy.shown(), cause }
}
