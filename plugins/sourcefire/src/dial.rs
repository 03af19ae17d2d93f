//! Opens a connection: DNS, TCP, TLS. The probe runs each step separately.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use scanbridge_dialer::{Dialer, IpVersion, SourceAddress};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};
use scanbridge_tls_identity::ClientTls;

use crate::socket::Socket;

/// TLS over TCP.
pub(crate) type TlsStream = StreamOwned<ClientConnection, Socket>;

/// The address and the settings of the connection.
#[derive(Debug)]
pub(crate) struct Target {
    /// `server:port`, as messages name it.
    pub(crate) center: String,
    pub(crate) server: String,
    pub(crate) port: u16,
    /// Use IPv6 addresses instead of IPv4 addresses.
    pub(crate) prefer_ipv6: bool,
    /// Then also try the addresses of the other IP version.
    pub(crate) ip_fallback: bool,
    /// Connect from this address; it also selects the IP version.
    pub(crate) source: Option<SourceAddress>,
    pub(crate) tls: ClientTls,
    /// The timeout of all steps together.
    pub(crate) timeout: Duration,
}

impl Target {
    /// The addresses of the Defense Center, in the order in which to try them.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the name cannot be resolved, [`ErrorKind::Config`] when it has no address of
    /// the selected IP version, or of that of the source address.
    pub(crate) fn resolve(&self, services: &Services, deadline: Instant) -> Result<Vec<SocketAddr>> {
        let found = self.dialer(services).lookup_within(&self.server, self.port, left(deadline));
        let mut addresses = found.map_err(|error| {
            let hint = "check option `server` and this machine's DNS configuration";
            error.explain(&format!("cannot resolve `{}`", self.server), Some(hint))
        })?;
        if !self.ip_fallback && self.source.is_none() {
            addresses.retain(|address| address.is_ipv6() == self.prefer_ipv6);
        }
        if addresses.is_empty() {
            let kind = if self.prefer_ipv6 { "IPv6" } else { "IPv4" };
            return Err(PluginError::config(format!("`{}` has no {kind} address", self.server))
                .with_hint("change `ipv6`, or set `ip_fallback: yes` to try both IP versions"));
        }
        Ok(addresses)
    }

    /// Opens a TCP connection to the first address that accepts one.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], with the cause for the last address.
    pub(crate) fn connect(
        &self,
        addresses: &[SocketAddr],
        services: &Services,
        deadline: Instant,
    ) -> Result<Socket> {
        match self.dialer(services).connect_first(addresses, left(deadline)) {
            Ok(stream) => Socket::new(stream, &self.center, services, deadline),
            Err((address, error)) => {
                let what = format!("cannot connect to {} at {address}", self.center);
                Err(error.explain(&what, Some(FIREWALLS)))
            }
        }
    }

    fn dialer(&self, services: &Services) -> Dialer {
        let preferred = if self.prefer_ipv6 { IpVersion::V6 } else { IpVersion::V4 };
        Dialer::new(services).prefer(preferred).from_address(self.source)
    }

    /// Starts TLS on this connection.
    ///
    /// # Errors
    /// Classified by [`ClientTls::explain`]. If our certificate is rejected, the hint says what to check.
    pub(crate) fn secure(&self, socket: Socket) -> Result<TlsStream> {
        let name = match self.server.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address),
            Err(_) => ServerName::try_from(self.server.clone()).map_err(|_| {
                PluginError::config(format!("`{}` is not a valid TLS server name", self.server))
            })?,
        };
        let connection =
            ClientConnection::new(self.tls.config(), name).map_err(|error| self.tls.explain(&error))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                return Err(match is_closed(&error) {
                    // It has received our certificate if it has proved its own.
                    true => self.closed_early(stream.conn.peer_certificates().is_some()),
                    false => self.explain(&stream.sock, &error),
                });
            }
        }
        Ok(stream)
    }

    /// The error when the connection ended before the first answer: that is how a Defense Center treats unknown
    /// clients. If not even the TLS handshake began, the network may be the cause, so it is worth a retry.
    pub(crate) fn closed_early(&self, has_our_certificate: bool) -> PluginError {
        let kind = if has_our_certificate { ErrorKind::Auth } else { ErrorKind::Unavailable };
        let message = format!(
            "client certificate revoked or client not registered: {} closed the connection before it answered, so \
             it probably does not know this client or its certificate",
            self.center
        );
        PluginError::new(kind, message).with_hint(NOT_REGISTERED)
    }

    /// Explains a connection error. The Defense Center rejects clients with an alert, which may arrive late.
    pub(crate) fn explain(&self, socket: &Socket, error: &io::Error) -> PluginError {
        if let Some(ended) = socket.ended(error) {
            return ended;
        }
        let explained = self.tls.explain(error);
        let alert = error.get_ref().and_then(|inside| inside.downcast_ref::<rustls::Error>());
        match alert {
            Some(rustls::Error::AlertReceived(_)) if explained.kind == ErrorKind::Auth => PluginError::new(
                ErrorKind::Auth,
                format!("client certificate revoked or client not registered: {}", explained.message),
            )
            .with_hint(NOT_REGISTERED),
            _ => explained,
        }
    }
}

/// Whether the peer ended the connection, with or without a reset.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// What to do when the Defense Center rejects the client. It does not send the reason.
const NOT_REGISTERED: &str = "check on the Defense Center: (1) this machine is in its host input client settings, \
     else create it there, (2) `pkcs12` is the newest certificate file downloaded for this client, (3) the client's \
     name resolves to the address from which this machine connects (else create it by address), (4) the client was \
     not deleted; a restart of its service looks the same";

/// The time until a deadline.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

const FIREWALLS: &str = "check that firewalls allow TCP port 8307 (option `port`); a Defense Center opens it when \
     the first host input client is registered";
