//! Sets of numbers and addresses as sorted, merged ranges: a membership test is one binary search without
//! allocation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use scanbridge_plugin_api::model::{AddressRange, BadAddressRange};

/// Ranges of numbers, both ends included, sorted and without overlaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges<T>(Vec<(T, T)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord + Copy> Ranges<T> {
    /// Sorts the ranges and merges overlapping ones.
    pub(super) fn of(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Whether the number is in one of the ranges.
    #[must_use]
    pub fn contains(&self, number: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).is_some_and(|before| number <= self.0[before].1)
    }

    /// The intersection of the ranges with the one from `first` to `last`.
    fn common(&self, first: T, last: T) -> impl Iterator<Item = (T, T)> {
        let overlaps = move |range: &&(T, T)| range.0 <= last && first <= range.1;
        self.0.iter().filter(overlaps).map(move |range| (range.0.max(first), range.1.min(last)))
    }

    /// The ranges in ascending order.
    #[must_use]
    pub fn as_slice(&self) -> &[(T, T)] {
        &self.0
    }
}

/// First and last QID of `38170` or `38170-38175`.
pub(super) fn read_qids(entry: &str) -> Result<(u32, u32), String> {
    let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
    let number = |text: &str| text.trim().trim_start_matches("QID").trim_start().parse::<u32>().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(first), Some(last)) => {
            Err(format!("invalid range `{entry}`: start {first} is greater than end {last}"))
        }
        _ => Err(format!("invalid QID `{entry}`; expected for example `38170` or `38170-38175`")),
    }
}

/// A set of IP addresses, IPv4 and IPv6.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRanges {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl AddressRanges {
    pub(super) fn of(ranges: &[AddressRange]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match (range.first(), range.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (first, last) => v6.push((v6_bits(first), v6_bits(last))),
            }
        }
        Self { v4: Ranges::of(v4), v6: Ranges::of(v6) }
    }

    /// Whether the address is in the set. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4
    /// one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// Whether the text is an address that is in the set.
    #[must_use]
    pub fn contains_text(&self, text: &str) -> bool {
        text.parse().is_ok_and(|address| self.contains(address))
    }

    /// The intersection of a range with the set.
    pub fn common_with(&self, range: &AddressRange) -> impl Iterator<Item = AddressRange> + '_ {
        let (v4, v6) = match (range.first(), range.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                (Some(self.v4.common(first.to_bits(), last.to_bits())), None)
            }
            (first, last) => (None, Some(self.v6.common(v6_bits(first), v6_bits(last)))),
        };
        v4.into_iter().flatten().map(v4_range).chain(v6.into_iter().flatten().map(v6_range))
    }

    /// All other addresses.
    #[must_use]
    pub fn complement(&self) -> Self {
        let wide = self.v4.as_slice().iter().map(|(first, last)| (u128::from(*first), u128::from(*last)));
        let narrow = |bits: u128| u32::try_from(bits).unwrap_or(u32::MAX);
        let v4 = complement(wide, u32::MAX.into()).into_iter();
        Self {
            v4: Ranges(v4.map(|(first, last)| (narrow(first), narrow(last))).collect()),
            v6: Ranges(complement(self.v6.as_slice().iter().copied(), u128::MAX)),
        }
    }

    /// The ranges in ascending order, IPv4 before IPv6.
    pub fn iter(&self) -> impl Iterator<Item = AddressRange> + '_ {
        let v4 = self.v4.as_slice().iter().copied().map(v4_range);
        v4.chain(self.v6.as_slice().iter().copied().map(v6_range))
    }
}

/// The numbers from 0 to `most` that are in none of the ascending ranges.
fn complement(ranges: impl Iterator<Item = (u128, u128)>, most: u128) -> Vec<(u128, u128)> {
    let (mut gaps, mut next) = (Vec::new(), Some(0));
    for (first, last) in ranges {
        if let Some(start) = next.filter(|start| *start < first) {
            gaps.push((start, first - 1));
        }
        next = last.checked_add(1);
    }
    gaps.extend(next.filter(|start| *start <= most).map(|start| (start, most)));
    gaps
}

fn v6_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn v4_range((first, last): (u32, u32)) -> AddressRange {
    let [first, last] = [first, last].map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)));
    AddressRange::new(first, last).expect("ranges are in ascending order")
}

fn v6_range((first, last): (u128, u128)) -> AddressRange {
    let [first, last] = [first, last].map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)));
    AddressRange::new(first, last).expect("ranges are in ascending order")
}

