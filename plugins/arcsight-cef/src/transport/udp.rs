//! Events as datagrams: one each, never answered.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{CheckReport, Result};

use super::connect::Connector;
use super::unavailable;

/// A socket that sends datagrams. What is lost on the way is lost: only a receiver's machine that says that
/// nothing listens there is noticed.
#[derive(Debug)]
pub(super) struct Udp {
    connector: Connector,
    target: Option<Target>,
    message: Vec<u8>,
    /// How long a look-up of the receiver's name is good for.
    good_for: Duration,
}

/// Where datagrams go, until the name is looked up again.
#[derive(Debug)]
struct Target {
    socket: UdpSocket,
    name: String,
    since: Instant,
}

impl Udp {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, target: None, message: Vec::new(), good_for: GOOD_FOR }
    }

    pub(super) fn check(&self) -> CheckReport {
        self.connector.check(false)
    }

    /// Sends a message, given in its parts.
    pub(super) fn message(&mut self, parts: [&[u8]; 3]) -> Result<()> {
        self.message.clear();
        for part in parts {
            self.message.extend_from_slice(part);
        }
        let Target { socket, name, .. } = match &mut self.target {
            Some(target) => target,
            None => {
                let (socket, name) = self.connector.datagrams()?;
                self.target.insert(Target { socket, name, since: Instant::now() })
            }
        };
        socket.send(&self.message).map(drop).map_err(|error| lost(name, &error))
    }

    /// What the network has said about the datagrams so far. Now and then the name is looked up again behind it: it
    /// may have moved, and nobody else would say so.
    ///
    /// # Errors
    /// When the receiver's machine said that nothing listens there.
    pub(super) fn confirm(&mut self) -> Result<()> {
        let Some(Target { socket, name, since }) = &self.target else { return Ok(()) };
        match socket.take_error() {
            Ok(None) if since.elapsed() >= self.good_for => self.target = None,
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Err(lost(name, &error)),
        }
        Ok(())
    }
}

fn lost(name: &str, error: &io::Error) -> scanbridge_plugin_api::PluginError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => unavailable(format!("nothing listens at {name} (UDP)")),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            unavailable(format!("datagrams to {name} could not be handed to the network in time"))
        }
        _ => unavailable(format!("cannot send datagrams to {name}: {error}")),
    }
}

/// What resolvers and their caches take for a short time to live.
const GOOD_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU16, Ordering};

    use scanbridge_doubles::syslog_sink::SyslogSink;

    use super::super::resolve::Receiver;
    use super::*;

    /// The old receiver goes on listening: only the name says that it is not the one any more.
    #[test]
    fn datagrams_follow_a_name_that_moves() {
        static PORT: AtomicU16 = AtomicU16::new(0);
        fn moving(_: &Receiver) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![([127, 0, 0, 1], PORT.load(Ordering::SeqCst)).into()])
        }
        let (old, new) = (SyslogSink::udp(), SyslogSink::udp());
        PORT.store(old.address().port(), Ordering::SeqCst);
        let mut udp = Udp { good_for: Duration::ZERO, ..Udp::new(Connector::for_test(moving)) };
        udp.message([b"one", b"", b""]).unwrap();
        PORT.store(new.address().port(), Ordering::SeqCst);
        udp.message([b"t", b"w", b"o"]).unwrap();
        udp.confirm().unwrap();
        udp.message([b"three", b"", b""]).unwrap();
        assert!(new.wait_until(|connections| connections[0].datagrams == [b"three"]));
        assert!(old.wait_until(|connections| connections[0].datagrams == [b"one".as_slice(), b"two"]));
        udp.good_for = GOOD_FOR;
        udp.confirm().unwrap();
        assert!(udp.target.is_some(), "not at each commit");
    }
}
