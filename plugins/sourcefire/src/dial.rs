//! How a connection comes about: names, addresses, TCP, TLS. Each step can be asked for by itself, for the probe.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};
use scanbridge_tls_identity::ClientTls;

use crate::socket::{Socket, WAKE_UP};

/// TLS over TCP.
pub(crate) type TlsStream = StreamOwned<ClientConnection, Socket>;

/// Where to connect to, and how.
#[derive(Debug)]
pub(crate) struct Target {
    /// `server:port`, as messages name it.
    pub(crate) center: String,
    pub(crate) server: String,
    pub(crate) port: u16,
    /// Whether IPv6 addresses are tried, rather than IPv4 ones.
    pub(crate) prefer_ipv6: bool,
    /// Whether the other ones are tried after them.
    pub(crate) ip_fallback: bool,
    pub(crate) tls: ClientTls,
    /// For all steps together.
    pub(crate) timeout: Duration,
}

impl Target {
    /// The center's addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the name is not known, [`ErrorKind::Config`] when it has no address of the
    /// wanted kind.
    pub(crate) fn resolve(&self, services: &Services, deadline: Instant) -> Result<Vec<IpAddr>> {
        let (server, port) = (self.server.clone(), self.port);
        let found = on_another_thread(services, deadline, move || {
            Ok((server.as_str(), port).to_socket_addrs()?.map(|address| address.ip()).collect::<Vec<_>>())
        });
        let all = match found {
            Ok(outcome) => outcome.map_err(|error| self.unresolved(&error.to_string()))?,
            Err(Interrupted::Cancelled) => return Err(PluginError::cancelled()),
            Err(Interrupted::Late) => return Err(self.unresolved("DNS lookup timed out")),
        };
        let (mut wanted, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|address| address.is_ipv6() == self.prefer_ipv6);
        if self.ip_fallback {
            wanted.extend(others);
        }
        wanted.dedup();
        if wanted.is_empty() {
            let kind = if self.prefer_ipv6 { "IPv6" } else { "IPv4" };
            return Err(PluginError::config(format!("`{}` has no {kind} address", self.server))
                .with_hint("change `ipv6`, or set `ip_fallback: yes` to try both IP versions"));
        }
        Ok(wanted)
    }

    /// A TCP connection to the first of these addresses that takes one.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], with the operating system's words for the last address.
    pub(crate) fn connect(
        &self,
        addresses: &[IpAddr],
        services: &Services,
        deadline: Instant,
    ) -> Result<Socket> {
        let mut last = None;
        for (address, others) in addresses.iter().zip((0..addresses.len()).rev()) {
            let address = SocketAddr::new(*address, self.port);
            // An address that never responds leaves time for the following addresses.
            let left = deadline.saturating_duration_since(Instant::now()).max(SHORTEST);
            let share = left / u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
            let outcome = on_another_thread(services, Instant::now() + share, move || {
                TcpStream::connect_timeout(&address, share.max(SHORTEST))
            });
            match outcome {
                Ok(Ok(stream)) => return Socket::new(stream, &self.center, services, deadline),
                Ok(Err(error)) => last = Some((address, error)),
                Err(Interrupted::Cancelled) => return Err(PluginError::cancelled()),
                Err(Interrupted::Late) => last = Some((address, io::ErrorKind::TimedOut.into())),
            }
        }
        let (address, error) = last.expect("there is an address at least");
        Err(unavailable(format!("cannot connect to {} at {address}: {error}", self.center)).with_hint(
            "check that firewalls allow TCP port 8307 (option `port`); a Defense Center opens it when the \
             first host input client is registered",
        ))
    }

    /// TLS on this connection.
    ///
    /// # Errors
    /// As [`ClientTls::explain`] classes them; a refusal of our certificate says what that means here.
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
                return Err(self.explain(&stream.sock, &error));
            }
        }
        Ok(stream)
    }

    /// What an error of the connection means. The center refuses clients with an alert, which may come late.
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

    fn unresolved(&self, why: &str) -> PluginError {
        unavailable(format!("cannot resolve `{}`: {why}", self.server))
            .with_hint("check option `server` and this machine's DNS configuration")
    }
}

/// What to look at when the center does not want us. Which of these it is, it does not say.
pub(crate) const NOT_REGISTERED: &str = "check on the Defense Center: (1) this machine is registered as a \
     host input client, (2) the registered name resolves to it (else register the IP address), (3) the \
     client was not deleted, (4) this .pkcs12 file is the newest one created for it";

pub(crate) fn unavailable(message: String) -> PluginError {
    PluginError::new(ErrorKind::Unavailable, message)
}

/// Why work on another thread was not waited for.
enum Interrupted {
    Cancelled,
    Late,
}

/// Runs what cannot be interrupted on a thread of its own, which is left behind when it takes too long.
fn on_another_thread<T: Send + 'static>(
    services: &Services,
    deadline: Instant,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>, Interrupted> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name("sourcefire-dial".to_owned()).spawn(move || {
        // If sending fails, the receiver no longer waits.
        let _ = sender.send(work());
    });
    if let Err(error) = thread {
        return Ok(Err(error));
    }
    loop {
        match receiver.recv_timeout(WAKE_UP) {
            Ok(outcome) => return Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err(io::Error::other("connection attempt canceled")));
            }
            Err(RecvTimeoutError::Timeout) if services.is_cancelled() => return Err(Interrupted::Cancelled),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => return Err(Interrupted::Late),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The least time that an attempt to connect is given.
const SHORTEST: Duration = Duration::from_millis(1);
