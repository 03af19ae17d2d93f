//! Addresses: read strictly, remembered compactly, counted out of ranges.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A text is neither an address nor a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IP address or range of them")]
pub(crate) struct BadAddress(String);

/// A set of addresses that takes little more than their own bytes.
#[derive(Debug, Default)]
pub(crate) struct AddressSet {
    v4: HashSet<u32>,
    v6: HashSet<u128>,
}

impl AddressSet {
    /// Adds an address; false when it was there already.
    pub(crate) fn insert(&mut self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.insert(address.to_bits()),
            IpAddr::V6(address) => self.v6.insert(address.to_bits()),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }
}

/// One address, or all from a first to a last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressRange {
    first: u128,
    last: u128,
    is_v4: bool,
}

impl AddressRange {
    /// Reads `192.0.2.1` or `192.0.2.1-192.0.2.9`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(100).collect());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| bad());
        let range = match (address(first)?, address(last)?) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Self { first: first.to_bits().into(), last: last.to_bits().into(), is_v4: true }
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Self { first: first.to_bits(), last: last.to_bits(), is_v4: false }
            }
            _ => return Err(bad()),
        };
        if range.first > range.last { Err(bad()) } else { Ok(range) }
    }

    /// The addresses in order. A range may hold more than anybody can wait for.
    pub(crate) fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (self.first..=self.last).map(move |bits| {
            if self.is_v4 {
                // It began as an IPv4 address, so nothing is cut off.
                IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        AddressRange::parse(text).unwrap().addresses().map(|address| address.to_string()).collect()
    }

    #[test]
    fn ranges_hold_both_ends() {
        assert_eq!(all("192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(all("192.0.2.254 - 192.0.3.1"), ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]);
        assert_eq!(all("2001:db8::9-2001:DB8::a"), ["2001:db8::9", "2001:db8::a"]);
        assert_eq!(all("255.255.255.255"), ["255.255.255.255"]);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "www.example.com", "192.0.2.9-192.0.2.1", "192.0.2.1-::1", "192.0.2.0/24", "1-2-3"] {
            assert!(AddressRange::parse(bad).is_err(), "{bad}");
        }
    }
}
