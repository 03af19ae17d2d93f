//! A fake Qualys: HTTPS on loopback, with scripted responses and a log of all requests.
//!
//! ```
//! use scanbridge_doubles::certificates::{Authority, Request};
//! use scanbridge_doubles::fake_qualys::{FakeQualys, Reply, Script};
//!
//! let authority = Authority::new("Example Root CA");
//! let tls = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
//! let script = Script::new()
//!     .on("POST /api/2.0/fo/report/ action=launch", [Reply::simple("New report launched", &[("ID", "77")])])
//!     .on("action=fetch id=77", [Reply::code(200, 7001, "Report cannot be fetched."), Reply::xml("<SCAN/>")]);
//! let qualys = FakeQualys::start(tls, script);
//! assert!(qualys.url().starts_with("https://127.0.0.1:"));
//! assert!(qualys.requests().is_empty());
//! ```

pub mod file;
mod pages;
mod reply;
mod request;
mod scans;
mod script;
mod wire;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub use pages::Population;
pub use reply::Reply;
pub use request::ReceivedRequest;
pub use scans::StoredScans;
pub use script::Script;

/// Provides the response to a request.
pub trait Responder: Send + Sync + 'static {
    /// The response to this request.
    fn respond(&self, request: &ReceivedRequest) -> Reply;
}

impl<F: Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static> Responder for F {
    fn respond(&self, request: &ReceivedRequest) -> Reply {
        self(request)
    }
}

/// A running server. It stops when this is dropped.
pub struct FakeQualys {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    responder: Box<dyn Responder>,
    tls: Arc<ServerConfig>,
    log: Mutex<Vec<ReceivedRequest>>,
    stopped: AtomicBool,
    /// Calls whose response is not complete, and the most of them at one time.
    calls: AtomicUsize,
    most_calls: AtomicUsize,
    echo: bool,
}

impl FakeQualys {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(tls: Arc<ServerConfig>, responder: impl Responder) -> Self {
        Self::start_at("127.0.0.1:0", tls, responder, false)
    }

    /// Listens on a free port of the IPv6 loopback address.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start_v6(tls: Arc<ServerConfig>, responder: impl Responder) -> Self {
        Self::start_at("[::1]:0", tls, responder, false)
    }

    /// Listens on this address. With `echo`, prints each request as one line on standard output, and
    /// `calls at once: NUMBER` when more calls than before are in progress.
    ///
    /// # Panics
    /// If the address cannot be bound.
    #[must_use]
    pub fn start_at(address: &str, tls: Arc<ServerConfig>, responder: impl Responder, echo: bool) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            responder: Box::new(responder),
            tls,
            log: Mutex::default(),
            stopped: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            most_calls: AtomicUsize::new(0),
            echo,
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Its URL: `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most calls that were in progress at one time.
    #[must_use]
    pub fn most_calls(&self) -> usize {
        self.shared.most_calls.load(Ordering::SeqCst)
    }

    /// The number of requests that contain all words of `pattern`, as in [`Script::on`].
    #[must_use]
    pub fn count(&self, pattern: &str) -> usize {
        self.requests().iter().filter(|request| request.matches(pattern)).count()
    }
}

impl Drop for FakeQualys {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    /// Responder the requests of one connection until one side closes it.
    fn serve(&self, stream: TcpStream) {
        let Ok(connection) = ServerConnection::new(Arc::clone(&self.tls)) else { return };
        let mut stream = StreamOwned::new(connection, stream);
        while let Ok(Some(mut request)) = wire::read_request(&mut stream) {
            request.has_client_certificate = stream.conn.peer_certificates().is_some();
            let _call = self.begin_call();
            let reply = self.responder.respond(&request);
            if self.echo {
                print_line(&request.line());
            }
            self.log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            if self.stopped.load(Ordering::SeqCst) || !wire::send(&mut stream, &reply).unwrap_or(false) {
                break;
            }
        }
        stream.conn.send_close_notify();
        let _ = stream.conn.complete_io(&mut stream.sock);
    }

    /// Counts a call until the result is dropped. A client that is killed does not end its call, as with Qualys.
    fn begin_call(&self) -> RunningCall<'_> {
        let now = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if now > self.most_calls.fetch_max(now, Ordering::SeqCst) && self.echo {
            print_line(&format!("calls at once: {now}"));
        }
        RunningCall(&self.calls)
    }
}

/// A call in progress.
struct RunningCall<'a>(&'a AtomicUsize);

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn print_line(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
