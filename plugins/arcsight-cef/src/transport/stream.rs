//! Events over a TCP or TLS connection: batched, confirmed, and resent if unconfirmed.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, tracing};
use scanbridge_tls_identity::Identity;

use super::backlog::Backlog;
use super::connect::Connector;
use super::link::{Link, LinkError, POLL_INTERVAL, WriteTimeout};

/// When buffered events are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    pub events: usize,
    pub bytes: usize,
    pub age: Duration,
}

/// How delivery is confirmed (option `confirm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The receiver keeps the connection open for the grace time after its kernel has acknowledged
    /// everything, closes it without a reset after us, and accepts a new one that stays open as long: its
    /// program has read everything. The new connection is needed because a program that is being stopped may
    /// close one normally with data unread.
    End,
    /// The kernel of the receiver has acknowledged everything, and the connection stays open for the grace
    /// time.
    Arrival,
}

/// A connection that is opened on first use and reopened at once if it is lost.
///
/// Syslog has no acknowledgement, so messages are kept until their delivery is confirmed, and resent on the
/// next connection if one is lost before that. At most [`MAX_KEPT_BYTES`] are kept; then it waits for a
/// confirmation.
#[derive(Debug)]
pub(super) struct Stream {
    connector: Connector,
    batching: Batching,
    proof: Proof,
    grace: Duration,
    link: Option<Link>,
    backlog: Backlog,
    /// When the oldest unsent message was added; not meaningful if all are sent.
    oldest: Instant,
    /// Maximum number of unconfirmed messages. Reduced at each repeated loss, because a receiver may close
    /// each connection after a fixed number of messages, and then only fewer can be confirmed.
    window: usize,
    /// Whether any message was confirmed since the last loss.
    progressed: bool,
    /// Whether the receiver has closed its side of a connection since the last confirmation.
    was_closed: bool,
}

/// The state that `reach` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// All messages that the window allows are written.
    Sent,
    /// At most [`MAX_KEPT_BYTES`] are kept.
    Capacity,
    /// All messages have arrived.
    Arrived,
}

impl Stream {
    pub(super) fn new(connector: Connector, batching: Batching, proof: Proof, grace: Duration) -> Self {
        Self {
            connector,
            batching,
            proof,
            grace,
            link: None,
            backlog: Backlog::default(),
            oldest: Instant::now(),
            window: MAX_WINDOW,
            progressed: true,
            was_closed: false,
        }
    }