/// One entry of `ip_ranges`: `192.0.2.0/24`, `192.0.2.10-192.0.2.20` or `192.0.2.10`, and the same in IPv6.
pub(super) fn read_addresses(entry: &str) -> Result<AddressRange, String> {
    entry.parse().map_err(|reason| match reason {
        BadAddressRange::NotANetwork => {
            format!("invalid network `{entry}`; expected for example `192.0.2.0/24` or `2001:db8::/32`")
        }
        BadAddressRange::NotAnAddress => match entry.split_once('-') {
            None => format!("invalid IP address `{entry}`"),
            Some((first, last)) => {
                let is_address = |text: &str| text.trim().parse::<IpAddr>().is_ok();
                let wrong = if is_address(first) { last } else { first };
                format!(
                    "invalid range `{entry}`: `{}` is not an IP address; expected for example \
                     `192.0.2.10-192.0.2.20`",
                    wrong.trim()
                )
            }
        },
        reason => format!("invalid range `{entry}`: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> AddressRanges {
        AddressRanges::of(&entries.iter().map(|entry| read_addresses(entry).unwrap()).collect::<Vec<_>>())
    }

    fn assert_edges(entries: &[&str], inside: &[&str], outside: &[&str]) {
        let set = set(entries);
        for address in inside {
            assert!(set.contains_text(address), "{address} is in {entries:?}");
        }
        for address in outside {
            assert!(!set.contains_text(address), "{address} is not in {entries:?}");
        }
    }

    #[test]
    fn network_contains_first_and_last_address() {
        assert_edges(
            &["192.0.2.0/24"],
            &["192.0.2.0", "192.0.2.1", "192.0.2.255", "::ffff:192.0.2.7"],
            &["192.0.1.255", "192.0.3.0", "2001:db8::1"],
        );
        assert_edges(&["192.0.2.77/24"], &["192.0.2.0", "192.0.2.255"], &["192.0.3.0"]);
        assert_edges(&["198.51.100.4/32"], &["198.51.100.4"], &["198.51.100.3", "198.51.100.5"]);
        assert_edges(&["0.0.0.0/0"], &["0.0.0.0", "255.255.255.255"], &["::1"]);
    }

    #[test]
    fn range_includes_both_ends() {
        assert_edges(
            &["198.51.100.234 - 198.51.101.2"],
            &["198.51.100.234", "198.51.100.255", "198.51.101.0", "198.51.101.2"],
            &["198.51.100.233", "198.51.101.3"],
        );
    }

    #[test]
    fn ipv6_network_range_and_single_address() {
        assert_edges(
            &["2001:db8:1::/48", "2001:db8:2::5-2001:db8:2::f", "2001:DB8:3::1"],
            &["2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::f", "2001:db8:3:0:0::1"],
            &["2001:db8:0:ffff::", "2001:db8:2::4", "2001:db8:2::10", "2001:db8:3::2", "192.0.2.1"],
        );
    }

    #[test]
    fn entry_is_intersected_with_the_set() {
        let set = set(&["192.0.2.10-192.0.2.20", "192.0.2.30-192.0.2.40", "2001:db8::/64"]);
        for (entry, common) in [
            ("192.0.2.15", &["192.0.2.15"][..]),
            ("192.0.2.1-192.0.2.31", &["192.0.2.10-192.0.2.20", "192.0.2.30-192.0.2.31"]),
            ("192.0.2.21-192.0.2.29", &[]),
            ("2001:db8::1-2001:db8:0:1::1", &["2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"]),
        ] {
            let common_texts: Vec<String> =
                set.common_with(&entry.parse().unwrap()).map(|range| range.to_string()).collect();
            assert_eq!(common_texts, common, "{entry}");
        }
    }

    #[test]
    fn overlapping_ranges_are_merged() {
        let ranges = Ranges::of(vec![(10_u32, 20), (1, 5), (12, 13), (18, 30), (5, 6)]);
        assert_eq!(ranges.as_slice(), [(1, 6), (10, 30)]);
        for (number, inside) in
            [(0, false), (1, true), (6, true), (7, false), (9, false), (30, true), (31, false)]
        {
            assert_eq!(ranges.contains(number), inside, "{number}");
        }
        assert!(!Ranges::<u32>::default().contains(0));
    }

    #[test]
    fn invalid_range_error_gives_the_reason() {
        for (entry, expected) in [
            (
                "192.0.2.0/33",
                "invalid network `192.0.2.0/33`; expected for example `192.0.2.0/24` or `2001:db8::/32`",
            ),
            ("192.0.2.300", "invalid IP address `192.0.2.300`"),
            ("192.0.2.9-192.0.2.1", "invalid range `192.0.2.9-192.0.2.1`: the start is greater than the end"),
            (
                "192.0.2.1-2001:db8::1",
                "invalid range `192.0.2.1-2001:db8::1`: IPv4 and IPv6 addresses cannot be mixed",
            ),
            (
                "192.0.2.1-20",
                "invalid range `192.0.2.1-20`: `20` is not an IP address; expected for example \
                 `192.0.2.10-192.0.2.20`",
            ),
        ] {
            assert_eq!(read_addresses(entry), Err(expected.to_owned()));
        }
        assert_eq!(read_qids("38170"), Ok((38170, 38170)));
        assert_eq!(read_qids("10 - 20"), Ok((10, 20)));
        assert!(read_qids("20-10").is_err() && read_qids("x").is_err() && read_qids("-5").is_err());
    }
}
