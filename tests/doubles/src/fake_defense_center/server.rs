//! The listener, and the queries for tests.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::behavior::{Behavior, Stage};
use super::connection::Connection;
use super::host_map::HostMap;
use super::interpreter::State;
use crate::certificates::{Authority, Issued, Pkcs12, Request};

/// A Defense Center on loopback. It stops when it is dropped.
pub struct FakeDefenseCenter {
    address: SocketAddr,
    authority: Authority,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// The data received on one connection.
#[derive(Debug, Clone, Default)]
pub struct ConnectionLog {
    /// The subject of the client's certificate; empty if the handshake did not complete.
    pub subject: String,
    /// The bodies of its DATA messages.
    pub bodies: Vec<Vec<u8>>,
}

impl FakeDefenseCenter {
    /// Starts a center on a free port of 127.0.0.1, with the default behavior.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on("127.0.0.1:0", Behavior::default()).expect("loopback has a free port")
    }

    /// Starts a center on this address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start_on(address: &str, behavior: Behavior) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        // The names in a center's certificate are UUIDs, never the address that a client connects to.
        let authority = Authority::rsa("InternalCA 6a1f2b7e-0000-4000-8000-000000000001");
        let server = authority.issue(&Request::server(&["6a1f2b7e-0000-4000-8000-000000000001"]));
        let shared = Arc::new(Shared::new(authority.server_config(&server, true), server, behavior));
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || listen(&listener, &shared))
        };
        Ok(Self { address, authority, shared, listener: Some(thread) })
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its authority, which issues the client certificates.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Registers a client and writes its PKCS#12 file, as downloaded from a center. `None` if the `openssl` program is
    /// not installed.
    #[must_use]
    pub fn client_file(&self, folder: &Path, name: &str, password: &str, shape: Pkcs12) -> Option<PathBuf> {
        let client = self.authority.issue(&Request::host_input_client("127.0.0.1", DOMAIN));
        client.write_pkcs12(folder, name, password, shape)
    }

    /// Changes its behavior from now on.
    pub fn change(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut lock(&self.shared.behavior));
    }

    /// Deletes all clients: new connections are rejected.
    pub fn revoke_clients(&self) {
        self.revoke_clients_over(rustls::ALL_VERSIONS);
    }

    /// Deletes all clients, and offers these TLS versions only. In TLS 1.2 a client is rejected during the handshake, in
    /// TLS 1.3 after its end.
    pub fn revoke_clients_over(&self, versions: &[&'static SupportedProtocolVersion]) {
        let other_authority = Authority::new("Another authority");
        let mut config = lock(&self.shared.config);
        *config = other_authority.server_config_of(versions, &self.shared.server, true);
    }

    /// Deletes all assets and received messages, as if the center had just started.
    pub fn reset(&self) {
        *self.shared.state() = State::default();
        let mut log = lock(&self.shared.log);
        log.connections.clear();
        log.messages = 0;
    }

    /// Waits until no connection is open: then all received commands are applied.
    ///
    /// # Panics
    /// If a connection is still open after 30 seconds: the test did not close it.
    pub fn wait_until_idle(&self) {
        let open = lock(&self.shared.open);
        let idle = self.shared.closed.wait_timeout_while(open, IDLE_TIMEOUT, |open| !open.is_empty());
        let (_open, waited) = idle.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "a connection to the center is still open");
    }

    /// A copy of the host map.
    #[must_use]
    pub fn host_map(&self) -> HostMap {
        self.shared.state().map.clone()
    }

    /// Changes the host map, for example to add assets and results.
    pub fn change_host_map(&self, change: impl FnOnce(&mut HostMap)) {
        change(&mut self.shared.state().map);
    }

    /// The data received on each connection, in the order of the connections.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionLog> {
        lock(&self.shared.log).connections.values().cloned().collect()
    }

    /// The bodies of all DATA messages.
    #[must_use]
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.connections().into_iter().flat_map(|connection| connection.bodies).collect()
    }

    /// The number of received DATA messages.
    #[must_use]
    pub fn message_count(&self) -> u64 {
        lock(&self.shared.log).messages
    }

    /// All received lines, as text.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let texts = self.bodies().into_iter().map(|body| String::from_utf8_lossy(&body).into_owned());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

