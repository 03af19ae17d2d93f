//! What can go wrong on the way to an answer, told apart.

use std::fmt;
use std::io;
use std::time::Duration;

use scanbridge_plugin_api::{ErrorKind, PluginError};

/// Who was talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Proxy,
    Qualys,
}

/// One failure of a call.
#[derive(Debug)]
pub(crate) struct HttpError {
    pub(crate) peer: Peer,
    /// Host and port.
    pub(crate) address: String,
    pub(crate) cause: Cause,
}

/// Why.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The name has no address, or the name service failed.
    Name(String),
    /// Nobody listens there.
    Refused,
    /// There is no way there.
    Unreachable(String),
    /// No connection within this time.
    ConnectTimeout(Duration),
    /// TLS failed, or one side does not take the other's certificate.
    Tls(PluginError),
    /// The proxy wants a login; whether one was sent.
    ProxyLogin(bool),
    /// The proxy answered CONNECT with this.
    ProxyRefused(String),
    /// Nothing came for this time.
    Silence(Duration),
    /// The answer took longer than this in all.
    TooLong(Duration),
    /// The connection ended before the answer had.
    Cut(String),
    /// What came is no HTTP.
    NoHttp(String),
    /// The body is packed and damaged.
    Packed(String),
    /// The body is larger than is taken.
    TooLarge(String),
    /// The settings lead nowhere.
    Settings(PluginError),
    /// The body could not be kept.
    Disk(PluginError),
}

impl HttpError {
    /// Whether asking for less might help.
    pub(crate) fn is_of_size(&self) -> bool {
        self.peer == Peer::Qualys
            && matches!(self.cause, Cause::Silence(_) | Cause::TooLong(_) | Cause::Cut(_) | Cause::Packed(_))
    }
}

/// An error of a socket.
pub(crate) fn of_io(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Cause::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Cause::Unreachable(error.to_string())
        }
        io::ErrorKind::TimedOut => Cause::Unreachable("connection timed out".to_owned()),
        _ => Cause::Cut(error.to_string()),
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        let at = if self.peer == Peer::Proxy { format!("the proxy {address}") } else { address.clone() };
        match &self.cause {
            Cause::Name(error) => write!(f, "cannot resolve the name of {at}: {error}"),
            Cause::Refused => write!(f, "connection refused by {at}"),
            Cause::Unreachable(error) => write!(f, "cannot connect to {at}: {error}"),
            Cause::ConnectTimeout(limit) => {
                write!(f, "connection to {at} timed out after {} s", limit.as_secs())
            }
            Cause::Tls(error) => write!(f, "TLS: {error}"),
            Cause::ProxyLogin(false) => write!(f, "{at} requires authentication (HTTP 407)"),
            Cause::ProxyLogin(true) => write!(f, "{at} rejected the login (HTTP 407)"),
            Cause::ProxyRefused(status) => write!(f, "{at} rejected CONNECT: {status}"),
            Cause::Silence(limit) => {
                write!(f, "read from {at} timed out after {} s without data", limit.as_secs())
            }
            Cause::TooLong(limit) => {
                write!(f, "response from {at} timed out after {} minutes", limit.as_secs() / 60)
            }
            Cause::Cut(error) => write!(f, "connection to {at} lost: {error}"),
            Cause::NoHttp(error) => write!(f, "invalid HTTP response from {at}: {error}"),
            Cause::Packed(error) => write!(f, "invalid compressed response from {at}: {error}"),
            Cause::TooLarge(limit) => write!(f, "response from {at} exceeds {limit}"),
            Cause::Settings(error) | Cause::Disk(error) => write!(f, "{error}"),
        }
    }
}

impl From<HttpError> for PluginError {
    fn from(trouble: HttpError) -> Self {
        let kind = match &trouble.cause {
            Cause::Settings(error) | Cause::Disk(error) => return error.clone(),
            Cause::Tls(error) => {
                return Self { message: trouble.to_string(), ..error.clone() };
            }
            Cause::ProxyLogin(_) => ErrorKind::Auth,
            Cause::NoHttp(_) => ErrorKind::Protocol,
            Cause::TooLarge(_) => ErrorKind::BadData,
            _ => ErrorKind::Unavailable,
        };
        let error = PluginError::new(kind, trouble.to_string());
        match hint(&trouble) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

fn hint(trouble: &HttpError) -> Option<String> {
    let proxy = trouble.peer == Peer::Proxy;
    Some(
        match &trouble.cause {
            Cause::Tls(_) | Cause::Settings(_) | Cause::Disk(_) => return None,
            Cause::Name(_) if proxy => "check option `proxy` and DNS",
            Cause::Name(_) => "check option `url` and DNS; behind a proxy, set option `proxy`",
            Cause::Refused | Cause::Unreachable(_) | Cause::ConnectTimeout(_) if proxy => {
                "check option `proxy`; direct connections are not attempted when a proxy is set"
            }
            Cause::Refused | Cause::Unreachable(_) | Cause::ConnectTimeout(_) => {
                "check firewall, routing and option `proxy`: TCP port 443 of Qualys must be reachable"
            }
            Cause::ProxyLogin(false) => "set options `proxy_username` and `proxy_password`",
            Cause::ProxyLogin(true) => "check options `proxy_username` and `proxy_password`",
            Cause::ProxyRefused(_) => "the proxy must allow CONNECT to port 443 of Qualys",
            Cause::Silence(_) => "increase `read_timeout_secs` if needed",
            Cause::TooLong(_) => "increase `request_timeout_minutes` if needed",
            Cause::TooLarge(_) => "increase `max_download_bytes` if this size is expected",
            Cause::NoHttp(_) => "check option `url`",
            Cause::Cut(_) | Cause::Packed(_) => "it is downloaded again on the next attempt",
        }
        .to_owned(),
    )
}
