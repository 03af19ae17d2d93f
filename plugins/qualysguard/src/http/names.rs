//! From names to addresses.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::options::IpVersion;

/// The system's name service, with the addresses of one version first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) first: IpVersion,
}

/// A name has no address, or the name service failed. Found again among the sources of reqwest's error.
#[derive(Debug)]
pub(super) struct NameError(String);

impl Names {
    /// All addresses of a name, the preferred ones first; at least one.
    pub(super) async fn look_up(self, name: &str, port: u16) -> Result<Vec<SocketAddr>, NameError> {
        let found = tokio::net::lookup_host((name, port)).await;
        let addresses = self.ordered(found.map_err(|error| NameError(error.to_string()))?.collect());
        if addresses.is_empty() {
            return Err(NameError("no address found".to_owned()));
        }
        Ok(addresses)
    }

    /// Within a version the order of the name service stays.
    fn ordered(self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        match self.first {
            IpVersion::Any => {}
            IpVersion::Four => addresses.sort_by_key(SocketAddr::is_ipv6),
            IpVersion::Six => addresses.sort_by_key(SocketAddr::is_ipv4),
        }
        addresses
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = *self;
        Box::pin(async move {
            // reqwest puts the port of the address in place of 0.
            let addresses = names.look_up(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_version_goes_first() {
        let known = ["[2001:db8::1]:0", "192.0.2.2:0", "[2001:db8::2]:0", "192.0.2.1:0"];
        let order = |first| {
            let addresses = known.iter().map(|text| text.parse().unwrap()).collect();
            Names { first }.ordered(addresses).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(order(IpVersion::Any), known);
        assert_eq!(order(IpVersion::Four), [known[1], known[3], known[0], known[2]]);
        assert_eq!(order(IpVersion::Six), [known[0], known[2], known[1], known[3]]);
    }
}
