//! Syslog receivers over UDP, TCP and TLS that can misbehave. They record all received bytes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How messages are delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each message ends with a line feed.
    Newline,
    /// Each message is preceded by its length and a space.
    OctetCounted,
}

/// How a sink behaves. The default reads all data until the peer closes the connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinkBehavior {
    /// Accepts connections but never reads.
    pub never_reads: bool,
    /// Closes each connection after this many messages. Data after them is discarded.
    pub close_after: Option<usize>,
    /// Resets the connection instead of closing it.
    pub resets: bool,
    /// Instead of the above, the network of the first connection fails after `close_after` messages: all packets to the
    /// sink are lost without an error on either side. Later connections work. Linux only.
    pub loses_packets: bool,
    /// With TLS, sends `close_notify` before it closes.
    pub sends_close_notify: bool,
    /// Delay before each read.
    pub read_delay: Option<Duration>,
}

/// The data received on one connection. All datagrams of a UDP sink count as one connection.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The received bytes, with TLS after decryption.
    pub bytes: Vec<u8>,
    /// The datagrams, for UDP.
    pub datagrams: Vec<Vec<u8>>,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer closed it properly; with TLS by `close_notify`.
    Closed,
    /// The peer closed a TLS connection without `close_notify`.
    NoCloseNotify,
    /// The sink closed it, because of its [`SinkBehavior`] or because it was dropped.
    BySink,
    /// Another error.
    Failed(String),
}

/// A sink that listens until it is dropped.
#[derive(Debug)]
pub struct SyslogSink {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    connections: Mutex<Vec<Connection>>,
    changed: Condvar,
    stop: AtomicBool,
    framing: Framing,
    behavior: SinkBehavior,
    tls: Option<Arc<ServerConfig>>,
}

