//! The errors of the dialer, with one text for each cause.

use std::time::Duration;
use std::{fmt, io};

use scanbridge_plugin_api::{ErrorKind, PluginError};

/// Why there is no connection.
#[derive(Debug)]
pub enum DialError {
    /// The call must end.
    Cancelled,
    /// The peer has no address of the IP version of the source address.
    Source(Box<PluginError>),
    /// The name cannot be looked up; the reason as text.
    Lookup(String),
    /// No connection within this time.
    TimedOut(Duration),
    /// The system rejected the connection, or the peer did.
    Connect(io::Error),
}

impl DialError {
    /// The plugin error: `what` and the cause, [`ErrorKind::Unavailable`], with this hint; for [`DialError::Source`]
    /// [`ErrorKind::Config`] with its own hint. After cancellation:
    /// [`ErrorKind::Cancelled`] without `what` and hint.
    #[must_use]
    pub fn explain(&self, what: &str, hint: Option<&str>) -> PluginError {
        if matches!(self, Self::Cancelled) {
            return PluginError::cancelled();
        }
        if let Self::Source(error) = self {
            return PluginError::clone(error).with_message(format!("{what}: {}", error.message));
        }
        let error = PluginError::new(ErrorKind::Unavailable, format!("{what}: {self}"));
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the run was interrupted"),
            Self::Source(error) => f.write_str(&error.message),
            Self::Lookup(reason) => f.write_str(reason),
            Self::TimedOut(limit) => write!(f, "timed out after {}", seconds(*limit)),
            Self::Connect(error) => f.write_str(&reason(error)),
        }
    }
}

impl std::error::Error for DialError {}

/// The cause of a failed connection in words; the text of the system for all but the common causes.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused (nothing is listening on this port)".to_owned()
        }
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => error.to_string(),
    }
}

/// `10 s`, or `0.5 s` with one decimal if needed.
pub(crate) fn seconds(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} s"),
        (whole, tenth) => format!("{whole}.{tenth} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_text() {
        let system = |kind: io::ErrorKind| DialError::Connect(kind.into());
        for (error, text) in [
            (
                system(io::ErrorKind::ConnectionRefused),
                "connection refused (nothing is listening on this port)",
            ),
            (system(io::ErrorKind::HostUnreachable), "host unreachable"),
            (system(io::ErrorKind::NetworkUnreachable), "network unreachable"),
            (system(io::ErrorKind::TimedOut), "connection timed out"),
            (DialError::Connect(io::Error::other("no buffer space")), "no buffer space"),
            (DialError::Lookup("no address found".to_owned()), "no address found"),
            (DialError::TimedOut(Duration::from_secs(30)), "timed out after 30 s"),
            (DialError::TimedOut(Duration::from_micros(29_999_500)), "timed out after 30 s"),
            (DialError::TimedOut(Duration::from_millis(1_250)), "timed out after 1.3 s"),
        ] {
            let explained = error.explain("cannot connect to a:1", Some("check a"));
            assert_eq!(explained.kind, ErrorKind::Unavailable, "{text}");
            assert_eq!(explained.message, format!("cannot connect to a:1: {text}"));
            assert_eq!(explained.hint.as_deref(), Some("check a"), "{text}");
        }
        assert_eq!(DialError::Cancelled.explain("cannot connect", Some("x")), PluginError::cancelled());
    }
}
