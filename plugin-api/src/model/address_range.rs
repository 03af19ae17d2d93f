//! Ranges of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The IP addresses from the first to the last, both included. Both are of one family, and the first is not greater
/// than the last. IPv4 addresses written as IPv6 (`::ffff:192.0.2.1`) become IPv4.
///
/// Its JSON form is a list of the first and the last address: `["192.0.2.1","192.0.2.9"]`.
///
/// ```
/// use scanbridge_plugin_api::model::AddressRange;
///
/// let range: AddressRange = "192.0.2.0/24".parse()?;
/// assert!(range.contains("192.0.2.7".parse().unwrap()));
/// assert_eq!(range.to_string(), "192.0.2.0-192.0.2.255");
/// # Ok::<(), scanbridge_plugin_api::model::BadAddressRange>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// The reason why there is no such range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAddressRange {
    /// A text is not an IP address.
    #[error("not an IP address or range of IP addresses")]
    NotAnAddress,
    /// A text with `/` is not a network.
    #[error("not a valid network")]
    NotANetwork,
    /// One end is an IPv4 address, the other one an IPv6 address.
    #[error("IPv4 and IPv6 addresses cannot be mixed")]
    MixedFamilies,
    /// The first address is greater than the last.
    #[error("the start is greater than the end")]
    Reversed,
}

impl AddressRange {
    /// The addresses from `first` to `last`.
    ///
    /// # Errors
    /// The two are of different families, or the first is greater than the last.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, BadAddressRange> {
        // A range that is only partly of mapped addresses, such as `::/80`, remains IPv6.
        let (first, last) = match (first.to_canonical(), last.to_canonical()) {
            (first, last) if first.is_ipv4() && last.is_ipv4() => (first, last),
            _ => (first, last),
        };
        match first.is_ipv4() == last.is_ipv4() {
            false => Err(BadAddressRange::MixedFamilies),
            true if first > last => Err(BadAddressRange::Reversed),
            true => Ok(Self { first, last }),
        }
    }

    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether the address is in the range. An IPv4 address written as IPv6 is the IPv4 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = if self.first.is_ipv4() { address.to_canonical() } else { address };
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// The addresses in ascending order. A range may contain more addresses than can be iterated in practice.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let is_v4 = self.first.is_ipv4();
        (bits(self.first)..=bits(self.last)).map(move |bits| match u32::try_from(bits) {
            Ok(bits) if is_v4 => Ipv4Addr::from_bits(bits).into(),
            _ => Ipv6Addr::from_bits(bits).into(),
        })
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A single address.
impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { first: address, last: address }
    }
}

/// Reads `192.0.2.1`, `192.0.2.1-192.0.2.9` or `192.0.2.0/24`, and the same in IPv6. Spaces around the addresses of a
/// range are removed.
impl FromStr for AddressRange {
    type Err = BadAddressRange;

    fn from_str(text: &str) -> Result<Self, BadAddressRange> {
        if let Some((address, prefix)) = text.split_once('/') {
            return network(address, prefix).ok_or(BadAddressRange::NotANetwork);
        }
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| BadAddressRange::NotAnAddress);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(address(first)?, address(last)?)
    }
}

fn network(address: &str, prefix: &str) -> Option<AddressRange> {
    let length: u32 = prefix.parse().ok().filter(|length: &u32| length.to_string() == prefix)?;
    let (first, last): (IpAddr, IpAddr) = match address.parse().ok()? {
        IpAddr::V4(address) if length <= 32 => {
            let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
            let bits = address.to_bits();
            (Ipv4Addr::from_bits(bits & !hosts).into(), Ipv4Addr::from_bits(bits | hosts).into())
        }
        IpAddr::V6(address) if length <= 128 => {
            let hosts = u128::MAX.checked_shr(length).unwrap_or(0);
            let bits = address.to_bits();
            (Ipv6Addr::from_bits(bits & !hosts).into(), Ipv6Addr::from_bits(bits | hosts).into())
        }
        _ => return None,
    };
    AddressRange::new(first, last).ok()
}

/// `192.0.2.1`, or `192.0.2.1-192.0.2.9`.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.first, self.last).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, last) = Deserialize::deserialize(deserializer)?;
        Self::new(first, last).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<String, BadAddressRange> {
        text.parse().map(|range: AddressRange| range.to_string())
    }

    #[test]
    fn address_range_and_network_are_read() {
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 203.0.113.1", "203.0.113.1"),
            ("192.0.2.254 - 192.0.3.1", "192.0.2.254-192.0.3.1"),
            ("2001:db8::9-2001:DB8::a", "2001:db8::9-2001:db8::a"),
            ("192.0.2.77/24", "192.0.2.0-192.0.2.255"),
            ("198.51.100.4/32", "198.51.100.4"),
            ("0.0.0.0/0", "0.0.0.0-255.255.255.255"),
            ("2001:db8:1::/48", "2001:db8:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"),
            ("::/80", "::-::ffff:255.255.255.255"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        for (text, reason) in [
            ("", BadAddressRange::NotAnAddress),
            ("www.example.com", BadAddressRange::NotAnAddress),
            ("1-2-3", BadAddressRange::NotAnAddress),
            ("192.0.2.1-20", BadAddressRange::NotAnAddress),
            ("192.0.2.9-192.0.2.1", BadAddressRange::Reversed),
            ("192.0.2.1-2001:db8::1", BadAddressRange::MixedFamilies),
            ("192.0.2.0/33", BadAddressRange::NotANetwork),
            ("2001:db8::/129", BadAddressRange::NotANetwork),
            ("192.0.2.0/", BadAddressRange::NotANetwork),
            ("192.0.2.0/+8", BadAddressRange::NotANetwork),
        ] {
            assert_eq!(read(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn range_includes_both_ends_and_excludes_neighbors() {
        let range: AddressRange = "192.0.2.254-192.0.3.1".parse().unwrap();
        for (address, inside) in [
            ("192.0.2.253", false),
            ("192.0.2.254", true),
            ("::ffff:192.0.3.1", true),
            ("192.0.3.2", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{address}");
        }
        let all: Vec<String> = range.addresses().map(|address| address.to_string()).collect();
        assert_eq!(all, ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]);
        let last = "255.255.255.255".parse::<AddressRange>().unwrap();
        assert_eq!(last.addresses().count(), 1);
    }

    #[test]
    fn json_form_is_checked() {
        let json = r#"["192.0.2.1","192.0.2.9"]"#;
        let range: AddressRange = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&range).unwrap(), json);
        for bad in [
            r#"["192.0.2.9","192.0.2.1"]"#,
            r#"["192.0.2.1","2001:db8::1"]"#,
            r#"["192.0.2.1"]"#,
            r#"["a","b"]"#,
            r#""192.0.2.1""#,
        ] {
            assert!(serde_json::from_str::<AddressRange>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn shown_range_is_read_again(first in any::<IpAddr>(), last in any::<IpAddr>()) {
            if let Ok(range) = AddressRange::new(first, last) {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
                let json = serde_json::to_string(&range).unwrap();
                prop_assert_eq!(serde_json::from_str::<AddressRange>(&json).unwrap(), range);
                prop_assert!(range.contains(first) && range.contains(last));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}|[0-9a-f:./-]{0,30}") {
            let _ = text.parse::<AddressRange>();
        }
    }
}
