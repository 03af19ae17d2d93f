//! The TCP listener: TLS, except on loopback addresses.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use scanbridge_observe::ConsoleKeys;
use scanbridge_tls_policy::Policy;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::access::Access;
use super::caller::Origin;
use super::connection;
use super::host_check::machine_name;
use super::tls::{Secured, Source, role_of};
use crate::log_sink::Level;

/// Connections at one time. Further ones are refused.
const CONNECTIONS: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the service looks whether its own certificate ends soon.
const RENEWAL: Duration = Duration::from_secs(12 * 60 * 60);
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A listener that accepts connections.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) state: Arc<ListenerState>,
}

/// What the main loop knows of the listener.
#[derive(Debug)]
pub(crate) struct ListenerState {
    /// With the port that the system chose, if it was 0.
    address: SocketAddr,
    tls: Option<(Source, Mutex<Secured>)>,
}

impl Listener {
    /// Binds the address of the service file and reads the certificates. `folder` is for those that the service makes; `fips`
    /// says which algorithms the listener may use.
    ///
    /// # Errors
    /// When the address is not available, or a certificate cannot be used.
    pub(crate) fn bind(console: &ConsoleKeys, folder: PathBuf, fips: Policy) -> Result<Self, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("cannot listen on {}: {error}", console.listen);
        let address: SocketAddr = console.listen.parse().map_err(|error| cannot(&error))?;
        let socket = TcpListener::bind(address).map_err(|error| cannot(&error))?;
        socket.set_nonblocking(true).map_err(|error| cannot(&error))?;
        let address = socket.local_addr().map_err(|error| cannot(&error))?;
        let tls = if console.tls.is_some() || !address.ip().to_canonical().is_loopback() {
            let source = Source { keys: console.tls.clone().unwrap_or_default(), folder, address, fips };
            let secured = source.read().map_err(|error| cannot(&error))?;
            Some((source, Mutex::new(secured)))
        } else {
            None
        };
        Ok(Self { socket, state: Arc::new(ListenerState { address, tls }) })
    }

    /// Answers requests for ever.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(super) async fn serve(self, router: Router, access: Arc<Access>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.socket)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        tokio::spawn(renew(Arc::clone(&self.state), Arc::clone(&access)));
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after_error(&error).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if self.state.tls.is_none() {
                    let _ = stream.try_write(BUSY);
                }
                continue;
            };
            let (router, access, secured) = (router.clone(), Arc::clone(&access), self.state.secured());
            tokio::spawn(async move {
                let _place = place;
                match secured {
                    Some(secured) => serve_tls(stream, secured, peer, (router, &access)).await,
                    None => {
                        connection::serve(
                            stream,
                            router,
                            Origin::Tcp { peer, is_tls: false, certificate: None },
                        )
                        .await;
                    }
                }
            });
        }
    }
}

async fn serve_tls(
    stream: TcpStream,
    secured: Secured,
    peer: SocketAddr,
    (router, access): (Router, &Access),
) {
    let handshake = TlsAcceptor::from(secured.config).accept(stream);
    // TLS has informed a client that does not finish it, or whose certificate is refused.
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await else { return };
    let client = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = client.and_then(|client| role_of(client, &access.keys().client_roles));
    connection::serve(stream, router, Origin::Tcp { peer, is_tls: true, certificate }).await;
}

/// Makes a new certificate before the one of the service ends.
async fn renew(state: Arc<ListenerState>, access: Arc<Access>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = state.reload() {
            access.log.service(Level::Error, &format!("{error}; the earlier certificate stays in use"));
        }
    }
}

/// Without file descriptors, `accept` fails at once again and again.
pub(super) async fn pause_after_error(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl ListenerState {
    fn secured(&self) -> Option<Secured> {
        let (_, secured) = self.tls.as_ref()?;
        Some(secured.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Reads the certificates again. Open connections keep theirs.
    ///
    /// # Errors
    /// When they cannot be used; the earlier ones stay in use.
    pub(crate) fn reload(&self) -> Result<(), String> {
        if let Some((source, secured)) = &self.tls {
            let read = source.read()?;
            *secured.lock().unwrap_or_else(PoisonError::into_inner) = read;
        }
        Ok(())
    }

    /// Where operators and browsers find the service.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        if self.address.ip().is_unspecified() {
            // No client can connect to it, and no certificate names it.
            let name = machine_name().filter(|name| !name.is_empty());
            return format!("{scheme}://{}:{}", name.as_deref().unwrap_or("localhost"), self.address.port());
        }
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// When the certificate expires.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.secured()?.expires
    }

    pub(crate) fn view(&self) -> Value {
        let certificate = self
            .secured()
            .map(|secured| json!({ "sha256": secured.fingerprint, "expires": secured.expires }));
        json!({ "url": self.url(), "certificate": certificate })
    }
}
