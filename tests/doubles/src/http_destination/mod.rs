//! Fake destinations of findings: HTTP/1.1 on loopback, byte by byte, with a rude mode.
//!
//! ```
//! use scanbridge_doubles::http_destination::{HttpDestination, Lines, Rude};
//!
//! let webhook = HttpDestination::start(Lines::default());
//! webhook.be_rude([Rude::Reset(0), Rude::Status(503, Some("1"))]);
//! assert!(webhook.url().starts_with("http://127.0.0.1:"));
//! assert!(webhook.with(|lines| lines.received.is_empty()));
//! ```

mod bulk;
mod defect_dojo;
mod lines;
mod logs;
mod message;
mod splunk;
mod tokens;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub use bulk::Bulk;
pub use defect_dojo::{DefectDojo, Imported};
pub use lines::Lines;
pub use logs::{SecOps, Sentinel};
pub use message::{Answer, Request};
pub use splunk::Splunk;
pub use tokens::Tokens;
use wire::Wire;

/// What a destination does with requests. A record that contains `REJECT` is invalid.
pub trait Destination: Send + 'static {
    /// The response to a complete request.
    fn respond(&mut self, request: &Request) -> Answer;
}

/// A fault of the server. Each is used for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rude {
    /// The connection is reset after this many bytes of the request's body.
    Reset(usize),
    /// The request is processed, and the connection is reset without a response.
    Silent,
    /// The request is processed, and the response ends in the middle.
    Torn,
    /// The request is processed, and the connection is closed after the response, without saying so.
    Closed,
    /// The request is processed, and the response has chunks.
    Chunked,
    /// The request is processed, and the end of the connection ends the response.
    Unbounded,
    /// The request is processed, and the header of the response comes byte by byte.
    Slow,
    /// `100 Continue` comes before the response.
    Continue,
    /// A web page with status 200.
    Page,
    /// This status, with `Retry-After`.
    Status(u16, Option<&'static str>),
    /// A redirect to another server.
    Redirect,
    /// No HTTP at all.
    Noise,
    /// Over TLS: the handshake ends with the fatal alert of this number.
    AlertInHandshake(u8),
    /// Over TLS: the request is read, and a fatal alert comes instead of the response.
    AlertAfterRequest,
}

impl Rude {
    /// Whether the destination processes the request.
    fn processes(self) -> bool {
        !matches!(
            self,
            Self::Reset(_)
                | Self::Page
                | Self::Status(..)
                | Self::Redirect
                | Self::Noise
                | Self::AlertInHandshake(_)
                | Self::AlertAfterRequest
        )
    }
}

/// A running destination. It stops when this is dropped.
pub struct HttpDestination<D> {
    address: SocketAddr,
    is_tls: bool,
    shared: Arc<Shared<D>>,
}

struct Shared<D> {
    destination: Mutex<D>,
    faults: Mutex<VecDeque<Rude>>,
    requests: Mutex<Vec<Request>>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
}

impl<D: Destination> HttpDestination<D> {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(destination: D) -> Self {
        Self::listen(destination, None)
    }

    /// The same with TLS.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start_tls(destination: D, tls: Arc<ServerConfig>) -> Self {
        Self::listen(destination, Some(tls))
    }

    fn listen(destination: D, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let is_tls = tls.is_some();
        let shared = Arc::new(Shared {
            destination: Mutex::new(destination),
            faults: Mutex::default(),
            requests: Mutex::default(),
            tls,
            stopped: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let server = Arc::clone(&server);
                // A client that breaks off is nothing unusual.
                thread::spawn(move || server.accept(stream));
            }
        });
        Self { address, is_tls, shared }
    }

    /// Its URL: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    /// Uses these faults for the next requests, one each.
    pub fn be_rude(&self, faults: impl IntoIterator<Item = Rude>) {
        lock(&self.shared.faults).extend(faults);
    }

    /// Looks at, or changes, the state of the destination.
    pub fn with<T>(&self, look: impl FnOnce(&mut D) -> T) -> T {
        look(&mut lock(&self.shared.destination))
    }

    /// The number of complete requests so far.
    #[must_use]
    pub fn request_count(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// Discards all requests so far.
    pub fn discard_requests(&self) {
        lock(&self.shared.requests).clear();
    }

    /// All complete requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }
}

impl<D> Drop for HttpDestination<D> {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl<D: Destination> Shared<D> {
    fn accept(&self, stream: TcpStream) {
        let Ok(reset) = stream.try_clone() else { return };
        let is_clean = match &self.tls {
            None => self.serve(stream),
            Some(tls) => match self.alert_in_handshake() {
                Some(alert) => wire::refuse_handshake(stream, alert),
                None => ServerConnection::new(Arc::clone(tls))
                    .map_err(io::Error::other)
                    .and_then(|connection| self.serve(StreamOwned::new(connection, stream))),
            },
        };
        if is_clean.is_ok_and(|is_reset| is_reset) {
            // Closing with this option sends a reset instead of an end.
            let _ = socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO));
        }
    }

    /// The alert with which the next handshake ends, if the next fault is one.
    fn alert_in_handshake(&self) -> Option<u8> {
        let mut faults = lock(&self.faults);
        let Some(Rude::AlertInHandshake(alert)) = faults.front().copied() else { return None };
        faults.pop_front();
        Some(alert)
    }

    /// Responds to the requests of one connection. Returns whether it is to be reset.
    fn serve(&self, mut stream: impl Wire) -> io::Result<bool> {
        while let Some(head) = message::read_head(&mut stream)? {
            let fault = lock(&self.faults).pop_front();
            if let Some(Rude::Reset(bytes)) = fault {
                message::skip(&mut stream, bytes)?;
                return Ok(true);
            }
            if fault == Some(Rude::Continue) || head.header("expect").is_some() {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let request = message::read_body(&mut stream, head)?;
            lock(&self.requests).push(request.clone());
            let answer = match fault {
                Some(fault) if !fault.processes() => unprocessed(fault),
                _ => lock(&self.destination).respond(&request),
            };
            if self.stopped.load(Ordering::SeqCst) {
                return Ok(false);
            }
            match fault {
                Some(Rude::Silent) => return Ok(true),
                Some(Rude::AlertAfterRequest) => {
                    stream.send_alert()?;
                    return Ok(false);
                }
                Some(Rude::Noise) => {
                    stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")?;
                    return Ok(false);
                }
                fault => {
                    if !message::write(&mut stream, &answer, fault, request.method == "HEAD")? {
                        if fault == Some(Rude::Unbounded) {
                            stream.send_end()?;
                        }
                        return Ok(false);
                    }
                }
            }
        }
        Ok(false)
    }
}

fn unprocessed(fault: Rude) -> Answer {
    match fault {
        Rude::Page => {
            Answer::new(200, "<html><body>Welcome</body></html>").header("Content-Type", "text/html")
        }
        Rude::Redirect => Answer::new(302, "").header("Location", "https://login.example.com/"),
        Rude::Status(status, wait) => {
            let answer = Answer::new(status, "try later");
            wait.into_iter().fold(answer, |answer, wait| answer.header("Retry-After", wait))
        }
        _ => Answer::new(500, ""),
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The mark of a record that destinations refuse.
pub const REJECT: &str = "REJECT";