    /// The client certificate, if one is sent.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.connector.identity().cloned()
    }

    pub(super) fn check(&self) -> CheckReport {
        self.connector.check(true)
    }

    /// Adds a framed message, which `append` writes to the end of a buffer.
    pub(super) fn message(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.backlog.waiting() == 0 {
            self.oldest = Instant::now();
        }
        self.backlog.push(append);
        let Batching { events, bytes, .. } = self.batching;
        let is_full = self.backlog.waiting() >= events || self.backlog.waiting_bytes() >= bytes;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// When the buffered messages must be written; `None` if there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.backlog.waiting() > 0).then(|| self.oldest + self.batching.age)
    }

    /// Writes the buffered messages, as far as the window allows.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.reach(Goal::Sent)?;
        self.free_capacity()?;
        // Messages beyond the window wait for a confirmation; restart their timer.
        self.oldest = Instant::now();
        Ok(())
    }

    /// Waits until delivery of all messages is confirmed.
    pub(super) fn confirm(&mut self) -> Result<()> {
        if self.proof == Proof::Arrival {
            return self.reach(Goal::Arrived);
        }
        while self.backlog.kept_bytes() > 0 {
            self.reach(Goal::Sent)?;
            self.confirm_by_reconnect()?;
        }
        Ok(())
    }

    /// Drops the newest `messages` that are not sent. Returns how many of them were already sent.
    pub(super) fn drop_unsent(&mut self, messages: usize) -> usize {
        messages - self.backlog.drop_unsent(messages)
    }

    pub(super) fn close(self) {
        if let Some(link) = self.link {
            link.close();
        }
    }

    fn reach(&mut self, goal: Goal) -> Result<()> {
        let mut last_progress = Instant::now();
        let mut arrived = 0;
        while !self.is_reached(goal) {
            match self.step() {
                Ok(true) => last_progress = Instant::now(),
                Ok(false) => {
                    let Some(link) = &self.link else { continue };
                    let now = link.arrived().unwrap_or(arrived);
                    if now != arrived {
                        (arrived, last_progress) = (now, Instant::now());
                    }
                    self.write_timeout().check(last_progress, link.name())?;
                    link.wait_readable(POLL_INTERVAL.min(self.grace.max(Duration::from_millis(1))));
                }
                Err(error) => {
                    self.connection_lost(error)?;
                    last_progress = Instant::now();
                }
            }
        }
        Ok(())
    }

    fn is_reached(&self, goal: Goal) -> bool {
        match goal {
            Goal::Sent => self.backlog.waiting() == 0 || self.backlog.in_flight() >= self.window,
            Goal::Capacity => self.backlog.kept_bytes() <= MAX_KEPT_BYTES,
            Goal::Arrived => self.backlog.kept_bytes() == 0,
        }
    }

    /// Checks what has arrived and writes one batch. Returns whether there was progress.
    fn step(&mut self) -> Result<bool, LinkError> {
        let link = match &mut self.link {
            Some(link) => link,
            None => {
                let link = self.link.insert(self.connector.connect()?);
                if self.was_closed {
                    // Events that are written after a close show whether the receiver still reads.
                    link.stay_open(self.grace)?;
                }
                link
            }
        };
        link.expect_open()?;
        self.backlog.arrived(link.arrived()?, Instant::now());
        let confirmed = match self.proof {
            Proof::Arrival => self.backlog.confirm(Instant::now(), self.grace),
            Proof::End => 0,
        };
        let allowed = self.window.saturating_sub(self.backlog.in_flight()).min(self.batching.events);
        let (bytes, messages) = self.backlog.next(allowed, self.batching.bytes);
        if messages > 0 {
            link.write(bytes)?;
            self.backlog.sent(messages, link.accepted());
        }
        if confirmed > 0 {
            self.progress();
        }
        Ok(confirmed > 0 || messages > 0)
    }

    fn free_capacity(&mut self) -> Result<()> {
        match self.proof {
            Proof::Arrival => self.reach(Goal::Capacity),
            Proof::End if self.is_reached(Goal::Capacity) && self.backlog.in_flight() < self.window => Ok(()),
            Proof::End => self.confirm_by_reconnect(),
        }
    }

    /// Closes the connection and opens a new one. Messages sent on it are then confirmed, or will be resent.
    fn confirm_by_reconnect(&mut self) -> Result<()> {
        match self.end_and_connect() {
            Ok(()) => {
                self.backlog.confirm_sent();
                self.progress();
                Ok(())
            }
            Err(error) => self.connection_lost(error),
        }
    }

    fn end_and_connect(&mut self) -> Result<(), LinkError> {
        if let Some(link) = &mut self.link {
            link.wait_until_arrived()?;
            link.stay_open(self.grace)?;
        }
        if let Some(link) = self.link.take() {
            link.end()?;
        }
        let mut next = self.connector.connect()?;
        next.stay_open(self.grace)?;
        self.link = Some(next);
        Ok(())
    }

    fn progress(&mut self) {
        self.progressed = true;
        self.was_closed = false;
        self.window = (self.window + self.window / 8 + 1).min(MAX_WINDOW);
    }

    /// The connection is lost: unconfirmed messages will be resent, in smaller steps if there was no
    /// progress. An error that a new connection would not fix is returned.
    fn connection_lost(&mut self, error: LinkError) -> Result<()> {
        let reason = match error {
            LinkError::Fatal(error) => return Err(error),
            LinkError::Lost(reason) => reason,
            LinkError::Closed(reason) => match self.still_reads() {
                Ok(true) => return self.half_closed(),
                Ok(false) => reason,
                Err(LinkError::Lost(reason) | LinkError::Closed(reason)) => reason,
                Err(LinkError::Fatal(error)) => return Err(error),
            },
        };
        self.link = None;
        let unconfirmed = self.backlog.in_flight();
        let attempted = unconfirmed + self.backlog.waiting().min(self.batching.events);
        self.backlog.rewind();
        if !self.progressed {
            if self.window == 1 {
                return Err(PluginError::unavailable(format!(
                    "{reason}: connection failed repeatedly before any event was confirmed"
                )));
            }
            self.window = (self.window.min(attempted) / 2).max(1);
        }
        let services = &self.connector.services;
        services.note(tracing::Level::WARN, "connections lost and opened again", 1);
        if unconfirmed > 0 {
            services.note(tracing::Level::WARN, "unacknowledged events resent", unconfirmed as u64);
            tracing::warn!(events = unconfirmed, "{reason}; resending unacknowledged events");
        } else {
            tracing::debug!("{reason}; no unacknowledged events");
        }
        self.progressed = false;
        Ok(())
    }

    /// Whether the receiver still reads after it has closed its side of the connection. Not asked for the first such
    /// close since the last confirmation: most receivers close both sides, and a new connection is enough.
    fn still_reads(&mut self) -> Result<bool, LinkError> {
        let was_closed = std::mem::replace(&mut self.was_closed, true);
        let Some(link) = self.link.as_mut().filter(|_| was_closed) else { return Ok(false) };
        match self.backlog.next(self.batching.events, self.batching.bytes) {
            // A message again: otherwise all of them would be resent.
            (_, 0) => link.still_reads(self.backlog.oldest()),
            (bytes, messages) => {
                let still_reads = link.still_reads(bytes)?;
                self.backlog.sent(messages, link.accepted());
                Ok(still_reads)
            }
        }
    }

    /// The receiver has closed its side and still reads: it would read all events again on each connection. With
    /// `confirm: end` it can confirm none of them.
    ///
    /// # Errors
    /// An error that is not retryable, because the host would resend the events too.
    fn half_closed(&mut self) -> Result<()> {
        let name = self.link.as_ref().map(Link::name).unwrap_or_default();
        if self.proof == Proof::Arrival {
            tracing::warn!(
                "{name} has closed its sending side but still reads; events count as delivered when its kernel has \
                 acknowledged them (`confirm: arrival`)"
            );
            return Ok(());
        }
        Err(PluginError::new(
            ErrorKind::Protocol,
            format!(
                "{name} has closed its sending side but still reads, so it cannot confirm delivery with `confirm: \
                 end`; the events since the last commit may have arrived"
            ),
        )
        .with_hint(
            "set `confirm: arrival`, or let the receiver keep its side open until the sender closes (`ncat` without \
             `--recv-only`)",
        ))
    }

    fn write_timeout(&self) -> WriteTimeout {
        WriteTimeout { timeout: self.connector.write_timeout, services: self.connector.services.clone() }
    }
}

