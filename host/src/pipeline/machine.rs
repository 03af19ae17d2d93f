//! The machine, as events show it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use scanbridge_plugin_api::ConnectorIdentity;

use crate::config::Connector;

/// Addresses for documentation (RFC 5737, RFC 3849): the system has a route to them if it has one to other networks.
const ELSEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// What the operator calls this installation, with its machine; empty if the pipeline sets neither name, location nor comment.
pub(super) fn identity(connector: &Connector) -> ConnectorIdentity {
    if !connector.is_set() {
        return ConnectorIdentity::default();
    }
    let [name, location, comment] = connector.texts.clone().map(Option::unwrap_or_default);
    let mut families = ELSEWHERE;
    if connector.prefers_ipv6 {
        families.reverse();
    }
    ConnectorIdentity::default()
        .with_name(name)
        .with_location(location)
        .with_comment(comment)
        .with_host(rustix::system::uname().nodename().to_string_lossy())
        .with_address(families.into_iter().find_map(source_address))
}

/// The address from which the machine would send to this one. Nothing is sent: connecting a UDP socket only chooses a route.
fn source_address(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(to, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_is_shown_only_with_an_identity() {
        let named = Connector { texts: [Some("emea".to_owned()), None, None], prefers_ipv6: false };
        assert!(identity(&Connector { texts: Default::default(), prefers_ipv6: true }).is_empty());
        let identity = identity(&named);
        assert_eq!((identity.name.as_str(), identity.location.as_str()), ("emea", ""));
        assert!(!identity.host.is_empty());
        assert!(identity.address.is_none_or(|address| !address.is_loopback()));
    }
}
