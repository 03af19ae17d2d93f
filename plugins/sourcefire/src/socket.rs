//! TCP with a time limit for every call, also if the peer sends slowly.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::tracing::info;
use scanbridge_plugin_api::{PluginError, Result, Services};

/// A TCP connection whose reads and writes end at a deadline or when the host cancels the run. Long waits are logged.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    services: Services,
    /// The peer's name in messages.
    center: String,
    wait: Wait,
}

/// The pending wait.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// Its name in messages.
    due: &'static str,
    since: Instant,
    deadline: Instant,
    logged: Instant,
}

/// The reason why a read or write ended although the connection is open.
#[derive(Debug, Clone, Copy)]
enum WaitError {
    Cancelled,
    Late(&'static str),
}

impl Socket {
    /// # Errors
    /// An unavailable error, if the system refuses the socket settings.
    pub(crate) fn new(
        stream: TcpStream,
        center: &str,
        services: &Services,
        deadline: Instant,
    ) -> Result<Self> {
        // Reads and writes return at intervals to check whether they must end.
        let prepared = stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(WAKE_UP)))
            .and_then(|()| stream.set_write_timeout(Some(WAKE_UP)));
        prepared.map_err(|error| {
            PluginError::unavailable(format!("cannot set up the connection to {center}: {error}"))
        })?;
        let wait = Wait::until(deadline, "the TLS handshake");
        Ok(Self { stream, services: services.clone(), center: center.to_owned(), wait })
    }

    /// Sets the name and the deadline of the next wait.
    pub(crate) fn expect(&mut self, due: &'static str, deadline: Instant) {
        self.wait = Wait::until(deadline, due);
    }

    /// The peer's address, as the system reports it.
    pub(crate) fn peer(&self) -> String {
        self.stream.peer_addr().map_or_else(|_| self.center.clone(), |address| address.to_string())
    }

    /// Closes the connection in both directions.
    pub(crate) fn shut_down(&self) {
        // Errors are ignored, because no data is pending.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The plugin error, if this I/O error was raised by this module.
    pub(crate) fn ended(&self, error: &io::Error) -> Option<PluginError> {
        Some(match *error.get_ref()?.downcast_ref::<WaitError>()? {
            WaitError::Cancelled => PluginError::cancelled(),
            WaitError::Late(due) => {
                PluginError::unavailable(format!("timed out: {} did not finish {due}", self.center))
                    .with_hint(
                        "the Defense Center may be busy; increase `connect_timeout_secs` or \
                     `reply_timeout_secs`",
                    )
            }
        })
    }

    /// Repeats the attempt until it succeeds or the deadline has passed.
    fn retry_until_deadline<T>(
        &mut self,
        mut attempt: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            // Checked before every attempt, because a peer that sends byte by byte never makes an attempt time out.
            if self.services.is_cancelled() {
                return Err(io::Error::other(WaitError::Cancelled));
            }
            let now = Instant::now();
            if now >= self.wait.deadline {
                return Err(io::Error::other(WaitError::Late(self.wait.due)));
            }
            if now - self.wait.logged >= LOG_EVERY {
                self.wait.logged = now;
                // The wait has its own limit, so it does not count as a hang.
                self.services.alive();
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
        self.retry_until_deadline(|stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry_until_deadline(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.retry_until_deadline(TcpStream::flush)
    }
}

impl Wait {
    fn until(deadline: Instant, due: &'static str) -> Self {
        let now = Instant::now();
        Self { due, since: now, deadline, logged: now }
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

/// Whether a read or write returned only to check its limits.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Interval at which a wait checks its limits.
pub(crate) const WAKE_UP: Duration = Duration::from_millis(200);

/// Interval at which waits and the progress of the delivery are logged.
pub(crate) const LOG_EVERY: Duration = Duration::from_secs(10);
