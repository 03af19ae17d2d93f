//! Events over a connection, TCP or TLS: batched, confirmed, and sent again where they are not.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::{CheckReport, Result, tracing};

use super::backlog::Backlog;
use super::connect::Connector;
use super::link::{Link, LinkError, POLL_INTERVAL, WriteTimeout};
use super::unavailable;

/// When what was gathered is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    pub events: usize,
    pub bytes: usize,
    pub age: Duration,
}

/// What counts as proof that a receiver has its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It kept the connection open for the grace time when its kernel had everything, then ended it in order after us,
    /// and takes another one that stays open as long: its program has read everything. (One that is being stopped may
    /// end a connection in order with data unread; it takes no other.)
    End,
    /// Its kernel has had everything for the grace time, and the connection is still open.
    Arrival,
}

/// A connection that is opened when it is first needed, and opened again at once when it is lost.
///
/// Syslog has no acknowledgement, so messages are kept until there is proof that they were read, and sent again on
/// the next connection when one is lost before that. At most [`MAX_KEPT_BYTES`] bytes are kept; then there must be proof
/// before it goes on.
#[derive(Debug)]
pub(super) struct Stream {
    connector: Connector,
    batching: Batching,
    proof: Proof,
    grace: Duration,
    link: Option<Link>,
    backlog: Backlog,
    /// When the oldest unsent message was added; means nothing while all are sent.
    oldest: Instant,
    /// How many messages may be unconfirmed at a time. Lowered with each loss after a loss: of a receiver that ends
    /// each connection after so many messages only those before the end can be proved.
    window: usize,
    /// Whether anything was proved since the last loss.
    progressed: bool,
}

