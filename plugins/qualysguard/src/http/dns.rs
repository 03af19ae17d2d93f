//! DNS lookups.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::options::IpVersion;

/// The system's resolver, with the addresses of the preferred IP version first.
#[derive(Debug, Clone, Copy)]
pub(super) struct DnsResolver {
    pub(super) preferred: IpVersion,
}

/// A failed DNS lookup. `classify` finds it among the sources of a reqwest error.
#[derive(Debug)]
pub(super) struct DnsError(String);

impl DnsResolver {
    /// All addresses of a name, at least one, the preferred IP version first.
    pub(super) async fn lookup(self, name: &str, port: u16) -> Result<Vec<SocketAddr>, DnsError> {
        let found = tokio::net::lookup_host((name, port)).await;
        let addresses = self.ordered(found.map_err(|error| DnsError(error.to_string()))?.collect());
        if addresses.is_empty() {
            return Err(DnsError("no address found".to_owned()));
        }
        Ok(addresses)
    }

    /// Sorts by IP version and keeps the resolver's order within a version.
    fn ordered(self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        match self.preferred {
            IpVersion::Any => {}
            IpVersion::Four => addresses.sort_by_key(SocketAddr::is_ipv6),
            IpVersion::Six => addresses.sort_by_key(SocketAddr::is_ipv4),
        }
        addresses
    }
}

impl Resolve for DnsResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let dns = *self;
        Box::pin(async move {
            // reqwest replaces port 0 by the port of the URL.
            let addresses = dns.lookup(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DnsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferred_ip_version_is_tried_first() {
        let known = ["[2001:db8::1]:0", "192.0.2.2:0", "[2001:db8::2]:0", "192.0.2.1:0"];
        let order = |preferred| {
            let addresses = known.iter().map(|text| text.parse().unwrap()).collect();
            DnsResolver { preferred }.ordered(addresses).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(order(IpVersion::Any), known);
        assert_eq!(order(IpVersion::Four), [known[1], known[3], known[0], known[2]]);
        assert_eq!(order(IpVersion::Six), [known[0], known[2], known[1], known[3]]);
    }
}
