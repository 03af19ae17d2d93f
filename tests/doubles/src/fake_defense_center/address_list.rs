//! The address argument of commands that accept several: addresses, networks and ranges, and exclusions with `!`.

use std::net::IpAddr;

/// The known addresses that match the list. Single addresses are included even if they are unknown. The second value
/// contains the center's message for each invalid element.
pub(super) fn matching(list: &str, known: &[IpAddr]) -> (Vec<IpAddr>, Vec<String>) {
    let (mut found, mut messages) = (Vec::new(), Vec::new());
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (excluded, item) = item.strip_prefix('!').map_or((false, item), |item| (true, item));
        match bounds(item) {
            Some((first, last)) if excluded => found.retain(|address| !(first..=last).contains(address)),
            Some((first, last)) if first == last => found.push(first),
            Some((first, last)) => {
                found.extend(known.iter().copied().filter(|address| (first..=last).contains(address)));
            }
            None => messages.push(format!("'{item}' is not a valid address")),
        }
    }
    (found, messages)
}

fn bounds(item: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = item.split_once('-') {
        return Some((first.trim().parse().ok()?, last.trim().parse().ok()?));
    }
    let Some((network, bits)) = item.split_once('/') else {
        let address = item.parse().ok()?;
        return Some((address, address));
    };
    let bits: u32 = bits.parse().ok()?;
    Some(match network.parse().ok()? {
        IpAddr::V4(network) => {
            let hosts = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = network.to_bits() & !hosts;
            (IpAddr::V4(first.into()), IpAddr::V4((first | hosts).into()))
        }
        IpAddr::V6(network) => {
            let hosts = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = network.to_bits() & !hosts;
            (IpAddr::V6(first.into()), IpAddr::V6((first | hosts).into()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_addresses_networks_and_ranges_is_matched() {
        let known: Vec<IpAddr> = (0..=10).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let (found, messages) =
            matching("192.0.2.0/30, 192.0.2.7-192.0.2.9,!192.0.2.8,203.0.113.1,x", &known);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let expected =
            ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.7", "192.0.2.9", "203.0.113.1"];
        assert_eq!(found, expected);
        assert_eq!(messages, ["'x' is not a valid address"]);
    }
}