/// What is to be reached before the caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// What may be written is written.
    Sent,
    /// No more is kept than there is room for.
    Capacity,
    /// All has arrived.
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
        }
    }

    pub(super) fn check(&self) -> CheckReport {
        self.connector.check(true)
    }

    /// Takes a framed message, which `append` writes to the end of a buffer.
    pub(super) fn message(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.backlog.waiting() == 0 {
            self.oldest = Instant::now();
        }
        self.backlog.push(append);
        let Batching { events, bytes, .. } = self.batching;
        let is_full = self.backlog.waiting() >= events || self.backlog.waiting_bytes() >= bytes;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// When what is gathered has waited long enough; none when there is nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.backlog.waiting() > 0).then(|| self.oldest + self.batching.age)
    }

    /// Writes what is gathered, as much of it as the receiver may be given now.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.reach(Goal::Sent)?;
        self.free_capacity()?;
        // What is left waits for a proof, and as long again.
        self.oldest = Instant::now();
        Ok(())
    }

    /// Waits until there is proof that all has been delivered.
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

    /// Forgets the newest `messages` as far as they are not sent. Gives how many are out and stay so.
    pub(super) fn drop_unsent(&mut self, messages: usize) -> usize {
        messages - self.backlog.drop_unsent(messages)
    }

    pub(super) fn close(self) {
        if let Some(link) = self.link {
            link.close();
        }
    }

    fn reach(&mut self, goal: Goal) -> Result<()> {
        let mut moved = Instant::now();
        let mut arrived = 0;
        while !self.is_reached(goal) {
            match self.step() {
                Ok(true) => moved = Instant::now(),
                Ok(false) => {
                    let Some(link) = &self.link else { continue };
                    let now = link.arrived().unwrap_or(arrived);
                    if now != arrived {
                        (arrived, moved) = (now, Instant::now());
                    }
                    self.write_timeout().check(moved, link.name())?;
                    link.wait_readable(POLL_INTERVAL.min(self.grace.max(Duration::from_millis(1))));
                }
                Err(LinkError::Fatal(error)) => return Err(error),
                Err(LinkError::Lost(reason)) => {
                    self.connection_lost(reason)?;
                    moved = Instant::now();
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

    /// One write, or one look at what has arrived. Gives whether anything moved.
    fn step(&mut self) -> Result<bool, LinkError> {
        let link = match &mut self.link {
            Some(link) => link,
            None => self.link.insert(self.connector.connect()?),
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
            self.backlog.sent(messages, link.taken());
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

    /// Ends the connection and opens another one. What was sent on it is proved, or will be sent again.
    fn confirm_by_reconnect(&mut self) -> Result<()> {
        match self.end_and_connect() {
            Ok(()) => {
                self.backlog.confirm_sent();
                self.progress();
                Ok(())
            }
            Err(LinkError::Fatal(error)) => Err(error),
            Err(LinkError::Lost(reason)) => self.connection_lost(reason),
        }
    }

    fn end_and_connect(&mut self) -> Result<(), LinkError> {
        if let Some(mut link) = self.link.take() {
            link.wait_until_arrived()?;
            link.stay_open(self.grace)?;
            link.end()?;
        }
        let mut next = self.connector.connect()?;
        next.stay_open(self.grace)?;
        self.link = Some(next);
        Ok(())
    }

    fn progress(&mut self) {
        self.progressed = true;
        self.window = (self.window + self.window / 8 + 1).min(MAX_WINDOW);
    }

    /// The connection is gone. What is unconfirmed will be sent again, in smaller steps when that brought nothing.
    fn connection_lost(&mut self, reason: String) -> Result<()> {
        self.link = None;
        let unconfirmed = self.backlog.in_flight();
        let tried = unconfirmed + self.backlog.waiting().min(self.batching.events);
        self.backlog.rewind();
        if !self.progressed {
            if self.window == 1 {
                return Err(unavailable(format!(
                    "{reason}: connection failed repeatedly before any event was confirmed"
                )));
            }
            self.window = (self.window.min(tried) / 2).max(1);
        }
        if unconfirmed > 0 {
            tracing::warn!(events = unconfirmed, "{reason}; resending unacknowledged events");
        } else {
            tracing::debug!("{reason}; no unacknowledged events");
        }
        self.progressed = false;
        Ok(())
    }

    fn write_timeout(&self) -> WriteTimeout {
        WriteTimeout { timeout: self.connector.write_timeout, services: self.connector.services.clone() }
    }
}

/// How many bytes may be kept unconfirmed; more only by what one batch overshoots.
const MAX_KEPT_BYTES: usize = 4 << 20;
const MAX_WINDOW: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, SocketAddr, TcpListener};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU16, Ordering};

    use scanbridge_doubles::syslog_sink::{Framing, Manners, SyslogSink};
    use scanbridge_plugin_api::ErrorKind;

    use super::super::resolve::Receiver;
    use super::*;

    fn stream(resolver: super::super::resolve::Resolver) -> Stream {
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

    /// A name is looked up for each connection, and each of its addresses is tried. The resolver is the seam; all
    /// else is real.
    #[test]
    fn changed_dns_address_is_used_for_new_connections() {
        static FOUND: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
        fn moving(_: &Receiver) -> std::io::Result<Vec<SocketAddr>> {
            Ok(FOUND.lock().unwrap().clone())
        }
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sinks = [(); 3].map(|()| SyslogSink::tcp(Framing::Newline, Manners::default()));
        let [first, second, third] = sinks;
        *FOUND.lock().unwrap() = vec![unused, first.address()];
        let mut stream = stream(moving);
        send(&mut stream, &["one", "two"]).unwrap();
        assert_eq!(first.messages(), [b"one".as_slice(), b"two"], "the second address was tried");

        *FOUND.lock().unwrap() = vec![second.address(), first.address()];
        drop(first);
        send(&mut stream, &["three"]).unwrap();
        assert_eq!(second.messages(), [b"three"]);

        // The old receiver goes on taking what comes over its connection; the next one leads elsewhere.
        *FOUND.lock().unwrap() = vec![third.address()];
        send(&mut stream, &["four"]).unwrap();
        send(&mut stream, &["five"]).unwrap();
        assert_eq!(second.messages(), [b"three".as_slice(), b"four"]);
        assert_eq!(third.messages(), [b"five"]);
        stream.close();
    }

    /// A receiver that talks without end is no receiver of syslog, but it must not keep us listening for ever.
    #[test]
    fn receiver_that_sends_data_constantly_gets_its_events() {
        static PORT: AtomicU16 = AtomicU16::new(0);
        fn fixed(_: &Receiver) -> std::io::Result<Vec<SocketAddr>> {
            Ok(vec![([127, 0, 0, 1], PORT.load(Ordering::SeqCst)).into()])
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        PORT.store(listener.local_addr().unwrap().port(), Ordering::SeqCst);
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut voice = socket.try_clone().unwrap();
            let talking = std::thread::spawn(move || while voice.write_all(&[b'x'; 1 << 16]).is_ok() {});
            let mut heard = String::new();
            socket.read_to_string(&mut heard).unwrap();
            socket.shutdown(Shutdown::Both).unwrap();
            talking.join().unwrap();
            // The connection that proves it.
            (heard, listener.accept().unwrap())
        });
        let mut stream = stream(fixed);
        send(&mut stream, &["one", "two"]).unwrap();
        assert_eq!(peer.join().unwrap().0, "one\ntwo\n");
    }

    #[test]
    fn repeatedly_reset_connection_is_unavailable() {
        static PORT: AtomicU16 = AtomicU16::new(0);
        fn fixed(_: &Receiver) -> std::io::Result<Vec<SocketAddr>> {
            Ok(vec![([127, 0, 0, 1], PORT.load(Ordering::SeqCst)).into()])
        }
        let manners = Manners { close_after: Some(0), resets: true, ..Manners::default() };
        let sink = SyslogSink::tcp(Framing::Newline, manners);
        PORT.store(sink.address().port(), Ordering::SeqCst);
        let mut stream = stream(fixed);
        let error = send(&mut stream, &["one", "two", "three", "four"]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(
            error.message.contains("connection failed repeatedly before any event was confirmed"),
            "{error}"
        );
        // All at once, again, then half of them, then one.
        assert_eq!(sink.connections().len(), 4);
    }
}
