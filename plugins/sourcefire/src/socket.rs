//! TCP with time limits for every call, however slowly the peer sends.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::tracing::info;
use scanbridge_plugin_api::{PluginError, Result, Services};

use crate::dial::unavailable;

/// A TCP connection whose reads and writes end at a deadline, and when the host asks to stop. While it waits for
/// long, the log says so.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    services: Services,
    /// As messages name the other side.
    center: String,
    wait: Wait,
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// As messages name it.
    due: &'static str,
    since: Instant,
    deadline: Instant,
    told: Instant,
}

/// Why reading or writing ended although the connection is open.
#[derive(Debug, Clone, Copy)]
enum WaitError {
    Cancelled,
    Late(&'static str),
}

impl Socket {
    /// # Errors
    /// An unavailable one, when the system refuses the settings.
    pub(crate) fn new(
        stream: TcpStream,
        center: &str,
        services: &Services,
        deadline: Instant,
    ) -> Result<Self> {
        // Reads and writes return from time to time to check whether they must end.
        let prepared = stream
            .set_read_timeout(Some(WAKE_UP))
            .and_then(|()| stream.set_write_timeout(Some(WAKE_UP)))
            .and_then(|()| stream.set_nodelay(true));
        prepared
            .map_err(|error| unavailable(format!("cannot set up the connection to {center}: {error}")))?;
        let wait = Wait::until(deadline, "the TLS handshake");
        Ok(Self { stream, services: services.clone(), center: center.to_owned(), wait })
    }

    /// What follows is this, and has until then.
    pub(crate) fn expect(&mut self, due: &'static str, deadline: Instant) {
        self.wait = Wait::until(deadline, due);
    }

    /// As the system names the other side.
    pub(crate) fn peer(&self) -> String {
        self.stream.peer_addr().map_or_else(|_| self.center.clone(), |address| address.to_string())
    }

    /// Ends the connection in both directions.
    pub(crate) fn shut_down(&self) {
        // There is nothing to lose any more.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// What this error means, if it is one of those that only come from here.
    pub(crate) fn ended(&self, error: &io::Error) -> Option<PluginError> {
        Some(match *error.get_ref()?.downcast_ref::<WaitError>()? {
            WaitError::Cancelled => PluginError::cancelled(),
            WaitError::Late(due) => unavailable(format!("timed out: {} did not finish {due}", self.center))
                .with_hint(
                    "the Defense Center may be busy; increase `connect_timeout_secs` or \
                     `reply_timeout_secs`",
                ),
        })
    }

    /// Tries until there is something to give, or no time is left.
    fn patiently<T>(&mut self, mut attempt: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            // Before every attempt: a peer that trickles never makes one fail.
            if self.services.is_cancelled() {
                return Err(io::Error::other(WaitError::Cancelled));
            }
            let now = Instant::now();
            if now >= self.wait.deadline {
                return Err(io::Error::other(WaitError::Late(self.wait.due)));
            }
            if now - self.wait.told >= TELL_EVERY {
                self.wait.told = now;
                // The wait has its own limit, so it does not count as a hang.
                self.services.progress(0, 0);
                let seconds = (now - self.wait.since).as_secs();
                info!("waiting for {} to finish {} ({seconds} s so far)", self.center, self.wait.due);
            }
            match attempt(&mut self.stream) {
                Err(error) if is_pause(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.patiently(TcpStream::flush)
    }
}

impl Wait {
    fn until(deadline: Instant, due: &'static str) -> Self {
        let now = Instant::now();
        Self { due, since: now, deadline, told: now }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Late(due) => write!(f, "timed out during {due}"),
        }
    }
}

impl std::error::Error for WaitError {}

/// Whether a read or write only woke up.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// How often a wait looks up.
pub(crate) const WAKE_UP: Duration = Duration::from_millis(200);

/// How often the log says what is waited for, and how far the delivery is.
pub(crate) const TELL_EVERY: Duration = Duration::from_secs(10);