impl Drop for FakeDefenseCenter {
    fn drop(&mut self) {
        *lock(&self.shared.stopped) = true;
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// The state shared by the listener, the connections and the test.
pub(super) struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    server: Issued,
    behavior: Mutex<Behavior>,
    state: Mutex<State>,
    log: Mutex<Log>,
    /// Open connections by number.
    open: Mutex<HashMap<usize, TcpStream>>,
    closed: Condvar,
    stopped: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Log {
    /// By number. [`FakeDefenseCenter::reset`] does not reset the numbers.
    connections: BTreeMap<usize, ConnectionLog>,
    next_connection: usize,
    messages: u64,
}

impl Shared {
    fn new(config: Arc<ServerConfig>, server: Issued, behavior: Behavior) -> Self {
        Self {
            config: Mutex::new(config),
            server,
            behavior: Mutex::new(behavior),
            state: Mutex::default(),
            log: Mutex::default(),
            open: Mutex::default(),
            closed: Condvar::new(),
            stopped: Mutex::new(false),
        }
    }

    pub(super) fn behavior(&self) -> Behavior {
        lock(&self.behavior).clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether the connection must be closed at this stage. True only once.
    pub(super) fn take_close(&self, stage: Stage) -> bool {
        lock(&self.behavior).close_at.take_if(|at| *at == stage).is_some()
    }

    /// The number of bytes that a connection may still receive before it is closed. 0 means: close now; this happens
    /// only once.
    pub(super) fn bytes_until_close(&self, received: usize) -> usize {
        let mut behavior = lock(&self.behavior);
        match behavior.close_after_bytes {
            None => usize::MAX,
            Some(limit) if received < limit => limit - received,
            Some(_) => {
                behavior.close_after_bytes = None;
                0
            }
        }
    }

    pub(super) fn log_subject(&self, connection: usize, chain: Option<&[CertificateDer<'_>]>) {
        let certificate = chain.and_then(<[_]>::first);
        let subject = certificate.and_then(|der| x509_parser::parse_x509_certificate(der).ok());
        let subject = subject.map(|(_, certificate)| certificate.subject().to_string()).unwrap_or_default();
        if let Some(connection) = lock(&self.log).connections.get_mut(&connection) {
            connection.subject = subject;
        }
    }

    /// Logs a message. Returns its number among all DATA messages.
    pub(super) fn log_body(&self, connection: usize, body: &[u8]) -> u64 {
        if self.behavior().echo {
            // Before anything is acknowledged. Standard output may be closed.
            let mut out = std::io::stdout().lock();
            let _ = body
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .try_for_each(|line| out.write_all(line).and_then(|()| out.write_all(b"\n")));
            let _ = out.flush();
        }
        let mut log = lock(&self.log);
        log.messages += 1;
        // The test may have called `reset` in the meantime.
        if let Some(connection) = log.connections.get_mut(&connection) {
            connection.bodies.push(body.to_vec());
        }
        log.messages
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if *lock(&shared.stopped) {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Without Nagle's algorithm, small frames are not delayed.
        let _ = stream.set_nodelay(true);
        let Ok(for_closing) = stream.try_clone() else { continue };
        let config = Arc::clone(&lock(&shared.config));
        let Ok(tls) = ServerConnection::new(config) else { continue };
        let number = {
            let mut log = lock(&shared.log);
            let number = log.next_connection;
            log.next_connection += 1;
            log.connections.insert(number, ConnectionLog::default());
            number
        };
        lock(&shared.open).insert(number, for_closing);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let _open = Open { shared: Arc::clone(&shared), number };
            Connection::new(StreamOwned::new(tls, stream), shared, number).serve();
        });
    }
}

/// An open connection. It counts as closed when this guard is dropped, also after a panic.
struct Open {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.shared.open).remove(&self.number);
        self.shared.closed.notify_all();
    }
}

/// Locks although another thread panicked: one failed test must not break the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a test may take to close its connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The domain ID in the client certificates. Invented.
const DOMAIN: &str = "e276abec-e0f2-11e3-8169-000000000000";