impl SyslogSink {
    /// Listens for datagrams on a free port of loopback.
    ///
    /// # Panics
    /// If loopback cannot be used.
    #[must_use]
    pub fn udp() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::new(Framing::Newline, SinkBehavior::default(), None));
        shared.lock().push(Connection::default());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.receive_datagrams(&socket)
        });
        Self { address, shared, threads: vec![thread] }
    }

    /// Listens for connections on a free port of loopback.
    ///
    /// # Panics
    /// If loopback cannot be used.
    #[must_use]
    pub fn tcp(framing: Framing, behavior: SinkBehavior) -> Self {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), framing, behavior, None).expect("a free port")
    }

    /// Listens for TLS connections on a free port of loopback.
    ///
    /// # Panics
    /// If loopback cannot be used.
    #[must_use]
    pub fn tls(framing: Framing, behavior: SinkBehavior, config: Arc<ServerConfig>) -> Self {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), framing, behavior, Some(config)).expect("a free port")
    }

    /// Listens on this address, for example to restart a sink.
    ///
    /// # Errors
    /// If the address is already in use.
    pub fn listen(
        address: SocketAddr,
        framing: Framing,
        behavior: SinkBehavior,
        tls: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(framing, behavior, tls));
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Ok(Self { address, shared, threads: vec![thread] })
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data received so far, by connection.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.lock().clone()
    }

    /// The messages received so far on all connections, without framing. An incomplete last message is omitted.
    #[must_use]
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.shared.messages(&self.shared.lock())
    }

    /// Like [`SyslogSink::messages`], and deletes all data received so far: the memory of a sink that receives much
    /// does not grow. Call it only while no connection is open.
    #[must_use]
    pub fn take_messages(&self) -> Vec<Vec<u8>> {
        let mut connections = self.shared.lock();
        let messages = self.shared.messages(&connections);
        for connection in connections.iter_mut() {
            (connection.bytes, connection.datagrams) = (Vec::new(), Vec::new());
        }
        messages
    }

    /// Waits until `condition` is true for the received data. Returns false if it is not within ten seconds.
    #[must_use]
    pub fn wait_until(&self, mut condition: impl FnMut(&[Connection]) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        let mut connections = self.shared.lock();
        while !condition(&connections) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(connections, left);
            connections = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for SyslogSink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections. A UDP sink does not need it, and the attempt is harmless.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn new(framing: Framing, behavior: SinkBehavior, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            connections: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            framing,
            behavior,
            tls,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn messages(&self, connections: &[Connection]) -> Vec<Vec<u8>> {
        let of = |connection: &Connection| {
            let split = split(self.framing, &connection.bytes).into_iter().map(<[u8]>::to_vec);
            split.chain(connection.datagrams.iter().cloned()).collect::<Vec<_>>()
        };
        connections.iter().flat_map(of).collect()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn receive_datagrams(&self, socket: &UdpSocket) {
        socket.set_read_timeout(Some(POLL_INTERVAL)).expect("a timeout can be set");
        let mut datagram = vec![0; 1 << 16];
        while !self.is_stopped() {
            if let Ok(length) = socket.recv(&mut datagram) {
                self.lock()[0].datagrams.push(datagram[..length].to_vec());
                self.changed.notify_all();
            }
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        let mut threads = Vec::new();
        for socket in listener.incoming() {
            let Ok(socket) = socket else { continue };
            if self.is_stopped() {
                break;
            }
            let index = {
                let mut connections = self.lock();
                connections.push(Connection::default());
                connections.len() - 1
            };
            self.changed.notify_all();
            let shared = Arc::clone(&self);
            threads.push(std::thread::spawn(move || shared.serve(index, socket)));
        }
        for thread in threads {
            drop(thread.join());
        }
    }

    fn serve(&self, index: usize, socket: TcpStream) {
        socket.set_read_timeout(Some(POLL_INTERVAL)).expect("a timeout can be set");
        let closing = socket.try_clone().expect("a socket can be cloned");
        let end = if self.behavior.never_reads {
            while !self.is_stopped() {
                std::thread::park_timeout(POLL_INTERVAL);
            }
            End::BySink
        } else {
            match &self.tls {
                None => self.read(index, &mut &socket, false),
                Some(config) => match ServerConnection::new(Arc::clone(config)) {
                    Ok(session) => self.read_secured(index, StreamOwned::new(session, socket)),
                    Err(error) => End::Failed(error.to_string()),
                },
            }
        };
        if end == End::BySink && self.behavior.loses_packets {
            lose_packets(&closing);
            while !self.is_stopped() {
                std::thread::park_timeout(POLL_INTERVAL);
            }
        }
        if end == End::BySink && self.behavior.resets {
            drop(socket2::SockRef::from(&closing).set_linger(Some(Duration::ZERO)));
        }
        self.lock()[index].end = Some(end);
        self.changed.notify_all();
    }

    fn read_secured(&self, index: usize, mut peer: StreamOwned<ServerConnection, TcpStream>) -> End {
        let end = self.read(index, &mut peer, true);
        if end == End::BySink && self.behavior.sends_close_notify {
            peer.conn.send_close_notify();
            drop(peer.flush()); // The peer may have closed the connection already.
        }
        end
    }

    fn read(&self, index: usize, peer: &mut impl Read, is_tls: bool) -> End {
        let mut buffer = vec![0; 1 << 16];
        let mut position = SplitPosition::default();
        loop {
            if let Some(delay) = self.behavior.read_delay {
                std::thread::sleep(delay);
            }
            match peer.read(&mut buffer) {
                Ok(0) => return End::Closed,
                Ok(length) => {
                    let mut connections = self.lock();
                    let bytes = &mut connections[index].bytes;
                    bytes.extend_from_slice(&buffer[..length]);
                    let limit =
                        self.behavior.close_after.filter(|_| index == 0 || !self.behavior.loses_packets);
                    let limit_reached =
                        limit.and_then(|count| position.advance_to(self.framing, bytes, count));
                    if let Some(end) = limit_reached {
                        bytes.truncate(end);
                        return End::BySink;
                    }
                    drop(connections);
                    self.changed.notify_all();
                }
                Err(error) if is_timeout(&error) && self.is_stopped() => return End::BySink,
                Err(error) if is_timeout(&error) => {}
                Err(error) if is_tls && error.kind() == io::ErrorKind::UnexpectedEof => {
                    return End::NoCloseNotify;
                }
                Err(error) => return End::Failed(error.to_string()),
            }
        }
    }
}

/// Lets the kernel drop all packets that arrive for this socket, so that it acknowledges nothing.
#[cfg(target_os = "linux")]
fn lose_packets(socket: &TcpStream) {
    /// The instruction `ret #0` of a packet filter: keep no byte.
    const DROP: socket2::SockFilter = socket2::SockFilter::new(0x06, 0, 0, 0);
    socket2::SockRef::from(socket).attach_filter(&[DROP]).expect("a packet filter can be set");
}

#[cfg(not(target_os = "linux"))]
fn lose_packets(_socket: &TcpStream) {}

/// The position up to which a growing byte sequence has been split into messages.
#[derive(Debug, Default)]
struct SplitPosition {
    messages: usize,
    bytes: usize,
}

impl SplitPosition {
    /// The end of message number `count`, once it is complete.
    fn advance_to(&mut self, framing: Framing, bytes: &[u8], count: usize) -> Option<usize> {
        while self.messages < count {
            let (_, length) = first(framing, &bytes[self.bytes..])?;
            self.bytes += length;
            self.messages += 1;
        }
        Some(self.bytes)
    }
}

/// Splits framed bytes into messages, as a receiver does. An incomplete last message is omitted.
///
/// # Panics
/// If an octet-counted frame has no length.
#[must_use]
pub fn split(framing: Framing, mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((message, length)) = first(framing, bytes) {
        messages.push(message);
        bytes = &bytes[length..];
    }
    messages
}

/// The first complete message, and its length in bytes including the framing.
fn first(framing: Framing, bytes: &[u8]) -> Option<(&[u8], usize)> {
    match framing {
        Framing::Newline => {
            let end = bytes.iter().position(|byte| *byte == b'\n')?;
            Some((&bytes[..end], end + 1))
        }
        Framing::OctetCounted => {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let length =
                std::str::from_utf8(&bytes[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let end = space + 1 + length.expect("a counted frame begins with its length");
            Some((bytes.get(space + 1..end)?, end))
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// How often a waiting thread checks whether the sink was dropped.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
