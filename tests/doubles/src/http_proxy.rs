//! A proxy that tunnels (HTTP CONNECT): with or without a login, with TLS to itself, or one that refuses.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the proxy is like.
#[derive(Clone, Default)]
pub struct Manners {
    /// The value that `Proxy-Authorization` must have; others are answered with 407.
    pub login: Option<String>,
    /// The status line that answers every CONNECT in place of a tunnel: `403 Forbidden`.
    pub refusal: Option<String>,
    /// TLS to the proxy itself.
    pub tls: Option<Arc<ServerConfig>>,
}

/// One CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// `host:port`.
    pub target: String,
    /// The value of `Proxy-Authorization`.
    pub login: Option<String>,
    /// Whether there was a tunnel.
    pub opened: bool,
}

/// A running proxy. It ends when this is dropped.
pub struct HttpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    manners: Manners,
    log: Mutex<Vec<Tunnel>>,
    ended: AtomicBool,
}

impl HttpProxy {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared { manners, log: Mutex::default(), ended: AtomicBool::new(false) });
        let proxy = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if proxy.ended.load(Ordering::SeqCst) {
                    return;
                }
                let proxy = Arc::clone(&proxy);
                thread::spawn(move || proxy.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Where it is, with the protocol that it speaks: `http://127.0.0.1:PORT` or `https://…`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.manners.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// All CONNECTs so far.
    #[must_use]
    pub fn tunnels(&self) -> Vec<Tunnel> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for clients.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let Some(tls) = &self.manners.tls else {
            let mut head = stream;
            if let Ok(Some(target)) = self.greet(&mut head) {
                let Ok(back) = head.try_clone() else { return };
                let Ok(out) = target.try_clone() else { return };
                let there = thread::spawn(move || pump(head, target));
                pump(out, back);
                let _ = there.join();
            }
            return;
        };
        let Ok(connection) = ServerConnection::new(Arc::clone(tls)) else { return };
        let mut stream = StreamOwned::new(connection, stream);
        if let Ok(Some(target)) = self.greet(&mut stream) {
            let _ = shuttle(&mut stream, target);
        }
    }

    /// Reads CONNECT and answers it; the connection to the target, if there is to be a tunnel.
    fn greet(&self, stream: &mut (impl Read + Write)) -> io::Result<Option<TcpStream>> {
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
        let manners = &self.manners;
        let answer = if manners.login.is_some() && login != manners.login {
            Some("407 Proxy Authentication Required".to_owned())
        } else if target.is_empty() {
            Some("405 Method Not Allowed".to_owned())
        } else {
            manners.refusal.clone()
        };
        let opened = answer.is_none();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(Tunnel {
            target: target.clone(),
            login,
            opened,
        });
        if let Some(answer) = answer {
            stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
            stream.flush()?;
            return Ok(None);
        }
        let there = TcpStream::connect(&target)?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        stream.flush()?;
        Ok(Some(there))
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Both directions on one thread, for a TLS stream cannot be split in two.
fn shuttle(stream: &mut StreamOwned<ServerConnection, TcpStream>, mut target: TcpStream) -> io::Result<()> {
    let pause = Some(Duration::from_millis(2));
    stream.sock.set_read_timeout(pause)?;
    target.set_read_timeout(pause)?;
    let mut block = vec![0; 64 << 10];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => target.write_all(&block[..read])?,
            Err(error) if is_pause(&error) => {}
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
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
