//! Events as datagrams, one per event, without acknowledgement.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use scanbridge_cef_events::Outcome;
use scanbridge_plugin_api::{CheckReport, Counter, ErrorKind, PluginError, Result, tracing};

use super::connect::Connector;
use super::rate_limit::RateLimit;

/// A socket that sends datagrams, at a limited rate. Lost datagrams are not detected, except for ICMP port unreachable.
#[derive(Debug)]
pub(super) struct Udp {
    connector: Connector,
    target: Option<Target>,
    message: Vec<u8>,
    rate_limit: RateLimit,
    /// Datagrams sent since the last commit.
    unconfirmed: u64,
    /// All of them, for the summary of the run.
    unconfirmed_records: Counter,
    /// How long a resolved address is used.
    lookup_ttl: Duration,
}

/// The resolved receiver.
#[derive(Debug)]
struct Target {
    socket: UdpSocket,
    name: String,
    since: Instant,
    /// Whether the name must be resolved again before the next datagram.
    is_stale: bool,
}

impl Udp {
    pub(super) fn new(connector: Connector, rate_limit: RateLimit) -> Self {
        let help = "events sent over UDP, not confirmed by the receiver";
        let unconfirmed_records = connector.services.counter("unconfirmed_records", help);
        Self {
            connector,
            target: None,
            message: Vec::new(),
            rate_limit,
            unconfirmed: 0,
            unconfirmed_records,
            lookup_ttl: LOOKUP_TTL,
        }
    }

    pub(super) fn check(&self) -> CheckReport {
        self.connector.check(false)
    }

    /// Sends a message, given as its parts. The socket may refuse one that is too large for it; others can follow.
    pub(super) fn message(&mut self, parts: [&[u8]; 3]) -> Result<Outcome> {
        self.message.clear();
        for part in parts {
            self.message.extend_from_slice(part);
        }
        let is_known = self.target.as_ref().is_some_and(|target| !target.is_stale);
        let Target { socket, name, .. } = match &mut self.target {
            Some(target) if is_known => target,
            target => resolve(&self.connector, target)?,
        };
        std::thread::sleep(self.rate_limit.delay(Instant::now));
        match socket.send(&self.message) {
            Ok(_) => {
                self.unconfirmed += 1;
                Ok(Outcome::Accepted)
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                Ok(Outcome::Refused { bytes: self.message.len() })
            }
            Err(error) => Err(send_error(name, &error)),
        }
    }

    /// Counts what was sent as not confirmed, and checks for ICMP errors. When `lookup_ttl` has passed, it also schedules a DNS lookup, because a
    /// changed address is not detected otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the receiver's machine reported that the port is closed.
    pub(super) fn confirm(&mut self) -> Result<()> {
        let sent = std::mem::take(&mut self.unconfirmed);
        if sent > 0 {
            let services = &self.connector.services;
            services.note(tracing::Level::INFO, "events sent over UDP, not confirmed by the receiver", sent);
            self.unconfirmed_records.add(sent);
        }
        let Some(target) = &mut self.target else { return Ok(()) };
        match target.socket.take_error() {
            Ok(None) => target.is_stale = target.since.elapsed() >= self.lookup_ttl,
            Ok(Some(error)) | Err(error) => return Err(send_error(&target.name, &error)),
        }
        Ok(())
    }
}

/// Resolves the receiver. If that fails, the last known address stays in use.
fn resolve<'a>(connector: &Connector, target: &'a mut Option<Target>) -> Result<&'a mut Target> {
    let since = Instant::now();
    match (connector.datagrams(), target) {
        (Ok((socket, name)), target) => Ok(target.insert(Target { socket, name, since, is_stale: false })),
        (Err(error), Some(known)) if error.kind == ErrorKind::Unavailable => {
            tracing::warn!("{error}; still sending datagrams to {}", known.name);
            (known.since, known.is_stale) = (since, false);
            Ok(known)
        }
        (Err(error), _) => Err(error),
    }
}

fn send_error(name: &str, error: &io::Error) -> scanbridge_plugin_api::PluginError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            PluginError::unavailable(format!("connection refused by {name} (UDP: ICMP port unreachable)"))
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            PluginError::unavailable(format!("sending datagrams to {name} timed out"))
        }
        _ => PluginError::unavailable(format!("cannot send datagrams to {name}: {error}")),
    }
}

/// A typical short DNS time to live.
const LOOKUP_TTL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU16, Ordering};

    use scanbridge_doubles::syslog_sink::SyslogSink;

    use super::*;

    /// The old receiver keeps listening, so only DNS shows the change. While the name cannot be resolved, the
    /// last address stays in use.
    #[test]
    fn datagrams_follow_a_changed_dns_address() {
        static PORT: AtomicU16 = AtomicU16::new(0);
        fn moving(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            match PORT.load(Ordering::SeqCst) {
                0 => Err(io::Error::other("no resolver answers")),
                port => Ok(vec![([127, 0, 0, 1], port).into()]),
            }
        }
        let (old, new) = (SyslogSink::udp(), SyslogSink::udp());
        PORT.store(old.address().port(), Ordering::SeqCst);
        let mut udp =
            Udp { lookup_ttl: Duration::ZERO, ..Udp::new(Connector::for_test(moving), RateLimit::new(2500)) };
        assert_eq!(udp.message([b"one", b"", b""]).unwrap(), Outcome::Accepted);
        PORT.store(new.address().port(), Ordering::SeqCst);
        assert_eq!(udp.message([b"t", b"w", b"o"]).unwrap(), Outcome::Accepted);
        udp.confirm().unwrap();
        assert_eq!(udp.message([b"three", b"", b""]).unwrap(), Outcome::Accepted);
        PORT.store(0, Ordering::SeqCst);
        udp.confirm().unwrap();
        assert_eq!(udp.message([b"four", b"", b""]).unwrap(), Outcome::Accepted);
        assert!(new.wait_until(|connections| connections[0].datagrams == [b"three".as_slice(), b"four"]));
        assert!(old.wait_until(|connections| connections[0].datagrams == [b"one".as_slice(), b"two"]));
        udp.lookup_ttl = LOOKUP_TTL;
        udp.confirm().unwrap();
        assert!(udp.target.is_some_and(|target| !target.is_stale), "not at each commit");
    }
}
