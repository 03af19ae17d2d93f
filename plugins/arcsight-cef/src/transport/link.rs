//! One connection to a receiver, plain or TLS. Never blocks for long, and checks before each write that the
//! peer has not closed it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;
use scanbridge_plugin_api::{ErrorKind, PluginError, Services, unacknowledged_bytes};
use scanbridge_tls_identity::ClientTls;

/// Errors of a connection.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The connection is lost; a new one may succeed.
    Lost(String),
    /// The peer has closed its side without a reset. It may still read: TCP does not tell.
    Closed(String),
    /// A new connection would not help.
    Fatal(PluginError),
}

/// State of the peer's side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Open.
    Open,
    /// The peer has sent `close_notify`.
    Closing,
    /// The peer has closed its side without a reset, so its program has read all that its kernel had
    /// received.
    Closed,
}

impl From<PluginError> for LinkError {
    fn from(error: PluginError) -> Self {
        Self::Fatal(error)
    }
}

/// How long a peer may accept no byte.
#[derive(Debug, Clone)]
pub(super) struct WriteTimeout {
    pub timeout: Duration,
    pub services: Services,
}

impl WriteTimeout {
    /// Fails if there was no progress since `since` for longer than the timeout. After cancellation by the
    /// host it fails after one second without progress.
    pub(super) fn check(&self, since: Instant, peer: &str) -> Result<(), PluginError> {
        let waited = since.elapsed();
        if waited >= self.timeout {
            return Err(PluginError::unavailable(format!(
                "write to {peer} timed out: connected, but no byte was accepted for {} s",
                self.timeout.as_secs()
            )));
        }
        if waited >= Duration::from_secs(1) && self.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        Ok(())
    }
}

/// A TLS session, and the client that explains its errors.
#[derive(Debug)]
pub(super) struct Secured {
    pub session: ClientConnection,
    pub client: ClientTls,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    tls: Option<Box<Secured>>,
    /// The receiver and its address, for messages.
    name: String,
    /// Bytes accepted by the local kernel.
    accepted: u64,
    /// Whether the peer has closed its side.
    is_closed_by_peer: bool,
    /// Whether it still reads after that.
    is_half_closed: bool,
    write_timeout: WriteTimeout,
}

impl Link {
    /// Wraps a connected, non-blocking socket.
    pub(super) fn plain(socket: TcpStream, name: String, write_timeout: WriteTimeout) -> Self {
        Self {
            socket,
            tls: None,
            name,
            accepted: 0,
            is_closed_by_peer: false,
            is_half_closed: false,
            write_timeout,
        }
    }

    /// Performs the TLS handshake. No data is sent before the peer is trusted.
    ///
    /// With TLS 1.3 a rejection of the client certificate arrives later, in response to the first data.
    pub(super) fn secured(mut self, tls: Secured) -> Result<Self, LinkError> {
        self.tls = Some(Box::new(tls));
        let started = Instant::now();
        while self.is_handshaking() {
            self.drain_session()?;
            if self.is_handshaking() {
                self.write_timeout.check(started, &self.name)?;
                self.wait(PollFlags::IN, SLICE);
                self.expect_open()?;
            }
        }
        self.drain_session()?;
        Ok(self)
    }

