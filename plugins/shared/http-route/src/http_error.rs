//! HTTP failures, classified by peer and cause.

use std::fmt;
use std::io;
use std::time::Duration;

use scanbridge_plugin_api::{ErrorKind, PluginError};

/// The peer of a failed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The proxy.
    Proxy {
        /// Whether `proxy` says that it uses TLS.
        tls: bool,
    },
    /// The destination of the request.
    Destination,
}

impl Peer {
    fn is_proxy(self) -> bool {
        matches!(self, Self::Proxy { .. })
    }
}

/// A failed HTTP call.
#[derive(Debug)]
pub struct HttpError {
    /// Who failed.
    pub peer: Peer,
    /// Host and port.
    pub address: String,
    /// Why.
    pub cause: Cause,
    /// Words for the message.
    pub wording: &'static Wording,
}

/// The cause of a failure.
#[derive(Debug)]
pub enum Cause {
    /// DNS lookup failed.
    Dns(String),
    /// Connection refused.
    Refused,
    /// Host or network unreachable, or the system's TCP timeout.
    Unreachable(String),
    /// No connection within the limit.
    ConnectTimeout(Duration),
    /// The TLS handshake failed, or a certificate was rejected.
    Tls(Box<PluginError>),
    /// The proxy requires authentication (status 407); true if credentials were sent.
    ProxyLogin(bool),
    /// The proxy rejected CONNECT with this status.
    ProxyRefused(String),
    /// No data within the limit.
    ReadTimeout(Duration),
    /// The response took longer than the limit.
    ResponseTimeout(Duration),
    /// The connection ended before the response was complete.
    ConnectionLost(String),
    /// The response is not valid HTTP.
    InvalidHttp(String),
    /// The compressed body is invalid or truncated.
    InvalidGzip(String),
    /// The body is larger than the limit.
    TooLarge(String),
    /// Invalid settings.
    Settings(Box<PluginError>),
    /// The body could not be written to disk.
    Disk(Box<PluginError>),
}

impl HttpError {
    /// True if a smaller request may succeed.
    #[must_use]
    pub fn smaller_may_help(&self) -> bool {
        self.peer == Peer::Destination
            && matches!(
                self.cause,
                Cause::ReadTimeout(_)
                    | Cause::ResponseTimeout(_)
                    | Cause::ConnectionLost(_)
                    | Cause::InvalidGzip(_)
            )
    }
}

/// Words of a plugin for messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Wording {
    /// What a proxy must allow: `port 443 of Qualys`.
    pub destination: &'static str,
    /// The option that sets the read timeout.
    pub read_timeout: &'static str,
    /// The option that sets the timeout for a response.
    pub response_timeout: &'static str,
    /// The option that sets the maximum size of a response, if there is one.
    pub max_bytes: Option<&'static str>,
}

/// The cause of a socket error.
pub(crate) fn of_io(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Cause::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
            Cause::Unreachable(scanbridge_dialer::reason(error))
        }
        _ => Cause::ConnectionLost(error.to_string()),
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        let at = if self.peer.is_proxy() { format!("the proxy {address}") } else { address.clone() };
        match &self.cause {
            Cause::Dns(error) => write!(f, "cannot resolve the name of {at}: {error}"),
            Cause::Refused => write!(f, "connection refused by {at}"),
            Cause::Unreachable(error) => write!(f, "cannot connect to {at}: {error}"),
            Cause::ConnectTimeout(limit) => {
                write!(f, "connection to {at} timed out after {} s", limit.as_secs())
            }
            Cause::Tls(error) => write!(f, "TLS: {error}"),
            Cause::ProxyLogin(false) => write!(f, "{at} requires authentication (HTTP 407)"),
            Cause::ProxyLogin(true) => write!(f, "{at} rejected the login (HTTP 407)"),
            Cause::ProxyRefused(status) => write!(f, "{at} rejected CONNECT: {status}"),
            Cause::ReadTimeout(limit) => {
                write!(f, "read from {at} timed out after {} s without data", limit.as_secs())
            }
            Cause::ResponseTimeout(limit) => {
                write!(f, "response from {at} timed out after {}", minutes(*limit))
            }
            Cause::ConnectionLost(error) => write!(f, "connection to {at} lost: {error}"),
            Cause::InvalidHttp(error) => write!(f, "invalid HTTP response from {at}: {error}"),
            Cause::InvalidGzip(error) => write!(f, "invalid compressed response from {at}: {error}"),
            Cause::TooLarge(limit) => write!(f, "response from {at} exceeds {limit}"),
            Cause::Settings(error) | Cause::Disk(error) => write!(f, "{error}"),
        }
    }
}

