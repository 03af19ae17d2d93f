//! A connection to the Defense Center: version, maximum size, then messages and replies in turn.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};

use crate::dial::{Target, TlsStream, is_closed};
use crate::packer::Body;
use crate::protocol::{HEADER_BYTES, Header, Kind, VERSION, max_size, printable, unexpected};
use crate::socket::WAKE_UP;

/// A connection on which the Defense Center has sent the maximum message size. At most one message is waiting for its
/// reply.
pub(crate) struct Session {
    stream: TlsStream,
    max_size: usize,
}

/// The result of a read.
enum Reading {
    Complete,
    /// The Defense Center closed the connection.
    Closed,
}

impl Session {
    /// Connects: DNS, TCP, TLS, protocol greeting.
    ///
    /// # Errors
    /// Those of the steps.
    pub(crate) fn open(target: &Target, services: &Services) -> Result<Self> {
        let deadline = Instant::now() + target.timeout;
        let addresses = target.resolve(services, deadline)?;
        let stream = target.connect(&addresses, services, deadline)?;
        Self::greet(target, target.secure(stream)?, deadline)
    }

    /// The protocol greeting: our version, and the Defense Center's maximum size.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] when the Defense Center closes or resets the connection: that is how it treats unknown
    /// clients.
    /// [`ErrorKind::Protocol`] when it sends anything but its maximum size.
    pub(crate) fn greet(target: &Target, stream: TlsStream, deadline: Instant) -> Result<Self> {
        let mut session = Self { stream, max_size: 0 };
        session.stream.sock.expect("the protocol greeting", deadline);
        let mut wire = Wire { target, stream: &mut session.stream, is_greeting: true };
        wire.send(Kind::Version, &VERSION.to_be_bytes())?;
        let (kind, body) = wire.receive()?.ok_or_else(|| target.closed_early(true))?;
        session.max_size = max_size(&target.center, kind, &body)?;
        Ok(session)
    }

    /// The maximum body size that the Defense Center accepts, in bytes.
    pub(crate) fn max_size(&self) -> usize {
        self.max_size
    }

    /// Sends a message and waits for its reply.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the connection ends or the reply times out, [`ErrorKind::Protocol`] when the
    /// reply is not a result text. The session cannot be used after an error.
    pub(crate) fn exchange(&mut self, body: &Body, target: &Target, timeout: Duration) -> Result<String> {
        self.stream.sock.expect("a message", Instant::now() + timeout);
        let mut wire = Wire { target, stream: &mut self.stream, is_greeting: false };
        wire.send(Kind::Data, body.text.as_bytes()).map_err(|error| about(error, body))?;
        let answer = wire.receive().map_err(|error| about(error, body))?;
        let center = &target.center;
        match answer {
            Some((Kind::Data, text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
            Some((Kind::Error, text)) => {
                let text = printable(&String::from_utf8_lossy(&text));
                let message = format!("{center} replied with an error message: `{text}`");
                Err(about(PluginError::new(ErrorKind::Protocol, message), body))
            }
            Some((kind, _)) => Err(about(unexpected(center, kind, "the reply to a message"), body)),
            None => {
                let message = format!("{center} closed the connection instead of replying");
                Err(about(PluginError::new(ErrorKind::Unavailable, message), body))
            }
        }
    }

    /// Closes the connection. The protocol has no closing message.
    pub(crate) fn close(mut self) {
        self.stream.sock.expect("the end of the session", Instant::now() + WAKE_UP);
        self.stream.conn.send_close_notify();
        // Every reply was read, so an error here loses nothing.
        let _ = self.stream.flush();
        self.stream.sock.shut_down();
    }
}

/// The streams and limits of one exchange.
struct Wire<'a> {
    target: &'a Target,
    stream: &'a mut TlsStream,
    /// Whether the Defense Center has not answered yet on this connection.
    is_greeting: bool,
}

impl Wire<'_> {
    fn send(&mut self, kind: Kind, body: &[u8]) -> Result<()> {
        let header = Header::of(kind, body)?.encode();
        let sent = self.stream.write_all(&header).and_then(|()| self.stream.write_all(body));
        sent.and_then(|()| self.stream.flush()).map_err(|error| self.broken(&error))
    }

    /// The next message; `None` if the Defense Center closed the connection before it.
    fn receive(&mut self) -> Result<Option<(Kind, Vec<u8>)>> {
        let mut header = [0; HEADER_BYTES];
        if let Reading::Closed = self.fill(&mut header)? {
            return Ok(None);
        }
        let Header { kind, length } = Header::decode(header);
        if length > MAX_REPLY_BYTES {
            return Err(PluginError::new(
                ErrorKind::Protocol,
                format!("protocol error: {} announced a reply of {length} bytes", self.target.center),
            )
            .with_hint("check `port`; another service may be listening there"));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        match self.fill(&mut body)? {
            Reading::Complete => Ok(Some((kind, body))),
            Reading::Closed => Ok(None),
        }
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<Reading> {
        while !buffer.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Reading::Closed),
                Ok(count) => buffer = &mut buffer[count..],
                // The Defense Center closed TCP without closing TLS. This is treated as a normal close.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Reading::Closed);
                }
                Err(error) => return Err(self.explain(&error)),
            }
        }
        Ok(Reading::Complete)
    }

    /// Explains a failed write. If the Defense Center sent a message before it closed, that message says more than
    /// the error.
    fn broken(&mut self, error: &io::Error) -> PluginError {
        let Self { stream, .. } = self;
        while stream.conn.read_tls(&mut stream.sock).is_ok_and(|count| count > 0) {
            if let Err(error) = stream.conn.process_new_packets() {
                return self.explain(&io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        self.explain(error)
    }

    fn explain(&self, error: &io::Error) -> PluginError {
        match self.is_greeting && is_closed(error) {
            true => self.target.closed_early(true),
            false => self.target.explain(&self.stream.sock, error),
        }
    }
}

/// Adds the assets of the body to the error.
fn about(error: PluginError, body: &Body) -> PluginError {
    if error.kind == ErrorKind::Cancelled {
        return error;
    }
    let assets = match &body.shares[..] {
        [] => return error,
        [one] => format!("asset {}", one.address),
        [first, .., last] => {
            format!("{} assets, {} to {}", body.shares.len(), first.address, last.address)
        }
    };
    let message = format!("{}; affected: {assets}", error.message);
    let hint = error.hint.clone().unwrap_or_else(|| {
        "the Defense Center merges what it received when a connection ends; the retry corrects this"
            .to_owned()
    });
    error.with_message(message).with_hint(hint)
}

/// Maximum size of a reply. The text about a hundred commands takes a few KiB.
const MAX_REPLY_BYTES: u32 = 4 << 20;
