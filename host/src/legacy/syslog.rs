//! Sends log lines to the local syslog over its datagram socket.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Zoned;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// A connection to the local syslog.
#[derive(Debug, Clone)]
pub(crate) struct Syslog {
    socket: Arc<UnixDatagram>,
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
        Ok(Self { socket: Arc::new(socket), program })
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { syslog: self, severity: severity(Level::INFO) }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line { syslog: self, severity: severity(*event.level()) }
    }
}

/// Sends one log event with its severity.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    syslog: &'a Syslog,
    severity: u8,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line.trim_ascii());
        let priority = USER * 8 + self.severity;
        let time = Zoned::now().strftime("%b %e %H:%M:%S");
        let (program, process) = (self.syslog.program, std::process::id());
        let message = format!("<{priority}>{time} {program}[{process}]: {text}");
        // If syslog becomes unavailable, the run must continue and the line must not be lost.
        if self.syslog.socket.send(message.as_bytes()).is_err() {
            let _ = io::stderr().write_all(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
