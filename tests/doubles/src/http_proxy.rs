//! An HTTP CONNECT proxy: with or without login, with TLS to the proxy itself, or one that rejects all requests.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the proxy behaves.
#[derive(Clone, Default)]
pub struct ProxyBehavior {
    /// The required value of `Proxy-Authorization`. Requests with another value get 407.
    pub login: Option<String>,
    /// The status with which every CONNECT is rejected, for example `403 Forbidden`.
    pub refusal: Option<String>,
    /// TLS settings, if clients connect to the proxy over TLS.
    pub tls: Option<Arc<ServerConfig>>,
}

/// One CONNECT request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// `host:port`.
    pub target: String,
    /// The value of `Proxy-Authorization`.
    pub login: Option<String>,
    /// Whether the tunnel was opened.
    pub opened: bool,
}

/// A running proxy. It stops when this is dropped.
pub struct HttpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    behavior: ProxyBehavior,
    log: Mutex<Vec<Tunnel>>,
    stopped: AtomicBool,
}

impl HttpProxy {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(behavior: ProxyBehavior) -> Self {
        Self::start_at("127.0.0.1:0", behavior)
    }

    /// Listens on this address.
    ///
    /// # Panics
    /// If the address cannot be bound.
    #[must_use]
    pub fn start_at(address: &str, behavior: ProxyBehavior) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared { behavior, log: Mutex::default(), stopped: AtomicBool::new(false) });
        let proxy = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if proxy.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let proxy = Arc::clone(&proxy);
                thread::spawn(move || proxy.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Its URL: `http://127.0.0.1:PORT`, or `https://…` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.behavior.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// All CONNECT requests so far.
    #[must_use]
    pub fn tunnels(&self) -> Vec<Tunnel> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let Some(tls) = &self.behavior.tls else {
            let mut head = stream;
            if let Ok(Some(target)) = self.accept_tunnel(&mut head) {
                let Ok(client_writer) = head.try_clone() else { return };
                let Ok(target_reader) = target.try_clone() else { return };
                let upload = thread::spawn(move || copy_until_end(head, target));
                copy_until_end(target_reader, client_writer);
                let _ = upload.join();
            }
            return;
        };
        let Ok(connection) = ServerConnection::new(Arc::clone(tls)) else { return };
        let mut stream = StreamOwned::new(connection, stream);
        if let Ok(Some(target)) = self.accept_tunnel(&mut stream) {
            let _ = copy_both_directions(&mut stream, target);
        }
    }

    /// Reads a CONNECT request and sends the response. Returns the connection to the target, unless the request is
    /// rejected.
    fn accept_tunnel(&self, stream: &mut (impl Read + Write)) -> io::Result<Option<TcpStream>> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 || head.len() > 1 << 16 {
                return Ok(None);
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
        let target = target.unwrap_or_default().to_owned();
        let login = head.split("\r\n").find_map(|line| line.strip_prefix("Proxy-Authorization: "));
        let login = login.map(str::to_owned);
        let behavior = &self.behavior;
        let rejection = if behavior.login.is_some() && login != behavior.login {
            Some("407 Proxy Authentication Required".to_owned())
        } else if target.is_empty() {
            Some("405 Method Not Allowed".to_owned())
        } else {
            behavior.refusal.clone()
        };
        let opened = rejection.is_none();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(Tunnel {
            target: target.clone(),
            login,
            opened,
        });
        if let Some(rejection) = rejection {
            stream.write_all(format!("HTTP/1.1 {rejection}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
            stream.flush()?;
            return Ok(None);
        }
        let connection = TcpStream::connect(&target)?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        stream.flush()?;
        Ok(Some(connection))
    }
}

fn copy_until_end(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Copies both directions on one thread, because a TLS stream cannot be split.
fn copy_both_directions(
    stream: &mut StreamOwned<ServerConnection, TcpStream>,
    mut target: TcpStream,
) -> io::Result<()> {
    let timeout = Some(Duration::from_millis(2));
    stream.sock.set_read_timeout(timeout)?;
    target.set_read_timeout(timeout)?;
    let mut block = vec![0; 64 << 10];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => target.write_all(&block[..read])?,
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        match target.read(&mut block) {
            Ok(0) => {
                stream.conn.send_close_notify();
                return stream.flush();
            }
            Ok(read) => {
                stream.write_all(&block[..read])?;
                stream.flush()?;
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
