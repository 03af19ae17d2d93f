//! Sets of addresses in compact storage.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::snapshot::{BadSnapshot, put_number, take_number};

/// A set of addresses, IPv4 before IPv6, in ascending order. Adjacent addresses need one byte each when stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: BTreeSet<u32>,
    v6: BTreeSet<u128>,
}

impl AddressSet {
    /// Adds an address; false if it was already in the set.
    pub fn insert(&mut self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.insert(address.to_bits()),
            IpAddr::V6(address) => self.v6.insert(address.to_bits()),
        }
    }

    /// Returns true if the set contains the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(&address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(&address.to_bits()),
        }
    }

    /// Removes an address; false if it was not in the set.
    pub fn remove(&mut self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.remove(&address.to_bits()),
            IpAddr::V6(address) => self.v6.remove(&address.to_bits()),
        }
    }

    /// The number of addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Returns true if the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The addresses.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let v4 = self.v4.iter().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(*bits)));
        v4.chain(self.v6.iter().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(*bits))))
    }

    /// Removes all addresses.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }

    /// Appends the set to a snapshot.
    pub fn save(&self, snapshot: &mut Vec<u8>) {
        put_ascending(snapshot, self.v4.iter().map(|bits| u128::from(*bits)));
        put_ascending(snapshot, self.v6.iter().copied());
    }

    /// Reads a set from the beginning of a snapshot.
    ///
    /// # Errors
    /// The bytes are not a valid set.
    pub fn restore(snapshot: &mut &[u8]) -> Result<Self, BadSnapshot> {
        let v4 =
            take_ascending(snapshot)?.into_iter().map(|bits| u32::try_from(bits).map_err(|_| BadSnapshot));
        let v4 = v4.collect::<Result<_, _>>()?;
        Ok(Self { v4, v6: take_ascending(snapshot)?.into_iter().collect() })
    }
}

/// Writes the count, the first number, and then the difference of each number from the previous one.
fn put_ascending(snapshot: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = u128>) {
    put_number(snapshot, numbers.len() as u128);
    let mut before = 0;
    for number in numbers {
        put_number(snapshot, number - before);
        before = number;
    }
}

fn take_ascending(snapshot: &mut &[u8]) -> Result<Vec<u128>, BadSnapshot> {
    let count = take_number(snapshot)?;
    // Each number takes at least one byte, so an invalid count cannot allocate memory.
    if count > snapshot.len() as u128 {
        return Err(BadSnapshot);
    }
    let mut before: u128 = 0;
    (0..count)
        .map(|_| {
            before = before.checked_add(take_number(snapshot)?).ok_or(BadSnapshot)?;
            Ok(before)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_is_restored_and_adjacent_addresses_take_one_byte() {
        let mut set = AddressSet::default();
        for last in 0..=255 {
            set.insert(IpAddr::from([192, 0, 2, last]));
        }
        set.insert("2001:db8::1".parse().unwrap());
        set.insert("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap());
        set.insert("255.255.255.255".parse().unwrap());
        let mut bytes = Vec::new();
        set.save(&mut bytes);
        assert!(bytes.len() < 256 + 64, "{}", bytes.len());
        let mut rest = &bytes[..];
        assert_eq!(AddressSet::restore(&mut rest), Ok(set));
        assert!(rest.is_empty());
        for length in 0..bytes.len() {
            assert_eq!(AddressSet::restore(&mut &bytes[..length]), Err(BadSnapshot), "{length}");
        }
    }

    #[test]
    fn invalid_set_is_refused() {
        for bad in [&[0xff; 40][..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0], &[200, 1, 1]] {
            assert_eq!(AddressSet::restore(&mut &bad[..]), Err(BadSnapshot), "{bad:?}");
        }
    }
}