impl From<HttpError> for PluginError {
    fn from(failure: HttpError) -> Self {
        let kind = match &failure.cause {
            Cause::Settings(error) | Cause::Disk(error) => return PluginError::clone(error),
            Cause::Tls(error) => {
                let error = PluginError::clone(error).with_message(failure.to_string());
                // A certificate that was judged shows that the proxy uses TLS.
                return match plain_proxy_hint(&failure) {
                    Some(hint) if !matches!(error.kind, ErrorKind::Auth | ErrorKind::Config) => {
                        error.with_hint(hint)
                    }
                    _ => error,
                };
            }
            Cause::ProxyLogin(_) => ErrorKind::Auth,
            Cause::InvalidHttp(_) => ErrorKind::Protocol,
            Cause::TooLarge(_) => ErrorKind::BadData,
            _ => ErrorKind::Unavailable,
        };
        let error = PluginError::new(kind, failure.to_string());
        match hint(&failure) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The handshake with a proxy failed: most proxies do not use TLS. The connector of 2014 ignored the scheme, so its
/// settings files name them with `https://`.
fn plain_proxy_hint(failure: &HttpError) -> Option<String> {
    (failure.peer == Peer::Proxy { tls: true }).then(|| {
        format!(
            "check option `proxy`: for a proxy without TLS, which is the usual kind, set `proxy: http://{}`; `https://` is \
             only for a proxy that itself requires TLS",
            failure.address
        )
    })
}

fn hint(failure: &HttpError) -> Option<String> {
    let (proxy, wording) = (failure.peer.is_proxy(), failure.wording);
    Some(
        match &failure.cause {
            Cause::Tls(_) | Cause::Settings(_) | Cause::Disk(_) => return None,
            Cause::Dns(_) if proxy => "check option `proxy` and DNS",
            Cause::Dns(_) => "check option `url` and DNS; behind a proxy, set option `proxy`",
            // A proxy without TLS may wait for a request while the handshake waits for an answer, or close the connection.
            Cause::ConnectTimeout(_) | Cause::ReadTimeout(_) | Cause::ConnectionLost(_)
                if failure.peer == Peer::Proxy { tls: true } =>
            {
                return plain_proxy_hint(failure);
            }
            Cause::Refused | Cause::Unreachable(_) | Cause::ConnectTimeout(_) if proxy => {
                "check option `proxy`; direct connections are not attempted when a proxy is set"
            }
            Cause::Refused | Cause::Unreachable(_) | Cause::ConnectTimeout(_) => {
                "check firewall and routing to this address, and option `proxy`"
            }
            Cause::ProxyLogin(false) => "set options `proxy_username` and `proxy_password`",
            Cause::ProxyLogin(true) => "check options `proxy_username` and `proxy_password`",
            Cause::ProxyRefused(_) => {
                return Some(format!("the proxy must allow CONNECT to {}", wording.destination));
            }
            Cause::ReadTimeout(_) => return Some(format!("increase `{}` if needed", wording.read_timeout)),
            Cause::ResponseTimeout(_) => {
                return Some(format!("increase `{}` if needed", wording.response_timeout));
            }
            Cause::TooLarge(_) => {
                return wording
                    .max_bytes
                    .map(|option| format!("increase `{option}` if this size is expected"));
            }
            Cause::InvalidHttp(_) => "check option `url`",
            Cause::ConnectionLost(_) | Cause::InvalidGzip(_) => "the next attempt repeats the request",
        }
        .to_owned(),
    )
}

/// `90 s`, `2 minutes`.
fn minutes(limit: Duration) -> String {
    match limit.as_secs() {
        seconds if seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
