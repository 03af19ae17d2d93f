//! Preferred IP version.

use std::net::SocketAddr;

/// IP version whose addresses are tried first, if a name has addresses of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// As the resolver orders them.
    #[default]
    Any,
    /// IPv4 first.
    V4,
    /// IPv6 first.
    V6,
}

impl IpVersion {
    /// The value of an option `preferred_ip_version` with the choices `any`, `ipv4` and `ipv6`; IPv4 without a value.
    #[must_use]
    pub fn of_option(value: Option<&str>) -> Self {
        match value {
            Some("any") => Self::Any,
            Some("ipv6") => Self::V6,
            _ => Self::V4,
        }
    }

    /// Sorts by IP version. Addresses of one version keep the order of the resolver.
    pub(crate) fn sort(self, addresses: &mut [SocketAddr]) {
        match self {
            Self::Any => {}
            Self::V4 => addresses.sort_by_key(SocketAddr::is_ipv6),
            Self::V6 => addresses.sort_by_key(SocketAddr::is_ipv4),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn preferred_ip_version_is_tried_first() {
        let known = ["[2001:db8::1]:0", "192.0.2.2:0", "[2001:db8::2]:0", "192.0.2.1:0"];
        let order = |preferred: IpVersion| {
            let mut addresses: Vec<SocketAddr> = known.iter().map(|text| text.parse().unwrap()).collect();
            preferred.sort(&mut addresses);
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(order(IpVersion::Any), known);
        assert_eq!(order(IpVersion::V4), [known[1], known[3], known[0], known[2]]);
        assert_eq!(order(IpVersion::V6), [known[0], known[2], known[1], known[3]]);
    }

    proptest! {
        /// The order depends on the version alone: no address is lost, and those of one version keep their order.
        #[test]
        fn addresses_of_one_version_keep_their_order(versions in prop::collection::vec(any::<bool>(), 0..20)) {
            // The port is the position at which the resolver returned the address.
            let found: Vec<SocketAddr> = (0_u16..)
                .zip(&versions)
                .map(|(port, is_v6)| match is_v6 {
                    true => ([0_u16; 8], port).into(),
                    false => ([0_u8; 4], port).into(),
                })
                .collect();
            for (preferred, first_is_v6) in [(IpVersion::V4, false), (IpVersion::V6, true)] {
                let mut sorted = found.clone();
                preferred.sort(&mut sorted);
                let (first, rest): (Vec<_>, Vec<_>) =
                    found.iter().partition(|address| address.is_ipv6() == first_is_v6);
                prop_assert_eq!(sorted, [first, rest].concat());
            }
        }
    }
}
