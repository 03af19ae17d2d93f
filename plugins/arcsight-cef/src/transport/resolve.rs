//! Resolves host names for each connection, because DNS entries change.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{PluginError, Result, Services};

use super::unavailable;

/// A receiver as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// Host name, or IP address without brackets.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Preferred IP version: the order in which the addresses of a name are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpVersion {
    /// As the resolver orders them.
    Any,
    /// IPv4 first.
    V4,
    /// IPv6 first.
    V6,
}

/// Resolves a receiver. Tests replace it to simulate DNS changes.
pub(super) type Resolver = fn(&Receiver) -> std::io::Result<Vec<SocketAddr>>;

/// The system's resolver.
pub(super) fn system(receiver: &Receiver) -> std::io::Result<Vec<SocketAddr>> {
    (receiver.host.as_str(), receiver.port).to_socket_addrs().map(Iterator::collect)
}

/// The addresses of a receiver, the preferred ones first.
pub(super) fn addresses(
    resolver: Resolver,
    receiver: &Receiver,
    preferred: IpVersion,
    timeout: Duration,
    services: &Services,
) -> Result<Vec<SocketAddr>> {
    let resolve_error =
        |reason: &dyn std::fmt::Display| unavailable(format!("cannot resolve {}: {reason}", receiver.host));
    match resolve_with_timeout(resolver, receiver, timeout, services)? {
        Some(Ok(mut found)) if !found.is_empty() => {
            // Stable: addresses of one IP version keep the order of the resolver.
            found.sort_by_key(|address| match preferred {
                IpVersion::Any => false,
                IpVersion::V4 => address.is_ipv6(),
                IpVersion::V6 => address.is_ipv4(),
            });
            Ok(found)
        }
        Some(Ok(_)) => Err(resolve_error(&"no address found")),
        Some(Err(error)) => Err(resolve_error(&error)),
        None => Err(resolve_error(&format!("DNS lookup timed out after {} s", timeout.as_secs()))),
    }
}

/// Calls the resolver; `None` on timeout. The system resolver can neither be cancelled nor given a timeout,
/// so it runs in a thread that is detached on timeout.
fn resolve_with_timeout(
    resolver: Resolver,
    receiver: &Receiver,
    timeout: Duration,
    services: &Services,
) -> Result<Option<std::io::Result<Vec<SocketAddr>>>> {
    let (sender, resolved) = mpsc::channel();
    let name = receiver.clone();
    std::thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || sender.send(resolver(&name)))
        .map_err(|error| unavailable(format!("cannot resolve {}: {error}", receiver.host)))?;
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match resolved.recv_timeout(super::SLICE.min(left)) {
            Ok(found) => return Ok(Some(found)),
            Err(_) if services.is_cancelled() => return Err(PluginError::cancelled()),
            Err(_) if left.is_zero() => return Ok(None),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn preferred_ip_version_is_sorted_first() {
        fn both(_: &Receiver) -> std::io::Result<Vec<SocketAddr>> {
            Ok(["[::1]:1", "127.0.0.1:1", "[::2]:1"].map(|text| text.parse().unwrap()).to_vec())
        }
        let services = Services::without_host(std::path::Path::new("/nonexistent"));
        let receiver = Receiver { host: "name".to_owned(), port: 1 };
        for (preferred, expected) in [
            (IpVersion::Any, ["[::1]:1", "127.0.0.1:1", "[::2]:1"]),
            (IpVersion::V4, ["127.0.0.1:1", "[::1]:1", "[::2]:1"]),
            (IpVersion::V6, ["[::1]:1", "[::2]:1", "127.0.0.1:1"]),
        ] {
            let found = addresses(both, &receiver, preferred, Duration::from_secs(9), &services).unwrap();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn dns_lookup_timeout() {
        fn never(_: &Receiver) -> std::io::Result<Vec<SocketAddr>> {
            std::thread::sleep(Duration::from_secs(60));
            Ok(Vec::new())
        }
        let services = Services::without_host(std::path::Path::new("/nonexistent"));
        let receiver = Receiver { host: "slow.example.com".to_owned(), port: 1 };
        let error =
            addresses(never, &receiver, IpVersion::Any, Duration::from_millis(50), &services).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(
            error.message.starts_with("cannot resolve slow.example.com: DNS lookup timed out after"),
            "{error}"
        );
    }
}
