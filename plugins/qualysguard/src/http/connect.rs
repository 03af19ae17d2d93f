//! From an address to a stream that TLS protects.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use scanbridge_tls_identity::{ClientTls, TlsOptions};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::trouble::{Cause, Peer, Trouble, of_io};
use super::tunnel;
use crate::options::{IpVersion, Network, Proxy};

/// A connection, whatever it goes through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How connections are made.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) network: Network,
    /// By `host:port`.
    clients: HashMap<String, ClientTls>,
}

impl Connector {
    pub(super) fn new(network: &Network) -> Self {
        Self { network: network.clone(), clients: HashMap::new() }
    }

    /// TLS for a peer. To the proxy neither the client certificate is shown nor is it to have the one that is
    /// expected of Qualys.
    pub(super) fn tls(&mut self, peer: Peer, address: &str) -> Result<ClientTls, Cause> {
        if let Some(client) = self.clients.get(address) {
            return Ok(client.clone());
        }
        let mut options = self.network.tls.clone();
        if peer == Peer::Proxy {
            options = TlsOptions { ca_file: options.ca_file, ..TlsOptions::default() };
        }
        let client = options.client(address).map_err(Cause::Tls)?;
        self.clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }

    /// Connects to the host of an address. The limit on the time is for all of it.
    pub(super) async fn connect(&mut self, url: &Url) -> Result<Box<dyn Stream>, Trouble> {
        let (host, port) = host_and_port(url);
        let address = format!("{host}:{port}");
        let proxy = self.network.proxy.clone().filter(|proxy| proxy.serves(&host));
        let limit = self.network.connect_timeout;
        let (peer, shown) = match &proxy {
            Some(proxy) => (Peer::Proxy, proxy.shown()),
            None => (Peer::Qualys, address.clone()),
        };
        let at = |cause| Trouble { peer, address: shown.clone(), cause };
        let late = |_| at(Cause::ConnectTimeout(limit));
        let carrier: Box<dyn Stream> = match &proxy {
            Some(proxy) => timeout(limit, self.through(proxy, &address)).await.map_err(late)?.map_err(at)?,
            None => Box::new(timeout(limit, self.tcp(&host, port)).await.map_err(late)?.map_err(at)?),
        };
        // From here on the proxy, if any, is out of it.
        let at = |cause| Trouble { peer: Peer::Qualys, address: address.clone(), cause };
        let tls = self.tls(Peer::Qualys, &address).map_err(at)?;
        let handshake = timeout(limit, protect(&tls, carrier, &host)).await;
        handshake.map_err(|_| at(Cause::ConnectTimeout(limit)))?.map_err(at)
    }

    async fn through(&mut self, proxy: &Proxy, target: &str) -> Result<Box<dyn Stream>, Cause> {
        let tcp = self.tcp(&proxy.host, proxy.port).await?;
        let mut carrier: Box<dyn Stream> = if proxy.tls {
            let tls = self.tls(Peer::Proxy, &proxy.shown())?;
            protect(&tls, Box::new(tcp), &proxy.host).await?
        } else {
            Box::new(tcp)
        };
        tunnel::open(&mut carrier, proxy, target).await?;
        Ok(carrier)
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, Cause> {
        let host = host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((host, port)).await;
        let mut addresses: Vec<SocketAddr> = found.map_err(|error| Cause::Name(error.to_string()))?.collect();
        match self.network.ip_version {
            IpVersion::Any => {}
            IpVersion::Four => addresses.sort_by_key(SocketAddr::is_ipv6),
            IpVersion::Six => addresses.sort_by_key(SocketAddr::is_ipv4),
        }
        let share = self.network.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut failed = Cause::Name("it has no address".to_owned());
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    keep_alive(&stream);
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = of_io(&error),
                Err(_) => failed = Cause::ConnectTimeout(self.network.connect_timeout),
            }
        }
        Err(failed)
    }
}

async fn protect(tls: &ClientTls, stream: Box<dyn Stream>, host: &str) -> Result<Box<dyn Stream>, Cause> {
    let host = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| Cause::Name(error.to_string()))?;
    match TlsConnector::from(tls.config()).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(Cause::Tls(tls.explain(&error))),
    }
}

pub(super) fn host_and_port(url: &Url) -> (String, u16) {
    (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(443))
}

/// Reports take minutes in which nothing is said; firewalls forget connections sooner. A failure here costs
/// nothing but that.
fn keep_alive(stream: &TcpStream) {
    let options = socket2::TcpKeepalive::new().with_time(Duration::from_secs(30));
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&options);
    let _ = stream.set_nodelay(true);
}
