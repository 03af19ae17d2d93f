//! `ip_ranges`: selects the assets that are delivered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use scanbridge_plugin_api::{PluginError, Result};

/// Address ranges. An empty list matches every address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl Addresses {
    /// Reads the entries of an option.
    ///
    /// # Errors
    /// Names the option and the invalid entry.
    pub(crate) fn read(option: &str, entries: &[&str]) -> Result<Self> {
        let ranges = entries.iter().map(|entry| {
            read_range(entry.trim()).map_err(|problem| {
                PluginError::config(format!("invalid entry `{entry}` in option `{option}`, {problem}"))
                    .with_hint("expected 192.0.2.0/24, 192.0.2.1-192.0.2.9 or a single address")
            })
        });
        Ok(Self { ranges: ranges.collect::<Result<_>>()? })
    }

    /// True if every asset matches.
    fn is_all(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The filter for asset addresses; `None` if all assets are delivered.
    pub(crate) fn filter(&self) -> Option<impl Fn(&str) -> bool + Send + 'static> {
        let addresses = self.clone();
        (!self.is_all()).then_some(move |address: &str| addresses.contains(address))
    }

    /// True if an asset with this address is delivered. An invalid address matches only if there are no
    /// ranges.
    fn contains(&self, address: &str) -> bool {
        let Ok(address) = address.trim().parse::<IpAddr>() else { return self.is_all() };
        let address = address.to_canonical();
        self.is_all()
            || self.ranges.iter().any(|(first, last)| {
                first.is_ipv4() == address.is_ipv4() && (first..=last).contains(&&address)
            })
    }
}

fn read_range(entry: &str) -> Result<(IpAddr, IpAddr), String> {
    if let Some((first, last)) = entry.split_once('-') {
        let (first, last) = (read_address(first)?, read_address(last)?);
        return match first.is_ipv4() == last.is_ipv4() {
            true if first <= last => Ok((first, last)),
            true => Err("whose start is greater than its end".to_owned()),
            false => Err("which mixes IPv4 and IPv6".to_owned()),
        };
    }
    if entry.contains('/') {
        let net: IpNet = entry.parse().map_err(|_| "which is not a valid network".to_owned())?;
        return Ok(match net {
            IpNet::V4(net) => (net.network().into(), last_v4(net.network(), net.prefix_len()).into()),
            IpNet::V6(net) => (net.network().into(), last_v6(net.network(), net.prefix_len()).into()),
        });
    }
    read_address(entry).map(|address| (address, address))
}

fn read_address(text: &str) -> Result<IpAddr, String> {
    text.trim().parse().map_err(|_| "which is not an address or range".to_owned())
}

fn last_v4(first: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(first.to_bits() | u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0))
}

fn last_v6(first: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    Ipv6Addr::from_bits(first.to_bits() | u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_includes_both_ends_and_excludes_neighbors() {
        let entries = [
            "192.0.2.0/24",
            "198.51.100.234-198.51.101.2",
            " 203.0.113.1",
            "2001:db8::/64",
            "2001:db8:1::1-2001:db8:1::9",
        ];
        let addresses = Addresses::read("ip_ranges", &entries).unwrap();
        for inside in [
            "192.0.2.0",
            "192.0.2.255",
            "198.51.100.234",
            "198.51.101.2",
            "203.0.113.1",
            "2001:db8::ffff:ffff",
            "2001:db8:1::9",
            "::ffff:192.0.2.7",
        ] {
            assert!(addresses.contains(inside), "{inside}");
        }
        for outside in [
            "192.0.1.255",
            "192.0.3.0",
            "198.51.100.233",
            "198.51.101.3",
            "203.0.113.2",
            "2001:db8:1::a",
            "",
            "x",
        ] {
            assert!(!addresses.contains(outside), "{outside}");
        }
        assert!(Addresses::default().contains("") && Addresses::default().contains("192.0.2.1"));
    }

    #[test]
    fn invalid_range_is_named() {
        for (entry, problem) in [
            ("192.0.2.0/33", "which is not a valid network"),
            ("192.0.2.9-192.0.2.1", "whose start is greater than its end"),
            ("192.0.2.1-2001:db8::1", "which mixes IPv4 and IPv6"),
            ("web.example.com", "which is not an address or range"),
        ] {
            let error = Addresses::read("ip_ranges", &[entry]).unwrap_err();
            assert_eq!(error.message, format!("invalid entry `{entry}` in option `ip_ranges`, {problem}"));
        }
    }
}
