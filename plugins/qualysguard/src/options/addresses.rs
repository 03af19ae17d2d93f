//! `ip_ranges`: selects the assets that are delivered.

use std::net::IpAddr;

use scanbridge_plugin_api::model::{AddressRange, BadAddressRange};
use scanbridge_plugin_api::{PluginError, Result};

/// Address ranges. An empty list matches every address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    ranges: Vec<AddressRange>,
}

impl Addresses {
    /// Reads the entries of an option.
    ///
    /// # Errors
    /// Names the option and the invalid entry.
    pub(crate) fn read(option: &str, entries: &[&str]) -> Result<Self> {
        let ranges = entries.iter().map(|entry| {
            entry.trim().parse().map_err(|problem: BadAddressRange| {
                PluginError::config(format!("invalid entry `{entry}` in option `{option}`: {problem}"))
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
        self.is_all() || self.ranges.iter().any(|range| range.contains(address))
    }
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
            ("192.0.2.0/33", "not a valid network"),
            ("192.0.2.9-192.0.2.1", "the start is greater than the end"),
            ("192.0.2.1-2001:db8::1", "IPv4 and IPv6 addresses cannot be mixed"),
            ("web.example.com", "not an IP address or range of IP addresses"),
        ] {
            let error = Addresses::read("ip_ranges", &[entry]).unwrap_err();
            assert_eq!(error.message, format!("invalid entry `{entry}` in option `ip_ranges`: {problem}"));
        }
    }
}