/// Maximum of unconfirmed bytes; one batch may exceed it.
const MAX_KEPT_BYTES: usize = 4 << 20;
const MAX_WINDOW: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, SocketAddr, TcpListener};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU16, Ordering};

    use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};
    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    fn stream(resolver: scanbridge_dialer::Resolver) -> Stream {
        let connector = Connector::for_test(resolver);
        let batching = Batching { events: 100, bytes: 1 << 16, age: Duration::from_secs(60) };
        Stream::new(connector, batching, Proof::End, Duration::from_millis(20))
    }

    fn send(stream: &mut Stream, words: &[&str]) -> Result<()> {
        for word in words {
            stream.message(|out| out.extend_from_slice(format!("{word}\n").as_bytes()))?;
        }
        stream.confirm()
    }

    /// The name is resolved for each connection, and all addresses are tried. Only the resolver is replaced.
    #[test]
    fn changed_dns_address_is_used_for_new_connections() {
        static ADDRESSES: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
        fn moving(_: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
            Ok(ADDRESSES.lock().unwrap().clone())
        }
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sinks = [(); 3].map(|()| SyslogSink::tcp(Framing::Newline, SinkBehavior::default()));
        let [first, second, third] = sinks;
        *ADDRESSES.lock().unwrap() = vec![unused, first.address()];
        let mut stream = stream(moving);
        send(&mut stream, &["one", "two"]).unwrap();
        assert_eq!(first.messages(), [b"one".as_slice(), b"two"], "the second address was attempted");

        *ADDRESSES.lock().unwrap() = vec![second.address(), first.address()];
        drop(first);
        send(&mut stream, &["three"]).unwrap();
        assert_eq!(second.messages(), [b"three"]);

        // The old receiver keeps its open connection; the next connection goes to the new address.
        *ADDRESSES.lock().unwrap() = vec![third.address()];
        send(&mut stream, &["four"]).unwrap();
        send(&mut stream, &["five"]).unwrap();
        assert_eq!(second.messages(), [b"three".as_slice(), b"four"]);
        assert_eq!(third.messages(), [b"five"]);
        stream.close();
    }

    /// A peer that sends data without end must not block delivery.
    #[test]
    fn receiver_that_sends_data_constantly_gets_its_events() {
        static PORT: AtomicU16 = AtomicU16::new(0);
        fn fixed(_: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
            Ok(vec![([127, 0, 0, 1], PORT.load(Ordering::SeqCst)).into()])
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        PORT.store(listener.local_addr().unwrap().port(), Ordering::SeqCst);
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut writer = socket.try_clone().unwrap();
            let sending = std::thread::spawn(move || while writer.write_all(&[b'x'; 1 << 16]).is_ok() {});
            let mut received = String::new();
            socket.read_to_string(&mut received).unwrap();
            socket.shutdown(Shutdown::Both).unwrap();
            sending.join().unwrap();
            // The new connection that confirms delivery.
            (received, listener.accept().unwrap())
        });
        let mut stream = stream(fixed);
        send(&mut stream, &["one", "two"]).unwrap();
        assert_eq!(peer.join().unwrap().0, "one\ntwo\n");
    }

    #[test]
    fn repeatedly_reset_connection_is_unavailable() {
        static PORT: AtomicU16 = AtomicU16::new(0);
        fn fixed(_: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
            Ok(vec![([127, 0, 0, 1], PORT.load(Ordering::SeqCst)).into()])
        }
        let behavior = SinkBehavior { close_after: Some(0), resets: true, ..SinkBehavior::default() };
        let sink = SyslogSink::tcp(Framing::Newline, behavior);
        PORT.store(sink.address().port(), Ordering::SeqCst);
        let mut stream = stream(fixed);
        let error = send(&mut stream, &["one", "two", "three", "four"]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(
            error.message.contains("connection failed repeatedly before any event was confirmed"),
            "{error}"
        );
        // Four messages, the same four again, two, then one.
        assert_eq!(sink.connections().len(), 4);
    }
}
