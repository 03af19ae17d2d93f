//! The route to one host: a reqwest client with all implicit behavior disabled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::ClientConfig;
use scanbridge_dialer::{Dialer, SourceAddress};
use scanbridge_plugin_api::{PluginError, Services};
use scanbridge_tls_identity::{ClientTls, PeerExpiry, TlsOptions};
use url::Url;

use crate::dns::DnsResolver;
use crate::hops::{self, HandshakeOrder};
use crate::http_error::{Cause, HttpError, Peer, Wording};
use crate::network::NetworkOptions;
use crate::proxy::{Proxy, basic};

/// The route to one host.
#[derive(Debug, Clone)]
pub struct Route {
    /// The client. Its requests go to this host only.
    pub client: Client,
    /// Host and port of the destination.
    pub address: String,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) proxy: Option<ViaProxy>,
    pub(crate) dialer: Dialer,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) wording: &'static Wording,
}

/// The proxy on a route.
#[derive(Debug, Clone)]
pub(crate) struct ViaProxy {
    pub(crate) proxy: Proxy,
    /// TLS settings of an `https://` proxy, without the client certificate and the rules that apply only to
    /// the destination.
    pub(crate) tls: Option<ClientTls>,
}

impl Route {
    fn new(
        network: &NetworkOptions,
        services: &Services,
        expiry: &PeerExpiry,
        url: &Url,
    ) -> Result<Self, HttpError> {
        let address = address(url);
        let wording = network.wording;
        let at = |cause| HttpError { peer: Peer::Destination, address: address.clone(), cause, wording };
        let is_tls = url.scheme() == "https";
        let tls = is_tls.then(|| network.tls.client(&address)).transpose();
        let tls = tls.map_err(|error| Cause::Tls(Box::new(error))).map_err(at)?;
        let proxy = network.proxy.clone().filter(|proxy| proxy.serves(url.host_str().unwrap_or_default()));
        let proxy = proxy.map(|proxy| ViaProxy::new(proxy, network)).transpose()?;
        let to_proxy = proxy.as_ref().and_then(|via| via.tls.as_ref());
        [tls.as_ref(), to_proxy].into_iter().flatten().for_each(|tls| tls.measure_peer(expiry));
        let (config, order) = match (to_proxy, &tls) {
            (Some(to_proxy), Some(tls)) => {
                let (config, order) = hops::config_for_both_hops(to_proxy, tls);
                (config, Some(order))
            }
            (Some(only), None) | (None, Some(only)) => (ClientConfig::clone(&only.config()), None),
            (None, None) => (without_authorities(), None),
        };
        let dialer = Dialer::new(services).prefer(network.ip_version).from_address(network.source);
        let mut builder = builder(network, DnsResolver(dialer.clone()))
            .https_only(is_tls)
            .tls_backend_preconfigured(config);
        if let Some(via) = &proxy {
            builder = builder.proxy(via.for_reqwest(order, wording)?);
        }
        let client = builder.build().map_err(|error| {
            at(Cause::Settings(Box::new(PluginError::bug(format!("cannot create the HTTP client: {error}")))))
        })?;
        let (connect_timeout, read_timeout) = (network.connect_timeout, network.read_timeout);
        Ok(Self { client, address, tls, proxy, dialer, connect_timeout, read_timeout, wording })
    }
}

/// The routes of one instance: a route to each host, made when it is needed first.
#[derive(Debug)]
pub struct Routes {
    network: NetworkOptions,
    services: Services,
    expiry: PeerExpiry,
    /// By `host:port`.
    known: HashMap<String, Route>,
}

impl Routes {
    /// No routes yet.
    #[must_use]
    pub fn new(network: NetworkOptions, services: &Services) -> Self {
        let expiry = PeerExpiry::new(services);
        Self { network, services: services.clone(), expiry, known: HashMap::new() }
    }

    /// The route to the host of this URL; opens no connection yet.
    ///
    /// # Errors
    /// Files of certificates that cannot be used.
    pub fn to(&mut self, url: &Url) -> Result<Route, HttpError> {
        let address = address(url);
        if let Some(route) = self.known.get(&address) {
            return Ok(route.clone());
        }
        let route = Route::new(&self.network, &self.services, &self.expiry, url)?;
        self.known.insert(address, route.clone());
        Ok(route)
    }
}

impl ViaProxy {
    fn new(proxy: Proxy, network: &NetworkOptions) -> Result<Self, HttpError> {
        let (ca_file, fips) = (network.tls.ca_file.clone(), network.tls.fips);
        let options = TlsOptions { ca_file, fips, ..TlsOptions::default() };
        let tls = proxy.tls.then(|| options.client(&proxy.shown())).transpose();
        let tls = tls.map_err(|error| proxy_error(&proxy, Cause::Tls(Box::new(error)), network.wording))?;
        Ok(Self { proxy, tls })
    }

    fn for_reqwest(
        &self,
        order: Option<HandshakeOrder>,
        wording: &'static Wording,
    ) -> Result<reqwest::Proxy, HttpError> {
        let Proxy { tls, host, port, login, .. } = &self.proxy;
        let scheme = if *tls { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = Url::parse(&format!("{scheme}://{host}:{port}"))
            .map_err(|error| proxy_error(&self.proxy, Cause::Dns(error.to_string()), wording))?;
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
fn builder(network: &NetworkOptions, dns: DnsResolver) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .http1_only()
        .dns_resolver(dns)
        .local_address(network.source.map(SourceAddress::ip))
        .connect_timeout(network.connect_timeout)
        .read_timeout(network.read_timeout)
        .pool_max_idle_per_host(1)
        // A server may prepare a response for minutes without sending data; firewalls drop idle connections sooner.
        .tcp_keepalive(Duration::from_secs(30))
}

/// `host:port` of a URL.
#[must_use]
pub fn address(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443))
}

/// A configuration that is never used, because nothing on the route uses TLS; reqwest wants one.
fn without_authorities() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

fn proxy_error(proxy: &Proxy, cause: Cause, wording: &'static Wording) -> HttpError {
    HttpError { peer: Peer::Proxy { tls: proxy.tls }, address: proxy.shown(), cause, wording }
}
