//! Addresses of assets, in the spelling of the model.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a text is that should be an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// Empty, or the address that means none: `0.0.0.0`, `::`.
    None,
    /// An IPv4 address; also one written as IPv6, `::ffff:192.0.2.1`.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// Not an address.
    Invalid,
}

/// Reads an address, with or without brackets, and its zone.
pub(crate) fn read(text: &str) -> (Address, &str) {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (address, zone) = text.split_once('%').unwrap_or((text, ""));
    let address = match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        _ if address.is_empty() => Address::None,
        Ok(address) if address.is_unspecified() => Address::None,
        Ok(IpAddr::V4(address)) => Address::V4(address),
        Ok(IpAddr::V6(address)) => Address::V6(address),
        Err(_) => Address::Invalid,
    };
    (address, zone)
}

/// A hardware address as `aa:bb:cc:dd:ee:ff`, from any of its notations. `None` if it is not one, or only zeros.
pub(crate) fn mac(text: &str) -> Option<String> {
    let is_separator = |c: char| matches!(c, ':' | '-' | '.' | ' ');
    let digits: String = text.trim().chars().filter(|c| !is_separator(*c)).collect();
    let is_mac = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_mac || digits.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_ascii_lowercase());
    Some(pairs.collect::<Vec<_>>().join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        let v4 = Address::V4(Ipv4Addr::new(192, 0, 2, 1));
        let v6 = Address::V6("2001:db8::a".parse().unwrap());
        for (text, expected) in [
            ("192.0.2.1", (v4, "")),
            (" ::ffff:192.0.2.1 ", (v4, "")),
            ("[::FFFF:c000:201]", (v4, "")),
            ("2001:DB8:0:0::A", (v6, "")),
            ("[2001:db8::a]", (v6, "")),
            ("2001:db8::a%eth0", (v6, "eth0")),
            ("", (Address::None, "")),
            ("0.0.0.0", (Address::None, "")),
            ("::", (Address::None, "")),
            ("192.0.2.1-192.0.2.9", (Address::Invalid, "")),
            ("192.0.2.300", (Address::Invalid, "")),
            ("web01", (Address::Invalid, "")),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn hardware_addresses_have_one_spelling() {
        for text in ["00:00:5E:00:53:01", "00-00-5e-00-53-01", "0000.5e00.5301", "00005e005301"] {
            assert_eq!(mac(text).as_deref(), Some("00:00:5e:00:53:01"), "{text}");
        }
        for text in ["", "00:00:00:00:00:00", "00:00:5e:00:53", "00:00:5e:00:53:0g"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }
}