    /// The receiver and its address.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The TLS session, if there is one.
    pub(super) fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_ref().map(|tls| &tls.session)
    }

    /// Bytes accepted by the local kernel.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Bytes acknowledged by the kernel of the peer.
    pub(super) fn arrived(&self) -> Result<u64, LinkError> {
        let queued = unacknowledged_bytes(&self.socket).map_err(|error| self.lost(&error))?;
        Ok(self.accepted.saturating_sub(queued))
    }

    /// Reads and discards data from the peer, to detect that it closes the connection. Syslog receivers send
    /// no data, so the number of reads is limited.
    pub(super) fn probe(&mut self) -> Result<Peer, LinkError> {
        let mut discarded = [0; 1024];
        let mut peer = Peer::Open;
        for _ in 0..MAX_READS {
            let read = match &mut self.tls {
                Some(tls) => tls.session.read_tls(&mut self.socket),
                None => self.socket.read(&mut discarded),
            };
            match read {
                Ok(0) => {
                    self.is_closed_by_peer = true;
                    return Ok(Peer::Closed);
                }
                Ok(_) if self.process_records()? => peer = Peer::Closing,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(peer),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
        Ok(peer)
    }

    /// Fails if the peer has closed the connection: a write after that would be lost silently.
    pub(super) fn expect_open(&mut self) -> Result<(), LinkError> {
        match self.probe()? {
            Peer::Closed if self.is_half_closed => Ok(()),
            Peer::Closed => Err(LinkError::Closed(self.closed())),
            Peer::Closing => Err(LinkError::Lost(self.closed())),
            Peer::Open => Ok(()),
        }
    }

    /// As [`Self::expect_open`], but the peer may have closed its side: it may still read, or will send a reset.
    fn expect_reader(&mut self) -> Result<(), LinkError> {
        match self.expect_open() {
            Err(LinkError::Closed(_)) => Ok(()),
            other => other,
        }
    }

    /// Writes these bytes after the peer has closed its side, and returns whether its kernel acknowledges them. If the
    /// program of the peer had closed both directions, its kernel would send a reset.
    pub(super) fn still_reads(&mut self, bytes: &[u8]) -> Result<bool, LinkError> {
        let before = self.accepted;
        self.write(bytes)?;
        let end = Instant::now() + CLOSE_TIMEOUT;
        while self.arrived()? <= before {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.wait_readable(POLL_INTERVAL);
            self.expect_reader()?;
        }
        self.is_half_closed = true;
        Ok(true)
    }

    fn closed(&self) -> String {
        format!("connection closed by {}", self.name)
    }

    /// Writes all bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.write_all(bytes).map_err(|error| self.pending_alert(error))
    }

    /// Waits until data from the peer is readable, at most for `duration`.
    pub(super) fn wait_readable(&self, duration: Duration) {
        self.wait(PollFlags::IN, duration);
    }

    /// Waits until the kernel of the peer has acknowledged all bytes.
    pub(super) fn wait_until_arrived(&mut self) -> Result<(), LinkError> {
        let mut last_progress = Instant::now();
        let mut arrived = 0;
        loop {
            self.expect_open()?;
            let now = self.arrived()?;
            if now == self.accepted {
                return Ok(());
            }
            if now != arrived {
                (arrived, last_progress) = (now, Instant::now());
            }
            self.write_timeout.check(last_progress, &self.name)?;
            self.wait_readable(POLL_INTERVAL);
        }
    }

    /// Fails if the peer closes the connection within `duration`.
    pub(super) fn stay_open(&mut self, duration: Duration) -> Result<(), LinkError> {
        let started = Instant::now();
        while let Some(left) = duration.checked_sub(started.elapsed()) {
            self.wait(PollFlags::IN, left.min(SLICE));
            self.expect_open()?;
            if started.elapsed() >= Duration::from_secs(1) && self.write_timeout.services.is_cancelled() {
                return Err(PluginError::cancelled().into());
            }
        }
        Ok(())
    }

    /// Closes our side and waits until the peer has closed its side too, which proves that it has read
    /// everything: a close with unread data causes a reset.
    pub(super) fn end(mut self) -> Result<(), LinkError> {
        self.shut_down()?;
        let mut last_progress = Instant::now();
        let mut arrived = 0;
        loop {
            let peer = self.probe()?;
            let now = self.arrived()?;
            // If the peer closed before all bytes arrived, it replies to the rest with a reset.
            if peer == Peer::Closed && now == self.accepted {
                return Ok(());
            }
            if now != arrived {
                (arrived, last_progress) = (now, Instant::now());
            }
            self.write_timeout.check(last_progress, &self.name).map_err(|error| match error.kind {
                ErrorKind::Unavailable => PluginError::unavailable(format!(
                    "{} did not close the connection, so delivery of all events is not confirmed",
                    self.name
                ))
                .with_hint("if the receiver never closes connections, set `confirm: arrival`"),
                _ => error,
            })?;
            match peer {
                Peer::Closed => std::thread::sleep(Duration::from_millis(1)),
                _ => self.wait(PollFlags::IN, SLICE),
            }
        }
    }

    /// Closes the connection and waits briefly for the peer to close it too. Errors are ignored: all events
    /// were confirmed before.
    pub(super) fn close(mut self) {
        if self.shut_down().is_err() {
            return;
        }
        let end = Instant::now() + CLOSE_TIMEOUT;
        while Instant::now() < end && self.probe().is_ok_and(|peer| peer != Peer::Closed) {
            self.wait(PollFlags::IN, end.saturating_duration_since(Instant::now()));
        }
    }

    /// Sends `close_notify`, which RFC 5425 requires, then closes our side.
    fn shut_down(&mut self) -> Result<(), LinkError> {
        if let Some(tls) = &mut self.tls {
            tls.session.send_close_notify();
            self.drain_session()?;
        }
        self.socket.shutdown(std::net::Shutdown::Write).map_err(|error| self.lost(&error))
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let written = match &mut self.tls {
                Some(tls) => {
                    let written = tls.session.writer().write(bytes);
                    self.drain_session()?;
                    written.map_err(|error| self.lost(&error))?
                }
                None => self.write_when_ready(|link| link.socket.write(bytes))?,
            };
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Writes the pending records of the TLS session.
    fn drain_session(&mut self) -> Result<(), LinkError> {
        while self.tls().is_some_and(|session| session.wants_write()) {
            self.write_when_ready(|link| match &mut link.tls {
                Some(tls) => tls.session.write_tls(&mut link.socket),
                None => Ok(0),
            })?;
        }
        Ok(())
    }

    /// Retries a write until the kernel accepts bytes.
    fn write_when_ready(
        &mut self,
        mut write: impl FnMut(&mut Self) -> io::Result<usize>,
    ) -> Result<usize, LinkError> {
        let started = Instant::now();
        loop {
            match write(self) {
                Ok(written) => {
                    self.accepted += written as u64;
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.write_timeout.check(started, &self.name)?;
                    self.wait(PollFlags::IN | PollFlags::OUT, SLICE);
                    self.expect_reader()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// Processes the records that the TLS session has read. Returns whether the peer has sent `close_notify`.
    fn process_records(&mut self) -> Result<bool, LinkError> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        let Secured { session, client } = &mut **tls;
        let state = match session.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                // Send the alert, so that the peer can log the reason; a failure of this write does not
                // matter.
                drop(session.write_tls(&mut self.socket));
                return Err(client.explain(&error).into());
            }
        };
        let mut discarded = [0; 1024];
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            match session.reader().read(&mut discarded) {
                Ok(read) if read > 0 => left -= read,
                _ => break,
            }
        }
        Ok(state.peer_has_closed())
    }

    /// A peer that rejects us sends an alert and closes: our write fails, but the alert with the reason is
    /// still readable.
    fn pending_alert(&mut self, error: LinkError) -> LinkError {
        match (error, &self.tls) {
            (LinkError::Lost(reason), Some(_)) => match self.probe() {
                Err(LinkError::Fatal(error)) => LinkError::Fatal(error),
                _ => LinkError::Lost(reason),
            },
            (error, _) => error,
        }
    }

    fn is_handshaking(&self) -> bool {
        self.tls().is_some_and(|session| session.is_handshaking())
    }

    fn wait(&self, mut events: PollFlags, duration: Duration) {
        if self.is_closed_by_peer {
            events.remove(PollFlags::IN); // The end of the data stays readable. A reset is always reported.
        }
        let timeout = Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        // The next read or write reports any error.
        let _ = poll(&mut [PollFd::new(&self.socket, events)], Some(&timeout));
    }

    fn lost(&self, error: &io::Error) -> LinkError {
        let name = &self.name;
        LinkError::Lost(match error.kind() {
            io::ErrorKind::ConnectionReset => format!("connection reset by {name}"),
            io::ErrorKind::BrokenPipe => format!("connection closed by {name}"),
            io::ErrorKind::TimedOut => format!("connection to {name} timed out: no acknowledgement"),
            _ => format!("the connection to {name} failed: {error}"),
        })
    }
}

/// Maximum wait before checking for cancellation by the host.
const SLICE: Duration = Duration::from_millis(200);
/// Interval for polling the acknowledged bytes: the kernel sends no event for them.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long `close` waits for the peer to close its side, and `still_reads` for an acknowledgement.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum number of reads per probe.
const MAX_READS: u32 = 64;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;

    /// More data is readable than one probe reads, so the probe does not reach the end of the connection.
    #[test]
    fn probe_reads_a_limited_amount() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&[b'x'; 80 << 10]).unwrap();
        drop(peer);
        socket.set_nonblocking(true).unwrap();
        let services = Services::without_host(Path::new("/nonexistent"));
        let write_timeout = WriteTimeout { timeout: Duration::from_secs(5), services };
        let mut link = Link::plain(socket, "peer".to_owned(), write_timeout);
        assert_eq!(link.probe().ok(), Some(Peer::Open));
        link.socket.set_nonblocking(false).unwrap();
        let mut rest = Vec::new();
        link.socket.read_to_end(&mut rest).unwrap();
        assert!(rest.len() >= 16 << 10, "{} bytes were left", rest.len());
    }
}
