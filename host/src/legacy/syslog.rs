//! Sends log lines to the local syslog over its datagram socket.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use jiff::Zoned;
use tracing::Level;

use crate::telemetry::LineTarget;

/// A connection to the local syslog.
#[derive(Debug)]
pub(crate) struct Syslog {
    socket: UnixDatagram,
    program: &'static str,
}

impl Syslog {
    /// Connects to `/dev/log`, or to the socket in `SCANBRIDGE_SYSLOG_SOCKET`.
    ///
    /// # Errors
    /// When the socket does not exist or the connection is refused.
    pub(super) fn connect(program: &'static str) -> io::Result<Self> {
        let path = std::env::var_os("SCANBRIDGE_SYSLOG_SOCKET")
            .map_or_else(|| PathBuf::from(DEFAULT_SOCKET), PathBuf::from);
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket, program })
    }
}

impl LineTarget for Syslog {
    fn write_line(&self, level: Level, line: &str) {
        let priority = USER * 8 + severity(level);
        let time = Zoned::now().strftime("%b %e %H:%M:%S");
        let (program, process, text) = (self.program, std::process::id(), line.trim());
        let message = format!("<{priority}>{time} {program}[{process}]: {text}");
        // If syslog becomes unavailable, the run must continue and the line must not be lost.
        if self.socket.send(message.as_bytes()).is_err() {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Severity number (RFC 5424, section 6.2.1).
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Facility number of user-level messages (RFC 5424, section 6.2.1).
const USER: u8 = 1;
const DEFAULT_SOCKET: &str = "/dev/log";
