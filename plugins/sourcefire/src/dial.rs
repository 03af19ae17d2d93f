//! Opens a connection: DNS, TCP, TLS. The probe runs each step separately.

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
    pub(crate) tls: ClientTls,
    /// The timeout of all steps together.
    pub(crate) timeout: Duration,
}

impl Target {
    /// The addresses of the Defense Center, in the order in which to try them.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the name cannot be resolved, [`ErrorKind::Config`] when it has no address of
    /// the selected IP version.
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
        let (mut selected, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|address| address.is_ipv6() == self.prefer_ipv6);
        if self.ip_fallback {
            selected.extend(others);
        }
        selected.dedup();
        if selected.is_empty() {
            let kind = if self.prefer_ipv6 { "IPv6" } else { "IPv4" };
            return Err(PluginError::config(format!("`{}` has no {kind} address", self.server))
                .with_hint("change `ipv6`, or set `ip_fallback: yes` to try both IP versions"));
        }
        Ok(selected)
    }

    /// Opens a TCP connection to the first address that accepts one.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], with the operating system's error for the last address.
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
            let left = deadline.saturating_duration_since(Instant::now()).max(MIN_TIMEOUT);
            let share = left / u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
            let outcome = on_another_thread(services, Instant::now() + share, move || {
                TcpStream::connect_timeout(&address, share.max(MIN_TIMEOUT))
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
                return Err(self.explain(&stream.sock, &error));
            }
        }
        Ok(stream)
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

    fn unresolved(&self, why: &str) -> PluginError {
        unavailable(format!("cannot resolve `{}`: {why}", self.server))
            .with_hint("check option `server` and this machine's DNS configuration")
    }
}

/// What to check when the Defense Center rejects the client. It does not send the reason.
pub(crate) const NOT_REGISTERED: &str = "check on the Defense Center: (1) this machine is registered as a \
     host input client, (2) the registered name resolves to it (else register the IP address), (3) the \
     client was not deleted, (4) this .pkcs12 file is the newest one created for it";

pub(crate) fn unavailable(message: String) -> PluginError {
    PluginError::new(ErrorKind::Unavailable, message)
}

/// The reason why the wait for another thread ended.
enum Interrupted {
    Cancelled,
    Late,
}

/// Runs a call that cannot be interrupted on its own thread. If the call takes too long, the thread is abandoned.
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

/// Minimum timeout of a connection attempt.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
